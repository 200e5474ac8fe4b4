"""DCVC-UF HT-S, first: seven frames back and forth, each unit's gradient alone.

Paper: DCVC-UF (CVPR 2026); the tables and what differs are in recipes.py beside this.
Command: python -m train.main --config configs/dcvc_uf/hts_short.py
  --init INTRA.nvcm --out runs/uf-hts-short
Hardware: GPUs; neither their number nor hours are published.
Data: Vimeo-90k septuplets, --set clips=DIR, built by train.data.build vimeo.
Expected result: none published for this stage, none measured.
"""

from configs.dcvc_uf.recipes import HT_SHORT, short_run
from train.config import TrainConfig


def get_config() -> TrainConfig:
    """Returns the run."""
    return short_run("dcvc_uf/hts", HT_SHORT, 8)
