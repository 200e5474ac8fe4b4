"""DCVC-UF's intra model, alone.

Paper: DCVC-UF (CVPR 2026); the tables and what differs are in recipes.py beside this.
Command: python -m train.main --config configs/dcvc_uf/intra.py --out runs/uf-intra
Hardware: GPUs; neither their number nor hours are published.
Data: a folder of images, --set stills=DIR, and any clips, --set clips=DIR.
Expected result: -10.6 % BD-rate against VTM on Kodak, quoted; none measured.
"""

from configs.dcvc_uf.recipes import IMAGES, INTRA, stages_of
from train.config import TrainConfig


def get_config() -> TrainConfig:
    """Returns the run; a window's second frame and the small inter model are unused."""
    return TrainConfig(
        name="dcvc_uf-intra",
        intra="dcvc_uf/intra",
        inter="dcvc_uf/ld-tiny",
        clips="data/vimeo",
        stills="data/open_images",
        still_share=1.0,
        stages=stages_of(INTRA, 16, windows=IMAGES, trainable=("^intra/",)),
        clip_norm=0.1,
        ema=0.0,
        most_boost=0,
        intra_weight=1.0,
        precision="tensorfloat32",
    )
