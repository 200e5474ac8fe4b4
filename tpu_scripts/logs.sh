#!/usr/bin/env bash
# Follows the progress lines of every worker.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

on_every_worker "tail -n 20 -F $REMOTE_DIR/train.log"
