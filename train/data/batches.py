"""Random windows of clips as training batches, deterministic per step."""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from jaxnvc.errors import InputError
from train.config import Stage, TrainConfig
from train.data.clips import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Clip,
    load_folder,
)
from train.data.records import RecordClips, is_dataset
from train.data.synthetic import moving_window
from train.data.transforms import augmented, cut, packed

# Frames of a septuplet; longer windows may have clips of their own.
_SHORT = 7


class FolderClips:
    """Draws videos of a folder, held in memory.

    Attributes:
      dtype: of the planes.
    """

    dtype = np.uint8

    def __init__(self, config: TrainConfig):
        self._clips = load_folder(config.clips, VIDEO_SUFFIXES)

    def draw(self, stage: Stage, step: int, row: int, rng: np.random.Generator) -> Clip:
        """Draws a clip large and long enough, in proportion to its frames.

        Raises:
          InputError: no clip of the folder is.
        """
        del step, row  # in `rng`
        fit = [clip for clip in self._clips if clip.holds(stage)]
        if not fit:
            raise InputError(
                f"no clip has {stage.frames} frames of {stage.crop}x{stage.crop}, as "
                f"stage {stage.name!r} asks; give larger clips or a smaller crop."
            )
        weights = np.array([len(clip.y) for clip in fit], float)
        return fit[rng.choice(len(fit), p=weights / weights.sum())]


class Windows:
    """Draws windows of videos, and of stills made to move.

    The videos are a folder's or a data set's. Each window depends on the seed, the step
    and its row alone. So a resumed run sees exactly the batches that an uninterrupted
    one sees, and any number of processes share a batch out without talking.
    """

    def __init__(self, config: TrainConfig):
        self._seed = config.seed
        self._share = config.still_share if config.stills else 0.0
        self._clips = self._long = _videos(config)
        if config.long_clips:
            self._long = _videos(dataclasses.replace(config, clips=config.long_clips))
        self._stills = (
            load_folder(config.stills, IMAGE_SUFFIXES) if config.stills else []
        )

    def rows(self, step: int, stage: Stage, rows: Iterable[int]) -> np.ndarray:
        """Returns some rows of a batch, packed [rows, T, crop/2, crop/2, 6].

        Unsigned integers over the whole range of their type.
        """
        return np.stack([self._window(stage, step, row) for row in rows])

    def _window(self, stage: Stage, step: int, row: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, step, row])
        clips = self._long if stage.frames > _SHORT else self._clips
        if rng.random() < self._share:
            still = self._stills[rng.integers(len(self._stills))]
            if stage.frames == 1 and still.holds(stage):
                y, uv = cut(still, stage, rng)
            else:
                y, uv = moving_window(still, stage.frames, stage.crop, rng)
            scale = np.iinfo(clips.dtype).max // 255
            y, uv = (plane.astype(clips.dtype) * scale for plane in (y, uv))
        else:
            clip = clips.draw(stage, step, row, rng)
            y, uv = cut(clip, stage, rng)
        return packed(*augmented(y, uv, rng))


def _videos(config: TrainConfig) -> FolderClips | RecordClips:
    return (RecordClips if is_dataset(config.clips) else FolderClips)(config)


def prefetched(draw: Callable[[int], Any], first: int, end: int) -> Iterator:
    """Yields (step, draw(step)) for first <= step < end, two ahead in a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(draw, step) for step in range(first, min(first + 2, end))]
        for step in range(first, end):
            drawn = ahead.pop(0).result()
            if step + 2 < end:
                ahead.append(pool.submit(draw, step + 2))
            yield step, drawn
