"""Small parts of pictures, as PNG, for people to look at side by side."""

import dataclasses
import pathlib
from fractions import Fraction

import av
import numpy as np

from jaxnvc.video import BT709, Colour, Yuv420, yuv420_to_rgb

SIDE = 160
_STEP = 16


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of a picture in luma samples; all even."""

    top: int
    left: int
    height: int
    width: int


def busiest_window(luma: np.ndarray, side: int = SIDE) -> Window:
    """Finds the square in which neighbouring samples differ most.

    Args:
      luma: [H, W] samples.
      side: of the square, cut to the picture.
    """
    height, width = (min(side, length // 2 * 2 or length) for length in luma.shape)
    detail = np.zeros(luma.shape, np.float64)
    detail[:, 1:] += np.abs(np.diff(luma.astype(np.int32), axis=1))
    detail[1:] += np.abs(np.diff(luma.astype(np.int32), axis=0))
    total = np.pad(detail, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    tops = range(0, luma.shape[0] - height + 1, _STEP)
    lefts = range(0, luma.shape[1] - width + 1, _STEP)

    def detail_in(place):
        t, l = place
        b, r = t + height, l + width
        return total[b, r] - total[t, r] - total[b, l] + total[t, l]

    top, left = max(((t, l) for t in tops for l in lefts), key=detail_in)
    return Window(top, left, height, width)


def write_crop(
    path: pathlib.Path, picture: Yuv420, window: Window, colour: Colour
) -> None:
    """Writes a part of a picture as a PNG in RGB, BT.709 where nothing is said."""
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    half = tuple(slice(s.start // 2, (s.stop + 1) // 2) for s in (rows, columns))
    part = Yuv420(picture.y[rows, columns], picture.u[half], picture.v[half])
    path.write_bytes(png(yuv420_to_rgb(part, colour.filled_from(BT709))))


def png(rgb: np.ndarray) -> bytes:
    """Returns [H, W, 3] uint8 as the bytes of a PNG file."""
    context = av.CodecContext.create("png", "w")
    context.height, context.width = rgb.shape[:2]
    context.pix_fmt, context.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    return b"".join(map(bytes, [*context.encode(frame), *context.encode(None)]))
