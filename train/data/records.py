"""Clips of a data set that `train.data.build` made, read at random by grain."""

import pathlib
from collections.abc import Iterable

import grain
import numpy as np

from jaxnvc.errors import InputError
from train.config import Stage, TrainConfig
from train.data.clips import Clip
from train.data.transforms import augmented, cut, packed


def is_dataset(folder: str) -> bool:
    """Tells whether a folder holds a built data set."""
    return (pathlib.Path(folder).expanduser() / "dataset_info.json").is_file()


class RecordWindows:
    """Draws windows of a built data set.

    A shuffled, endless grain data set: window number `step * batch + row` is the same
    whichever process asks and whenever, so that a run resumes to the exact sample and
    processes share a batch out without talking.
    """

    def __init__(self, config: TrainConfig):
        import tensorflow_datasets as tfds

        self._seed = config.seed
        builder = tfds.builder_from_directory(pathlib.Path(config.clips).expanduser())
        if "train" not in builder.info.splits:
            raise InputError(f"data set {config.clips!r} has no split 'train'.")
        source = builder.as_data_source(split="train")
        epoch = grain.MapDataset.source(source).seed(config.seed).shuffle()
        self._epoch, self._examples = len(epoch), epoch.repeat()

    def rows(self, step: int, stage: Stage, rows: Iterable[int]) -> np.ndarray:
        """Returns some rows of a batch, packed [rows, T, crop/2, crop/2, 6].

        uint8 where the clips have 8 bits, else float32 in [0, 1].
        """
        return np.stack([self._window(step, stage, row) for row in rows])

    def _window(self, step: int, stage: Stage, row: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, step, row])
        first = step * stage.batch + row
        # What is too short or too small is passed over, not made up.
        for number in range(first, first + self._epoch):
            clip, peak = _clip(self._examples[number])
            if clip.holds(stage):
                window = packed(*augmented(*cut(clip, stage, rng), rng))
                if peak == 255:
                    return window.astype(np.uint8)
                return window.astype(np.float32) / peak
        raise InputError(
            f"no clip has {stage.frames} frames of {stage.crop}x{stage.crop}, as stage "
            f"{stage.name!r} asks; build longer clips or choose a smaller window."
        )


def _clip(example: dict) -> tuple[Clip, int]:
    name = example["name"]
    name = name.decode() if isinstance(name, bytes) else str(name)
    peak = (1 << int(example["bit_depth"])) - 1
    return Clip(name, example["y"], example["uv"]), peak
