"""eem-lite's inter codec with overlapped compensation, from the model released before.

Short windows and many of them, a third of which start from a reference that has been
coded up to 16 times, so that the steadiness of `lite_steady.py` stays. The hyper latent
of the inter codec starts anew, in silence. Of the intra codec the second stage trains
the entropy model alone, because the rate of its hyper latent has a better slope now.

Command: python -m train.main --config configs/avs_eem/lite_inter.py
  --init jaxnvc/models/eem-lite-1.nvcm --out runs/eem-lite-inter
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
    overlap = Stage(
        name="overlap",
        steps=1250,
        frames=5,
        batch=4,
        crop=128,
        learning_rate=5e-4,
        final_learning_rate=4e-4,
        most_repeats=16,
        repeat_share=0.33,
        trainable=("^inter/",),
    )
    return dataclasses.replace(
        first,
        warmup_steps=50,
        seed=11,
        fresh=("^inter/hyper/(leave|base)",),
        stages=(
            overlap,
            dataclasses.replace(
                overlap,
                name="settle",
                steps=1900,
                learning_rate=4e-4,
                final_learning_rate=1e-5,
                trainable=("^inter/", "^intra/hyper", "^intra/latent/"),
            ),
        ),
    )
