#!/usr/bin/env bash
# Copies a run's metrics and best bundle from its bucket into LOCAL_DIR.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run mkdir -p "$LOCAL_DIR"
run gcloud storage rsync --recursive --exclude '^checkpoints/' "$OUT" "$LOCAL_DIR"
