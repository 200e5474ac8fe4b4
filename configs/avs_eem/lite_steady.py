"""eem-lite, steadied: long windows and still passes against drift.

From the bundle of `lite_more.py`. The codec meets references that it has coded many
times itself, and learns not to lose quality over hundreds of frames.

Paper: AVS-EEM v9.2: reference-quality-aware training (v1.0), cascaded training in
gradient groups (v5.2).
Command: python -m train.main --config configs/avs_eem/lite_steady.py
  --init SECOND.nvcm --out runs/eem-lite-steady
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
        seed=2,
        stages=(
            Stage(
                name="settled",
                steps=900,
                frames=7,
                batch=2,
                crop=128,
                learning_rate=4e-4,
                final_learning_rate=2e-4,
                most_repeats=40,
                repeat_share=0.5,
            ),
            Stage(
                name="cascaded",
                steps=900,
                frames=17,
                batch=1,
                crop=128,
                learning_rate=2e-4,
                final_learning_rate=1e-5,
                groups=(8, 8),
            ),
        ),
    )
