"""From clips to windows: cutting, augmenting, packing."""

import numpy as np

from train.config import Stage
from train.data.clips import Clip


def cut(clip: Clip, stage: Stage, rng: np.random.Generator):
    """Cuts a window at a random place and time, a fifth of them at double speed.

    A clip that is shorter than the window runs forwards and backwards in turn.

    Returns:
      y [T, crop, crop] and uv [T, crop/2, crop/2, 2] of the clip's type.
    """
    _, height, width = clip.y.shape
    times = _times(len(clip.y), stage.frames, rng)
    top = rng.integers((height - stage.crop) // 2 + 1) * 2
    left = rng.integers((width - stage.crop) // 2 + 1) * 2
    y = clip.y[times, top : top + stage.crop, left : left + stage.crop]
    half = slice(top // 2, (top + stage.crop) // 2)
    return y, clip.uv[times, half, left // 2 : (left + stage.crop) // 2]


def _times(length: int, frames: int, rng: np.random.Generator) -> slice | np.ndarray:
    if length < frames:
        period = 2 * (length - 1)
        time = np.arange(frames) % period
        return np.minimum(time, period - time)
    intervals = frames - 1
    may_skip = 2 * intervals < length
    stride = 2 if may_skip and rng.random() < 0.2 else 1
    first = rng.integers(length - stride * intervals)
    return slice(first, first + stride * intervals + 1, stride)


def augmented(y, uv, rng) -> tuple[np.ndarray, np.ndarray]:
    """Flips in space and reverses in time at random."""
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            y, uv = np.flip(y, axis), np.flip(uv, axis)
    if rng.random() < 0.5:
        y, uv = y.swapaxes(1, 2), uv.swapaxes(1, 2)
    return y, uv


def packed(y: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Packs planes [T, H, W] and [T, H/2, W/2, 2] as codecs take them.

    Returns:
      [T, H/2, W/2, 6], see `jaxnvc.ops.frame`.
    """
    frames, height, width = y.shape
    cells = y.reshape(frames, height // 2, 2, width // 2, 2).transpose(0, 1, 3, 2, 4)
    return np.concatenate([cells.reshape(*uv.shape[:3], 4), uv], -1)
