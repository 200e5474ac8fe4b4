"""eem-lite's intra codec alone, on stills and frames.

A strong intra frame first: it is most of the bytes of a short clip, and its step costs
a sixth of one of a window of frames. The inter codec of the bundle is kept.

Command: python -m train.main --config configs/avs_eem/lite_intra.py
  --init jaxnvc/models/eem-lite.nvcm --out runs/eem-lite-intra
Hardware: two CPU cores are enough.
Data: a folder of clips and a folder of stills, --set clips=DIR --set stills=DIR.
Expected result: docs/models/eem-lite.md, measured.
"""

import dataclasses
import pathlib

from train.config import Stage, TrainConfig, load_config


def get_config() -> TrainConfig:
    """Returns the run."""
    first = load_config(str(pathlib.Path(__file__).with_name("lite.py")))
    return dataclasses.replace(
        first,
        warmup_steps=50,
        seed=3,
        still_share=0.6,
        ema=0.999,
        stages=(
            Stage(
                name="intra",
                steps=9000,
                frames=1,
                batch=8,
                crop=128,
                learning_rate=8e-4,
                final_learning_rate=1e-5,
            ),
        ),
    )
