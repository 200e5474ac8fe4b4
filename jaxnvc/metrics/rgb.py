"""PSNR and MS-SSIM of R'G'B' 4:4:4 pictures, as papers measure that code in RGB.

How pictures in YUV 4:2:0 become RGB is told in `jaxnvc.video.rgb`.
"""

from collections.abc import Iterable

import jax
import numpy as np

from jaxnvc.errors import UsageError
from jaxnvc.metrics.ms_ssim import ms_ssim_plane
from jaxnvc.metrics.psnr import plane_psnr


def psnr_rgb(
    a: Iterable[np.ndarray], b: Iterable[np.ndarray], bit_depth: int = 8
) -> float:
    """PSNR of a sequence: one mean squared error over the three channels of a frame.

    Args:
      a: pictures [H, W, 3], integers of 0..2^bit_depth - 1.
      b: as many of the same sizes.
      bit_depth: 8 or 10.

    Returns:
      Decibels, averaged over frames; at most MAX_PSNR_DB each.

    Raises:
      UsageError: the sequences do not belong together, or another bit depth.
    """
    values = [
        plane_psnr(x.reshape(len(x), -1), y.reshape(len(y), -1), bit_depth)
        for x, y in _pairs(a, b, bit_depth)
    ]
    return float(np.mean(values))


def ms_ssim_rgb(
    a: Iterable[np.ndarray], b: Iterable[np.ndarray], bit_depth: int = 8
) -> float:
    """MS-SSIM of a sequence: the mean over channels, then over frames.

    Args:
      a: as of `psnr_rgb`, both sides at least MIN_SIDE.
      b: as many of the same sizes.
      bit_depth: 8 or 10.

    Returns:
      0..1, where 1 is identical.

    Raises:
      UsageError: as of `psnr_rgb`, or a side below MIN_SIDE.
    """
    values = [
        jax.device_get(
            [ms_ssim_plane(x[..., i], y[..., i], bit_depth) for i in (0, 1, 2)]
        )
        for x, y in _pairs(a, b, bit_depth)
    ]
    return float(np.mean(values))


def _pairs(a, b, bit_depth: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs two sequences picture by picture."""
    if bit_depth not in (8, 10):
        raise UsageError(f"bit_depth={bit_depth} is not supported: use 8 or 10")
    a, b = list(a), list(b)
    shapes = [[picture.shape for picture in side] for side in (a, b)]
    if shapes[0] != shapes[1] or not a or any(len(s) != 3 for s in shapes[0]):
        raise UsageError(
            f"{len(a)} pictures of {shapes[0][:1]} cannot be compared with {len(b)} of "
            f"{shapes[1][:1]}: give two sequences of as many pictures [H, W, 3]"
        )
    return list(zip(a, b, strict=True))
