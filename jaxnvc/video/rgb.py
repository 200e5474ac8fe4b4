"""The package's only RGB conversions: R'G'B' to 8-bit 4:2:0 and back.

Down: the mean of each 2x2 block, so chroma sits in the middle of the block. Up:
bilinear from the same place. R'G'B' is full range, rounded to whole numbers of as
many bits as asked for. Matrix and range come from a `Colour` and are never guessed: a
description that leaves them unsaid is refused.
"""

from collections.abc import Sequence

import numpy as np

from jaxnvc.errors import UsageError
from jaxnvc.video.frames import (
    BT709,
    Colour,
    Yuv420,
    block_mean,
    check_bit_depth,
    sample_dtype,
)

# Kr and Kb of H.273 MatrixCoefficients, table 4, by code point.
_MATRICES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def _weights(colour: Colour) -> tuple[float, float, float]:
    """Kr, Kg, Kb of a colour description that says its matrix and range."""
    if colour.matrix not in _MATRICES or colour.full_range is None:
        raise UsageError(
            f"RGB needs a known matrix and range, not matrix {colour.matrix} with "
            f"full_range {colour.full_range}: pass colour=BT709, or "
            "info.colour.filled_from(BT709)"
        )
    kr, kb = _MATRICES[colour.matrix]
    return kr, 1.0 - kr - kb, kb


def _scales(colour: Colour, bit_depth: int) -> tuple[float, float, float, float]:
    """Luma offset and span, chroma offset and span, in code values."""
    if colour.full_range:
        peak = float((1 << bit_depth) - 1)
        return 0.0, peak, float(1 << (bit_depth - 1)), peak
    unit = float(1 << (bit_depth - 8))
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def rgb_to_yuv420(rgb: np.ndarray, colour: Colour = BT709) -> Yuv420 | list[Yuv420]:
    """R'G'B' to 8-bit 4:2:0; chroma is the mean of each 2x2 block (centre sited).

    Args:
      rgb: uint8, [H, W, 3] or [T, H, W, 3].
      colour: its matrix and range choose the formula; BT.709 limited by default.

    Returns:
      One picture, or a list of T pictures.

    Raises:
      UsageError: wrong shape or type, or `colour` leaves matrix or range unsaid.

    Source: H.273 (07/2021), 8.3, equations for MatrixCoefficients 1, 4 to 7, 9.
    """
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.ndim not in (3, 4) or rgb.shape[-1] != 3:
        raise UsageError(
            f"RGB of type {rgb.dtype} and shape {rgb.shape} is not supported: give "
            "uint8 [H, W, 3] or [T, H, W, 3]"
        )
    if rgb.ndim == 4:
        return [rgb_to_yuv420(picture, colour) for picture in rgb]
    kr, kg, kb = _weights(colour)
    black, luma_span, grey, chroma_span = _scales(colour, 8)
    red, green, blue = np.moveaxis(rgb.astype(np.float32) / 255, -1, 0)
    luma = kr * red + kg * green + kb * blue
    # The mean of a difference is the difference of means: subsample first, round once.
    cb = block_mean(blue - luma, 2, 2) / (2 * (1 - kb))
    cr = block_mean(red - luma, 2, 2) / (2 * (1 - kr))
    return Yuv420(
        _to_whole(black + luma_span * luma),
        _to_whole(grey + chroma_span * cb),
        _to_whole(grey + chroma_span * cr),
    )


def yuv420_to_rgb(
    planes: Yuv420 | Sequence[Yuv420], colour: Colour = BT709, bit_depth: int = 8
) -> np.ndarray:
    """4:2:0 to R'G'B'; chroma is raised bilinearly, centre sited.

    Args:
      planes: one picture or a sequence of T equal-sized pictures, 8 or 10 bits.
      colour: its matrix and range choose the formula; BT.709 limited by default.
      bit_depth: of the result, 8 or 10, whatever that of `planes` is.

    Returns:
      uint8, or uint16 of 10 bits, [H, W, 3] or [T, H, W, 3].

    Raises:
      UsageError: `colour` leaves matrix or range unsaid, the sequence is empty, or
        another bit depth.
    """
    check_bit_depth(bit_depth)
    if not isinstance(planes, Yuv420):
        if not planes:
            raise UsageError("no picture to convert to RGB: give at least one")
        return np.stack(
            [yuv420_to_rgb(picture, colour, bit_depth) for picture in planes]
        )
    kr, kg, kb = _weights(colour)
    black, luma_span, grey, chroma_span = _scales(colour, planes.bit_depth)
    luma = (planes.y.astype(np.float32) - black) / luma_span
    cb, cr = (
        (_double(_double(c.astype(np.float32), 0), 1) - grey) / chroma_span
        for c in (planes.u, planes.v)
    )
    cb, cr = (c[: planes.height, : planes.width] for c in (cb, cr))
    red = luma + 2 * (1 - kr) * cr
    blue = luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / kg
    peak = (1 << bit_depth) - 1
    return _to_whole(peak * np.stack([red, green, blue], -1), bit_depth)


def _double(plane: np.ndarray, axis: int) -> np.ndarray:
    """Doubles one axis bilinearly; new samples lie a quarter step off the old."""
    last = plane.shape[axis] - 1
    here = np.arange(last + 1)
    before = np.take(plane, np.maximum(here - 1, 0), axis)
    after = np.take(plane, np.minimum(here + 1, last), axis)
    pair = np.stack([0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after])
    shape = list(plane.shape)
    shape[axis] *= 2
    return np.moveaxis(pair, 0, axis + 1).reshape(shape)


def _to_whole(values: np.ndarray, bit_depth: int = 8) -> np.ndarray:
    """Rounds, and clips to 0..2^bit_depth - 1."""
    values = np.clip(np.rint(values), 0, (1 << bit_depth) - 1)
    return values.astype(sample_dtype(bit_depth))
