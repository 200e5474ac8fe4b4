"""eem-base-flow: the motion estimation of avs_eem/base, learned without labels.

Paper: AVS-EEM v8.1, heavy-to-light optical flow: PWC-Net teaches FastFlowNet, which
  the codec ships. The paper's networks came with published weights; here the teacher
  learns from unlabelled pairs (UFlow) and from known motion first.
Command: python -m train.main --config configs/avs_eem/flow.py --out runs/flow
  --set clips=DIR --export flow.nvcm; then train the codec with --init flow.nvcm
Hardware: one GPU of 24 GB or more.
Hours: not measured.
Data: Vimeo-90k septuplets, or any folder of clips of at least 256x256.
Expected result: not measured.
"""

import dataclasses

from train.config import Objective, Stage, TrainConfig

_TEACHER = Stage(
    name="teacher",
    steps=100_000,
    frames=2,
    batch=16,
    crop=256,
    learning_rate=1e-4,
    final_learning_rate=1e-5,
    trainable=("^teacher/",),
    objective=Objective.TEACHER,
)


def get_config() -> TrainConfig:
    """Returns the run."""
    return TrainConfig(
        name="eem-base-flow",
        intra="intra/base-portable",
        inter="avs_eem/base-portable",
        teacher="pwc",
        clips="../shared/data/train",
        stills="../shared/data/train_images",
        warmup_steps=1000,
        save_every=1000,
        stages=(
            _TEACHER,
            dataclasses.replace(
                _TEACHER,
                name="student",
                trainable=("^inter/motion_estimation/network/",),
                objective=Objective.STUDENT,
            ),
        ),
    )
