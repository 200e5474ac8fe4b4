"""Clips of a data set that `train.data.build` made, read at random by grain."""

import pathlib

import grain
import numpy as np

from jaxnvc.errors import InputError
from train.config import Stage, TrainConfig
from train.data.clips import Clip

_PEAK = np.iinfo(np.uint16).max


def is_dataset(folder: str) -> bool:
    """Tells whether a folder holds a built data set."""
    return (pathlib.Path(folder).expanduser() / "dataset_info.json").is_file()


class RecordClips:
    """Draws clips of a built data set.

    A shuffled, endless grain data set: clip number `step * batch + row` is the same
    whichever process asks and whenever, so that a run resumes to the exact sample and
    processes share a batch out without talking.

    Attributes:
      dtype: of the planes, uint16 over its whole range whatever the clips' depths are,
        so that a batch may mix them.
    """

    dtype = np.uint16

    def __init__(self, config: TrainConfig):
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(pathlib.Path(config.clips).expanduser())
        if "train" not in builder.info.splits:
            raise InputError(f"data set {config.clips!r} has no split 'train'.")
        source = builder.as_data_source(split="train")
        epoch = grain.MapDataset.source(source).seed(config.seed).shuffle()
        self._epoch, self._examples = len(epoch), epoch.repeat()

    def draw(self, stage: Stage, step: int, row: int, rng: np.random.Generator) -> Clip:
        """Returns the clip of a row of a batch, large and long enough for the stage.

        What is too short or too small is passed over, not made up.

        Raises:
          InputError: no clip of the data set is.
        """
        del rng  # the order of the epoch has been drawn once for all
        first = step * stage.batch + row
        for number in range(first, first + self._epoch):
            clip = _clip(self._examples[number])
            if clip.holds(stage):
                return clip
        raise InputError(
            f"no clip has {stage.frames} frames of {stage.crop}x{stage.crop}, as stage "
            f"{stage.name!r} asks; build longer clips or choose a smaller window."
        )


def _clip(example: dict) -> Clip:
    name = example["name"]
    name = name.decode() if isinstance(name, bytes) else str(name)
    peak = (1 << int(example["bit_depth"])) - 1
    return Clip(name, *(_full_range(example[plane], peak) for plane in ("y", "uv")))


def _full_range(plane: np.ndarray, peak: int) -> np.ndarray:
    scaled = plane.astype(np.uint32) * _PEAK + peak // 2
    return (scaled // peak).astype(np.uint16)
