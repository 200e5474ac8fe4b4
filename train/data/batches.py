"""Random windows of clips as training batches, deterministic per step."""

import concurrent.futures
from collections.abc import Iterator

import numpy as np

from train.config import Stage, TrainConfig
from train.data.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Clip, load_folder
from train.data.synthetic import moving_window


class Windows:
    """Draws batches; batch `step` depends on the seed and the step alone.

    So a resumed run sees exactly the batches that an uninterrupted one sees.
    """

    def __init__(self, config: TrainConfig):
        self._seed = config.seed
        self._share = config.still_share if config.stills else 0.0
        self._clips = load_folder(config.clips, VIDEO_SUFFIXES)
        self._stills = (
            load_folder(config.stills, IMAGE_SUFFIXES) if config.stills else []
        )

    def batch(self, step: int, stage: Stage) -> np.ndarray:
        """Returns uint8 packed windows [B, T, crop/2, crop/2, 6]."""
        rng = np.random.default_rng([self._seed, step])
        return np.stack([self._window(rng, stage) for _ in range(stage.batch)])

    def _window(self, rng: np.random.Generator, stage: Stage) -> np.ndarray:
        if rng.random() < self._share:
            still = self._stills[rng.integers(len(self._stills))]
            y, uv = moving_window(still, stage.frames, stage.crop, rng)
        else:
            y, uv = self._cut(rng, stage)
        y, uv = _augment(y, uv, rng)
        frames, side, _ = y.shape
        cells = y.reshape(frames, side // 2, 2, side // 2, 2).transpose(0, 1, 3, 2, 4)
        return np.concatenate([cells.reshape(*uv.shape[:3], 4), uv], -1)

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


def prefetched(windows: Windows, config: TrainConfig, first: int) -> Iterator:
    """Yields (step, batch) from step `first` on, two batches ahead in a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def submit(step):
            return pool.submit(windows.batch, step, config.stage_at(step)[0])

        ahead = [submit(first), submit(first + 1)]
        for step in range(first, config.total_steps):
            batch = ahead.pop(0).result()
            ahead.append(submit(step + 2))
            yield step, batch
