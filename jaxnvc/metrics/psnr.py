"""PSNR of 4:2:0 pictures, exact: integer differences, integer sums.

The device sums squared differences in uint32 over runs of columns too short to
overflow; the host adds those up in 64 bits. So the result depends on no device's
rounding but that of one logarithm per plane.
"""

import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.errors import UsageError
from jaxnvc.metrics.pairs import Picture, picture_pairs

MAX_PSNR_DB = 100.0
"""What identical planes get, and the most any plane gets, so that means stay finite."""

LUMA_WEIGHT = 6 / 8
CHROMA_WEIGHT = 1 / 8

# 4096 * 1023 ** 2 is the largest sum of a run, just below 2 ** 32.
_RUN = 4096


@jax.jit
def squared_error_sums(a: jax.Array, b: jax.Array) -> jax.Array:
    """Sums squared differences over runs of at most 4096 columns.

    Args:
      a: [H, W] integers, 0..1023.
      b: the same.

    Returns:
      uint32 [H, ceil(W / 4096)]; the sum of all is the plane's squared error.
    """
    difference = a.astype(jnp.int32) - b.astype(jnp.int32)
    squares = jnp.square(difference).astype(jnp.uint32)
    height, width = squares.shape
    run = min(width, _RUN)
    squares = jnp.pad(squares, ((0, 0), (0, -width % run)))
    return squares.reshape(height, -1, run).sum(-1, dtype=jnp.uint32)


def plane_psnr(a: np.ndarray, b: np.ndarray, bit_depth: int = 8) -> float:
    """PSNR of one plane.

    Args:
      a: [H, W] integers, 0..2^bit_depth - 1.
      b: the same.
      bit_depth: 8 or 10; the peak is 255 or 1023.

    Returns:
      Decibels, at most MAX_PSNR_DB, which identical planes have.
    """
    sums = np.asarray(squared_error_sums(a, b))
    squared_error = int(sums.sum(dtype=np.uint64))
    if squared_error == 0:
        return MAX_PSNR_DB
    peak = (1 << bit_depth) - 1
    ratio = peak**2 * a.size / squared_error
    return min(10 * math.log10(ratio), MAX_PSNR_DB)


def psnr_per_frame(
    a: Iterable[Picture], b: Iterable[Picture], bit_depth: int = 8
) -> np.ndarray:
    """PSNR of every plane of every frame.

    Args:
      a: pictures, `jaxnvc.video.Yuv420` or alike.
      b: as many of the same sizes.
      bit_depth: 8 or 10, of all pictures.

    Returns:
      float64 [T, 3]: y, u, v in decibels, each at most MAX_PSNR_DB.

    Raises:
      UsageError: the sequences do not belong together, or another bit depth.
    """
    if bit_depth not in (8, 10):
        raise UsageError(f"bit_depth={bit_depth} is not supported: use 8 or 10")
    return np.array(
        [
            [
                plane_psnr(plane_a, plane_b, bit_depth)
                for plane_a, plane_b in zip(one.planes, other.planes, strict=True)
            ]
            for one, other in picture_pairs(a, b, bit_depth)
        ]
    )


def psnr_yuv(
    a: Iterable[Picture], b: Iterable[Picture], bit_depth: int = 8
) -> dict[str, float]:
    """PSNR of a sequence: per plane and frame, then averaged over frames.

    Identical planes have MAX_PSNR_DB = 100 dB instead of infinity.

    Args:
      a: pictures, `jaxnvc.video.Yuv420` or alike.
      b: as many of the same sizes.
      bit_depth: 8 or 10, of all pictures.

    Returns:
      Decibels under "y", "u", "v", and the headline "yuv" = (6 y + u + v) / 8.

    Raises:
      UsageError: the sequences do not belong together, or another bit depth.
    """
    y, u, v = map(float, psnr_per_frame(a, b, bit_depth).mean(0))
    yuv = LUMA_WEIGHT * y + CHROMA_WEIGHT * (u + v)
    return {"y": y, "u": u, "v": v, "yuv": yuv}
