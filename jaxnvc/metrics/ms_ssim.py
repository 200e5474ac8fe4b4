"""Multi-scale structural similarity of luma.

Source: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality
assessment", 2003: five scales, their weights, 11x11 Gaussian of deviation 1.5, K1 =
0.01, K2 = 0.03, windows wholly inside the picture. As in the usual implementations,
and not said there: each scale halves by 2x2 means, a last odd row or column counting
twice, and a scale whose mean is negative counts as 0.
"""

import functools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.errors import UsageError
from jaxnvc.metrics.pairs import Picture, picture_pairs

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MIN_SIDE = 161
"""The smallest side whose fifth scale still holds one window of 11."""

_WINDOW, _DEVIATION = 11, 1.5
_K1, _K2 = 0.01, 0.03


def _taps() -> tuple[float, ...]:
    """One side of the separable window, float32 values that sum to exactly 1.

    Else the square of a mean and the mean of squares would differ by a constant share
    of the square, which is much where the contrast is little.
    """
    centre = _WINDOW // 2
    taps = [
        math.exp(-((i - centre) ** 2) / (2 * _DEVIATION**2)) for i in range(_WINDOW)
    ]
    taps = [float(np.float32(tap / sum(taps))) for tap in taps]
    taps[centre] += 1 - sum(taps)
    return tuple(taps)


def _windowed_means(maps: jax.Array) -> jax.Array:
    """Gaussian means of [N, H, W], giving [N, H - 10, W - 10].

    Sums of shifted slices and no convolution, whose precision is a device's choice.
    """
    for axis in (1, 2):
        count = maps.shape[axis] - _WINDOW + 1
        maps = sum(
            tap * jax.lax.slice_in_dim(maps, i, i + count, axis=axis)
            for i, tap in enumerate(_taps())
        )
    return maps


def _halved(maps: jax.Array) -> jax.Array:
    """Means of 2x2 samples of [N, H, W], giving [N, ceil(H/2), ceil(W/2)]."""
    count, height, width = maps.shape
    padding = ((0, 0), (0, height % 2), (0, width % 2))
    maps = jnp.pad(maps, padding, mode="edge")
    rows, columns = maps.shape[1] // 2, maps.shape[2] // 2
    return maps.reshape(count, rows, 2, columns, 2).mean((2, 4))


def _scale_terms(pair: jax.Array, middle: jax.Array, peak: float):
    """Mean contrast-structure and mean similarity of one scale.

    Args:
      pair: [2, H, W], each picture less its `middle`: variances are small differences
        of squares, and float32 is finest near 0.
      middle: [2], what was subtracted.
      peak: the largest sample value.

    Returns:
      Two scalars, at most 1.
    """
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    x, y = pair
    mean_x, mean_y, xx, yy, xy = _windowed_means(jnp.stack([x, y, x * x, y * y, x * y]))
    variances = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    contrast = (2 * covariance + c2) / (variances + c2)
    mean_x, mean_y = mean_x + middle[0], mean_y + middle[1]
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return contrast.mean(), (luminance * contrast).mean()


@functools.partial(jax.jit, static_argnames="bit_depth")
def ms_ssim_plane(a: jax.Array, b: jax.Array, bit_depth: int = 8) -> jax.Array:
    """MS-SSIM of one plane.

    Args:
      a: [H, W], both at least MIN_SIDE; any type, 0..2^bit_depth - 1.
      b: the same.
      bit_depth: static; the peak is 2^bit_depth - 1.

    Returns:
      float32 scalar, 0..1.

    Raises:
      UsageError: a side below MIN_SIDE.
    """
    check_size(a.shape)
    peak = float((1 << bit_depth) - 1)
    pair = jnp.stack([a, b]).astype(jnp.float32)
    middle = jnp.round(pair.mean((1, 2)))
    pair = pair - middle[:, None, None]
    result = jnp.float32(1)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        contrast, similarity = _scale_terms(pair, middle, peak)
        is_last = scale == len(SCALE_WEIGHTS) - 1
        term = similarity if is_last else contrast
        result = result * jnp.maximum(term, 0.0) ** weight
        pair = pair if is_last else _halved(pair)
    return result


def check_size(shape: tuple[int, int]) -> None:
    """Raises UsageError unless five scales fit a plane of [H, W]."""
    if min(shape) < MIN_SIDE:
        raise UsageError(
            f"MS-SSIM of a {shape[1]}x{shape[0]} picture is not defined: its five "
            f"scales need at least {MIN_SIDE} samples each way, so use PSNR"
        )


def ms_ssim(a: Iterable[Picture], b: Iterable[Picture], bit_depth: int = 8) -> float:
    """MS-SSIM of luma, averaged over the frames of a sequence.

    Args:
      a: pictures, `jaxnvc.video.Yuv420` or alike, both sides at least MIN_SIDE.
      b: as many of the same sizes.
      bit_depth: 8 or 10, of all pictures.

    Returns:
      0..1, where 1 is identical.

    Raises:
      UsageError: a side below MIN_SIDE, sequences that do not belong together, or
        another bit depth.
    """
    if bit_depth not in (8, 10):
        raise UsageError(f"bit_depth={bit_depth} is not supported: use 8 or 10")
    values = [
        float(ms_ssim_plane(one.planes[0], other.planes[0], bit_depth))
        for one, other in picture_pairs(a, b, bit_depth)
    ]
    return float(np.mean(values))
