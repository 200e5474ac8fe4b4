#!/usr/bin/env bash
# Starts training on every worker in the background; started again, it resumes.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

on_every_worker "cd $REMOTE_DIR && nohup python -m train.main --distributed \
--config $CONFIG --out $OUT > train.log 2>&1 &"
