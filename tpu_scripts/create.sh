#!/usr/bin/env bash
# Creates the TPU VM slice.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run gcloud compute tpus tpu-vm create "$TPU_NAME" --zone "$TPU_ZONE" \
  --accelerator-type "$TPU_TYPE" --version "$TPU_VERSION"
