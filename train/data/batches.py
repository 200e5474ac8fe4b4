"""Random windows of clips as training batches, deterministic per step."""

import concurrent.futures
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
    packed,
)
from train.data.synthetic import moving_window


class Windows:
    """Draws windows; each depends on the seed, the step and its row alone.

    So a resumed run sees exactly the batches that an uninterrupted one sees, and any
    number of processes share a batch out without talking.
    """

    def __init__(self, config: TrainConfig):
        self._seed = config.seed
        self._share = config.still_share if config.stills else 0.0
        self._clips = load_folder(config.clips, VIDEO_SUFFIXES)
        self._stills = (
            load_folder(config.stills, IMAGE_SUFFIXES) if config.stills else []
        )

    def rows(self, step: int, stage: Stage, rows: Iterable[int]) -> np.ndarray:
        """Returns some rows of a batch, uint8 packed [rows, T, crop/2, crop/2, 6]."""
        return np.stack(
            [
                self._window(np.random.default_rng([self._seed, step, row]), stage)
                for row in rows
            ]
        )

    def _window(self, rng: np.random.Generator, stage: Stage) -> np.ndarray:
        if rng.random() < self._share:
            still = self._stills[rng.integers(len(self._stills))]
            y, uv = moving_window(still, stage.frames, stage.crop, rng)
        else:
            y, uv = self._cut(rng, stage)
        y, uv = _augment(y, uv, rng)
        return packed(y, uv)

    def _cut(self, rng, stage: Stage) -> tuple[np.ndarray, np.ndarray]:
        clip = self._suitable(rng, stage)
        length, height, width = clip.y.shape
        longest = (length - 1) // (stage.frames - 1)
        stride = 2 if longest >= 2 and rng.random() < 0.2 else 1
        first = rng.integers(length - stride * (stage.frames - 1))
        times = slice(first, first + stride * (stage.frames - 1) + 1, stride)
        top = rng.integers((height - stage.crop) // 2 + 1) * 2
        left = rng.integers((width - stage.crop) // 2 + 1) * 2
        y = clip.y[times, top : top + stage.crop, left : left + stage.crop]
        half = slice(top // 2, (top + stage.crop) // 2)
        uv = clip.uv[times, half, left // 2 : (left + stage.crop) // 2]
        return y, uv

    def _suitable(self, rng, stage: Stage) -> Clip:
        """Draws a clip large and long enough, in proportion to its frames."""
        fit = [
            clip
            for clip in self._clips
            if len(clip.y) >= stage.frames and min(clip.y.shape[1:]) >= stage.crop
        ]
        if not fit:
            raise InputError(
                f"no clip has {stage.frames} frames of {stage.crop}x{stage.crop}, as "
                f"stage {stage.name!r} asks; give larger clips or a smaller crop."
            )
        weights = np.array([len(clip.y) for clip in fit], float)
        return fit[rng.choice(len(fit), p=weights / weights.sum())]


def _augment(y, uv, rng) -> tuple[np.ndarray, np.ndarray]:
    """Flips in space and reverses in time at random."""
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            y, uv = np.flip(y, axis), np.flip(uv, axis)
    if rng.random() < 0.5:
        y, uv = y.swapaxes(1, 2), uv.swapaxes(1, 2)
    return y, uv


def prefetched(draw: Callable[[int], Any], first: int, end: int) -> Iterator:
    """Yields (step, draw(step)) for first <= step < end, two ahead in a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(draw, step) for step in range(first, min(first + 2, end))]
        for step in range(first, end):
            drawn = ahead.pop(0).result()
            if step + 2 < end:
                ahead.append(pool.submit(draw, step + 2))
            yield step, drawn
