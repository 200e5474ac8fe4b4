"""The published training of DCVC-UF, as tables of epochs, and how they become stages.

Source: DCVC-UF (CVPR 2026) and its training code; section 5 of the fact sheet. A row is
(epochs, learning rate, frames with the reference, crop). The learning rate is constant
within a row. "Each chunk alone" cuts the gradient after every unit; the published run
also takes an optimiser step there, ours adds the units' gradients up for one.

Ours, and not the published run's: the loss (`train/losses.py`: other lam, mean squared
errors 6:1:1), Adam without decay of weights, the optimiser's state carried over between
stages of one file, and a reference that is always coded. The length of an epoch is not
published: here it is Vimeo-90k's training list, and three of sixteen subsets of Open
Images.
"""

from collections.abc import Iterable

from train.config import Stage, TrainConfig

VIDEOS = 64_612
IMAGES = 326_820

Row = tuple[int, float, int, int]

INTRA: list[Row] = [
    (45, 2e-4, 2, 256),
    (25, 5e-5, 2, 256),
    (20, 1e-5, 2, 256),
    (5, 2e-4, 2, 512),
    (4, 5e-5, 2, 512),
    (4, 1e-5, 2, 512),
    (2, 1e-6, 2, 512),
]
HT_SHORT: list[Row] = [(5, 1e-4, 9, 256), (5, 1e-4, 17, 256), (35, 1e-4, 33, 256)]
# Batch and rows; the second and third published stage share a batch.
HT_LONG: list[tuple[int, list[Row]]] = [
    (
        8,
        [
            (2, 5e-5, 17, 256),
            (1, 5e-5, 25, 256),
            (3, 5e-5, 33, 256),
            (4, 5e-6, 33, 256),
            (10, 5e-5, 33, 512),
            (10, 5e-5, 49, 512),
            (12, 1e-5, 65, 512),
            (8, 2e-6, 65, 512),
        ],
    ),
    (16, [(2, 1e-5, 97, 512), (2, 2e-6, 129, 512)]),
]
LD_SHORT: list[Row] = [(5, 1e-4, 2, 256), (5, 1e-4, 3, 256), (45, 1e-4, 6, 256)]
LD_LONG: list[tuple[int, list[Row]]] = [
    (
        8,
        [
            (5, 5e-5, 8, 256),
            (5, 5e-5, 16, 256),
            (5, 5e-5, 24, 256),
            (15, 5e-5, 32, 256),
            (7, 5e-6, 32, 256),
            (14, 5e-5, 33, 512),
            (4, 5e-6, 33, 512),
            (7, 2e-5, 49, 512),
            (2, 2e-6, 49, 512),
            (7, 5e-6, 65, 512),
            (6, 2e-6, 65, 512),
        ],
    ),
    (4, [(2, 2e-6, 97, 512), (2, 5e-7, 129, 512)]),
]


def stages_of(
    rows: Iterable[Row], batch: int, *, windows: int, each_alone: int = 0, **settings
) -> tuple[Stage, ...]:
    """Returns rows as stages.

    Args:
      rows: the table.
      batch: windows per step.
      windows: of an epoch.
      each_alone: frames of a unit, each a gradient group; 0 for one group of all.
      **settings: fields of every stage.
    """
    return tuple(
        Stage(
            name=f"{frames} frames of {crop}, {rate:g}",
            steps=epochs * (windows // batch),
            frames=frames,
            batch=batch,
            crop=crop,
            learning_rate=rate,
            final_learning_rate=rate,
            groups=(each_alone,) * ((frames - 1) // each_alone) if each_alone else (),
            **settings,
        )
        for epochs, rate, frames, crop in rows
    )


def short_run(preset: str, rows: list[Row], unit: int) -> TrainConfig:
    """Returns the first published stage: seven frames, back and forth."""
    stages = stages_of(
        rows,
        16,
        windows=VIDEOS,
        each_alone=unit,
        trainable=("^inter/",),
        back_and_forth=True,
    )
    return _video(preset, "short", stages)


def long_run(preset: str, table: list[tuple[int, list[Row]]]) -> TrainConfig:
    """Returns the other stages: one gradient through all units of long clips."""
    stages = (
        stage
        for batch, rows in table
        for stage in stages_of(rows, batch, windows=VIDEOS, trainable=("^inter/",))
    )
    return _video(preset, "long", tuple(stages))


def _video(preset: str, name: str, stages: tuple[Stage, ...]) -> TrainConfig:
    return TrainConfig(
        name=f"{preset.replace('/', '-')}-{name}",
        intra="dcvc_uf/intra",
        inter=preset,
        clips="data/vimeo",
        stages=stages,
        clip_norm=0.2,
        ema=0.0,
        most_boost=0,
        intra_weight=1.0,
        precision="tensorfloat32",
    )
