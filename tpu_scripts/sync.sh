#!/usr/bin/env bash
# Copies the repository to every worker and installs it.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run gcloud compute tpus tpu-vm scp --recurse --worker=all --zone "$TPU_ZONE" \
  "$(dirname "${BASH_SOURCE[0]}")/.." "$TPU_NAME:$REMOTE_DIR"
on_every_worker "cd $REMOTE_DIR && pip install --quiet --editable '.[tpu,train]'"
