"""eem-lite, continued: from the bundle of `lite.py`, with a deeper intra codec.

Paper: AVS-EEM v9.2 (the lite preset's blocks are ours).
Command: python -m train.main --config configs/avs_eem/lite_more.py
  --init FIRST.nvcm --out runs/eem-lite-more
Hardware: two CPU cores are enough; see docs/models/eem-lite.md for what was used.
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
        seed=1,
        stages=(
            Stage(
                name="short",
                steps=1500,
                frames=4,
                batch=4,
                crop=128,
                learning_rate=6e-4,
                final_learning_rate=3e-4,
            ),
            Stage(
                name="long",
                steps=500,
                frames=7,
                batch=2,
                crop=128,
                learning_rate=3e-4,
                final_learning_rate=1e-5,
            ),
        ),
    )
