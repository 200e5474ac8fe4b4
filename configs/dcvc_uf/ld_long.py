"""DCVC-UF LD, then: 8 to 129 frames of long clips, one gradient through all.

Paper: DCVC-UF (CVPR 2026); the tables and what differs are in recipes.py beside this.
Command: python -m train.main --config configs/dcvc_uf/ld_long.py
  --init SHORT.nvcm --out runs/uf-ld-long
Hardware: GPUs; neither their number nor hours are published.
Data: clips of 129 frames and more of at least 512x512, --set clips=DIR; the published
  ones were cut from the videos of Vimeo-90k.
Expected result: -9.5 % average BD-rate against VTM-17.0 LB over UVG, MCL-JCV and
  HEVC B to E, quoted; none measured.
"""

from configs.dcvc_uf.recipes import LD_LONG, long_run
from train.config import TrainConfig


def get_config() -> TrainConfig:
    """Returns the run."""
    return long_run("dcvc_uf/ld", LD_LONG)
