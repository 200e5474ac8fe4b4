"""eem-base: the full inter codec, by the published curriculum.

Paper: AVS-EEM v9.2: progressive training (v0.1), hierarchical quality (v1.0),
  cascaded windows of 6, 15, 20 and 28 inter frames, the last in groups of 16 + 12
  (v5.2), reference quality by repeated compression (v1.0) and I-frame switching
  (v7.1; the intra frame's qp, drawn at random). The paper gives order, windows,
  groups and weights; steps, batches and learning rates are chosen. Its single-rate
  models become one of variable rate.
Command: first configs/avs_eem/flow.py, which makes flow.nvcm, then
  python -m train.main --config configs/avs_eem/base.py --out runs/eem-base
  --init flow.nvcm --set clips=VIMEO --set long_clips=BVI
Hardware: one or more accelerators of 40 GB.
Hours: estimated from multiply-accumulates, not measured: about 50 on one accelerator
  at 60 TFLOP/s, and as much again if gathers are slow.
Data: Vimeo-90k septuplets and BVI-DVC, see train/data/build.py.
Expected result: not measured; the paper's codec is 4.14 % below HPM-15.1 in BD-rate.
"""

import dataclasses

from train.config import Objective, Stage, TrainConfig

_FLOW = "^inter/motion_estimation/"
_INTRA = "^intra/"
_REFERENCE = ("^inter/adaptor_[ip]/", "^inter/adaptor_x/", "^inter/.*_features/")
_MOTION = ("^inter/motion_(encoder|decoder|entropy)/", "^inter/context_mining/")
_GENERATOR = ("^inter/frame_generator/",)
_RESIDUAL = ("^inter/residual_(encoder|decoder|entropy)/",)
_SCALES = ("^inter/scale_",)

_PAIRS = Stage(
    name="motion",
    steps=200_000,
    frames=2,
    batch=16,
    crop=256,
    learning_rate=1e-4,
    final_learning_rate=1e-4,
    objective=Objective.MOTION,
    trainable=(_INTRA, *_REFERENCE, *_MOTION, *_GENERATOR, *_SCALES),
)
# All but the flow network, which moves again once the rest can use it.
_NO_FLOW = (_INTRA, *_REFERENCE, *_MOTION, *_RESIDUAL, *_GENERATOR, *_SCALES)
_INTER = ("^inter/",)
_WINDOWS = Stage(
    name="cascaded 6",
    steps=150_000,
    frames=7,
    batch=16,
    crop=256,
    learning_rate=5e-5,
    final_learning_rate=5e-5,
    most_repeats=40,
    repeat_share=0.5,
    trainable=_INTER,
)


def _pairs() -> tuple[Stage, ...]:
    """Returns the progressive stages: motion, residual, both."""
    joint = dataclasses.replace(
        _PAIRS,
        name="joint",
        steps=150_000,
        objective=Objective.JOINT,
        trainable=_NO_FLOW,
    )
    return (
        _PAIRS,
        dataclasses.replace(
            _PAIRS,
            name="residual",
            objective=Objective.RESIDUAL,
            trainable=(
                _INTRA,
                *_RESIDUAL,
                *_GENERATOR,
                *_SCALES,
                "^inter/context_mining/",
            ),
        ),
        joint,
        dataclasses.replace(
            joint, name="joint, buffers", frames=4, final_learning_rate=5e-5
        ),
    )


def _windows() -> tuple[Stage, ...]:
    """Returns the stages of longer windows, after quality levels and flow."""
    quality = dataclasses.replace(
        _WINDOWS,
        name="quality levels",
        steps=20_000,
        learning_rate=1e-3,
        final_learning_rate=1e-3,
        most_repeats=0,
        repeat_share=0.0,
        trainable=_SCALES,
    )
    flow = dataclasses.replace(
        quality,
        name="flow",
        steps=5_000,
        learning_rate=5e-5,
        final_learning_rate=5e-5,
        trainable=(_FLOW, "^inter/motion_encoder/"),
    )
    longer = dataclasses.replace(_WINDOWS, batch=8, final_learning_rate=2e-5)
    longest = dataclasses.replace(
        longer, frames=29, groups=(16, 12), learning_rate=1e-5, final_learning_rate=1e-5
    )
    return (
        quality,
        flow,
        _WINDOWS,
        dataclasses.replace(longer, name="cascaded 15", steps=80_000, frames=16),
        dataclasses.replace(
            longer, name="cascaded 20", steps=50_000, frames=21, learning_rate=2e-5
        ),
        dataclasses.replace(longest, name="cascaded 28", steps=50_000),
        dataclasses.replace(
            longest,
            name="cascaded 28, large",
            steps=30_000,
            batch=4,
            crop=320,
            learning_rate=5e-6,
            final_learning_rate=5e-6,
        ),
    )


def get_config() -> TrainConfig:
    """Returns the run."""
    return TrainConfig(
        name="eem-base",
        intra="intra/base-portable",
        inter="avs_eem/base-portable",
        clips="../shared/data/train",
        stages=(*_pairs(), *_windows()),
        warmup_steps=1000,
        ema=0.999,
        save_every=1000,
    )
