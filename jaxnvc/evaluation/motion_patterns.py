"""Synthetic motion from a still: eight patterns that each ask one thing of a codec.

Source: DHVC 2.0's probe of motion patterns, 32 frames each: zoom scales by 0.98 a
frame, pulse has a period of two frames, shake moves by up to 20 samples. The other
rates of change are not published and chosen here, as is zoom's panning.
"""

from collections.abc import Callable, Iterator

import numpy as np

from jaxnvc.errors import UsageError
from jaxnvc.video import Yuv420, rgb_to_yuv420

NUM_FRAMES = 32
_ZOOM, _PAN = 0.98, 1.5  # per frame: scale, samples to the right and down
_SHAKE = 20  # samples, each way
_FULL = 4.0  # deviation of blur, and strength of sharpening, at the last frame


def _blurred(picture: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian blur of [H, W, 3] floats; edges repeated."""
    reach = int(np.ceil(3 * deviation))
    if reach == 0:
        return picture
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    taps /= taps.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if axis == a else (0, 0) for a in range(3)]
        wide = np.pad(picture, padding, mode="edge")
        length = picture.shape[axis]
        picture = sum(
            tap * np.take(wide, np.arange(i, i + length), axis)
            for i, tap in enumerate(taps)
        )
    return picture


def _sampled(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear samples at fractional rows and columns; edges repeated."""
    height, width, _ = picture.shape
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    a, b = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = (1 - b) * picture[np.ix_(top, left)] + b * picture[np.ix_(top, right)]
    lower = (1 - b) * picture[np.ix_(down, left)] + b * picture[np.ix_(down, right)]
    return (1 - a) * upper + a * lower


def _moved(picture: np.ndarray, scale: float, down: float, across: float) -> np.ndarray:
    """Scaled about the middle (below 1 shows less of it, larger) and shifted."""
    height, width, _ = picture.shape
    rows = (np.arange(height) - height / 2) * scale + height / 2 + down
    columns = (np.arange(width) - width / 2) * scale + width / 2 + across
    return _sampled(picture, rows, columns)


def _sharpen(picture, t, rng):
    amount = 0.5 * _FULL * t / (NUM_FRAMES - 1)
    return picture + amount * (picture - _blurred(picture, 1.5))


def _lighten(picture, t, rng):
    return picture * (1 + t / (NUM_FRAMES - 1))


def _zoom(picture, t, rng):
    pan = _PAN * t * _ZOOM**t
    return _moved(picture, _ZOOM**t, pan, pan)


def _fade(picture, t, rng):
    share = t / (NUM_FRAMES - 1)
    return (1 - share) * picture + share * picture[:, ::-1]


def _blur(picture, t, rng):
    return _blurred(picture, _FULL * t / (NUM_FRAMES - 1))


def _darken(picture, t, rng):
    return picture * (1 - 0.9 * t / (NUM_FRAMES - 1))


def _pulse(picture, t, rng):
    return picture * (1.15 if t % 2 else 1.0)


def _shake(picture, t, rng):
    down, across = rng.integers(-_SHAKE, _SHAKE + 1, 2) if t else (0, 0)
    return _moved(picture, 1.0, float(down), float(across))


PATTERNS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "sharpen": _sharpen,
    "lighten": _lighten,
    "zoom": _zoom,
    "fade": _fade,
    "blur": _blur,
    "darken": _darken,
    "pulse": _pulse,
    "shake": _shake,
}


def moving_still(
    still: np.ndarray, pattern: str, frames: int = NUM_FRAMES, seed: int = 0
) -> Iterator[Yuv420]:
    """Makes a sequence from a still.

    Args:
      still: uint8 RGB [H, W, 3].
      pattern: key of `PATTERNS`.
      frames: how many, the first frame is the still.
      seed: of the shake.

    Yields:
      8-bit pictures of the still's size, BT.709.

    Raises:
      UsageError: there is no such pattern.
    """
    if pattern not in PATTERNS:
        raise UsageError(
            f"{pattern} is no motion pattern: use one of {', '.join(PATTERNS)}"
        )
    rng, picture = np.random.default_rng(seed), still.astype(np.float32)
    for t in range(frames):
        moved = PATTERNS[pattern](picture, t, rng)
        yield rgb_to_yuv420(np.clip(np.rint(moved), 0, 255).astype(np.uint8))
