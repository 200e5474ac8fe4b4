"""What portability costs: the scale networks of eem-lite, trained anew in two flavours.

Everything else stays as the bundle has it, so that the two runs differ in nothing but
where scale indices come from: transmitted whole numbers, or float features too.

Command, once as it is and once with --set intra=intra/lite-float --set
  inter=avs_eem/lite-float: python -m train.main --config configs/avs_eem/scales.py
  --init jaxnvc/models/eem-lite.nvcm --out runs/scales --set clips=DIR --set stills=DIR
  --set validation=OTHER_CLIPS
Hardware: two CPU cores are enough.
Expected result: not measured.
"""

import dataclasses
import pathlib

from train.config import Stage, TrainConfig, load_config

_SCALES = ("latent/scale/",)


def get_config() -> TrainConfig:
    """Returns the run."""
    first = load_config(str(pathlib.Path(__file__).with_name("lite.py")))
    return dataclasses.replace(
        first,
        fresh=_SCALES,
        seed=4,
        validate_every=300,
        validation_frames=8,
        stages=(
            Stage(
                name="scales",
                steps=900,
                frames=4,
                batch=3,
                crop=128,
                learning_rate=2e-3,
                final_learning_rate=2e-5,
                trainable=_SCALES,
            ),
        ),
    )
