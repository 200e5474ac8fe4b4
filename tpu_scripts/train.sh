#!/usr/bin/env bash
# Starts training on every worker; stopped and started again, it resumes.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

on_every_worker "cd $REMOTE_DIR && python -m train.main --config $CONFIG --out $OUT"
