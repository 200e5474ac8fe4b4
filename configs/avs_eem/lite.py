"""eem-lite: the released default, intra/lite and avs_eem/lite.

Paper: AVS-EEM v9.2 (the lite preset's blocks are ours).
Command: python -m train.main --config configs/avs_eem/lite.py --out runs/eem-lite
Hardware: two CPU cores are enough; see docs/models/eem-lite.md for what was used.
Data: a folder of clips and a folder of stills, --set clips=DIR --set stills=DIR.
Expected result: docs/models/eem-lite.md, measured.
"""

from train.config import Stage, TrainConfig


def get_config() -> TrainConfig:
    """Returns the run."""
    return TrainConfig(
        name="eem-lite",
        intra="intra/lite",
        inter="avs_eem/lite",
        clips="../shared/data/train",
        stills="../shared/data/train_images",
        stages=(
            Stage(
                name="short",
                steps=2000,
                frames=4,
                batch=4,
                crop=128,
                learning_rate=1e-3,
                final_learning_rate=4e-4,
            ),
            Stage(
                name="long",
                steps=450,
                frames=7,
                batch=2,
                crop=128,
                learning_rate=4e-4,
                final_learning_rate=2e-5,
            ),
        ),
    )
