"""eem-lite, all of it at once, with more weight on chroma.

From the bundle of `lite_inter.py`. Both codecs move together, because the quantiser
steps of chroma become finer (`chroma_weight` of the presets): what `lite.py` to
`lite_inter.py` made weighs errors 6:1:1, this 6:2.5:2.5. A third of the windows start
from a reference that has been coded up to 16 times.

Command: python -m train.main --config configs/avs_eem/lite_joint.py
  --init jaxnvc/models/eem-lite-2.nvcm --out runs/eem-lite-joint
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
        seed=17,
        stages=(
            Stage(
                name="joint",
                steps=3500,
                frames=5,
                batch=4,
                crop=128,
                learning_rate=5e-4,
                final_learning_rate=1e-5,
                most_repeats=16,
                repeat_share=0.33,
            ),
        ),
    )
