#!/usr/bin/env bash
# Ends training on every worker; the run saves a checkpoint first.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

on_every_worker "pkill -TERM -f train.main"
