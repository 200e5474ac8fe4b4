"""Twenty-eight inter frames in one gradient group and in two: what memory they take.

Paper: AVS-EEM v5.2, group-wise cascaded training (16 + 12).
Command: jaxnvc bench train --config configs/avs_eem/groups.py --compile-only
Hardware: any; nothing is trained.
Expected result: docs/bench/groups.json, measured; presets are tiny, for the ratio is
  the matter.
"""

import dataclasses

from train.config import Stage, TrainConfig

_CASCADED = Stage(
    name="one group",
    steps=1,
    frames=29,
    batch=1,
    crop=128,
    learning_rate=1e-4,
    final_learning_rate=1e-5,
)


def get_config() -> TrainConfig:
    """Returns the run."""
    return TrainConfig(
        name="groups",
        intra="intra/tiny",
        inter="avs_eem/tiny",
        clips="",
        stages=(
            _CASCADED,
            dataclasses.replace(_CASCADED, name="two groups", groups=(16, 12)),
            dataclasses.replace(_CASCADED, name="four groups", groups=(7, 7, 7, 7)),
        ),
    )
