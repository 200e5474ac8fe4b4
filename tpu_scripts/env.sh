# Values of every script here; override any of them in the environment.
# shellcheck shell=bash
: "${TPU_NAME:=jaxnvc}"
: "${TPU_ZONE:=us-central2-b}"
: "${TPU_TYPE:=v4-8}"
: "${TPU_VERSION:=tpu-ubuntu2204-base}"
: "${REMOTE_DIR:=jaxnvc}"
: "${CONFIG:=configs/avs_eem/lite.py}"
: "${LOCAL_DIR:=runs/fetched}"
: "${XPK_CLUSTER:=jaxnvc}"
: "${XPK_SLICES:=1}"
: "${OUT:?set OUT to a run folder or bucket path, for example gs://bucket/run}"

DRY_RUN=0
for argument in "$@"; do
  case "$argument" in
    --dry-run) DRY_RUN=1 ;;
    *) echo "unknown argument '$argument'; only --dry-run is known" >&2; exit 2 ;;
  esac
done

# Runs a command, or prints it under --dry-run.
run() {
  if ((DRY_RUN)); then printf '%q ' "$@"; echo; else "$@"; fi
}

# Runs a command line on every worker of the slice.
on_every_worker() {
  run gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone "$TPU_ZONE" \
    --worker=all --command "$1"
}
