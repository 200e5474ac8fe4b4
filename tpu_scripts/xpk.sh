#!/usr/bin/env bash
# Runs training as a job on a GKE cluster through XPK; submitted again, it resumes.
set -euo pipefail
# shellcheck source=tpu_scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run xpk workload create --cluster "$XPK_CLUSTER" --workload "$TPU_NAME" \
  --tpu-type "$TPU_TYPE" --num-slices "$XPK_SLICES" --zone "$TPU_ZONE" \
  --script-dir "$(dirname "${BASH_SOURCE[0]}")/.." --max-restarts 10 \
  --command "pip install --quiet --editable '.[tpu,train]' && python -m train.main \
--distributed --config $CONFIG --out $OUT"
