"""Raw planar 4:2:0 (.yuv): no header, so size and depth come from elsewhere."""

import dataclasses
import os
import re
import warnings
from fractions import Fraction
from typing import BinaryIO

from jaxnvc.errors import InputError, UsageError
from jaxnvc.video.frames import (
    ASSUMED_TIME_BASE,
    VideoFrame,
    VideoInfo,
    VideoWarning,
    Yuv420,
    check_bit_depth,
    check_size,
    picture_num_bytes,
)

_SIZE = re.compile(r"(?<!\d)(\d{1,5})[xX](\d{1,5})(?!\d)")
_RATE = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3})?)\s?(?:fps|hz)", re.IGNORECASE)
_RATE_AFTER_SIZE = re.compile(r"\d[xX]\d{1,5}_(\d{1,3}(?:\.\d{1,3})?)(?=[_.]|$)")
_DEPTH = re.compile(r"(?<!\d)(\d{1,2})[-_ ]?bits?(?![a-z])", re.IGNORECASE)
_OTHER_CHROMA = re.compile(r"(?<!\d)(?:yuv)?(400|411|422|444)(?!\d)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawFormat:
    """What a raw file does not say itself.

    Attributes:
      width: luma columns.
      height: luma rows.
      bit_depth: 8 (bytes), or 10 (little-endian 16-bit words holding 0..1023).
      frame_rate: frames per second, or None if unknown.

    Raises:
      UsageError: a value outside its range.
    """

    width: int
    height: int
    bit_depth: int = 8
    frame_rate: Fraction | None = None

    def __post_init__(self):
        check_size(self.width, self.height)
        check_bit_depth(self.bit_depth)
        if self.frame_rate is not None and self.frame_rate <= 0:
            raise UsageError(f"a frame rate of {self.frame_rate} must be above 0")


def format_from_name(name: str) -> RawFormat:
    """Reads size, depth and rate from a file name, as test sequences spell them.

    Understood: `name_416x240_30fps_8bit.yuv`, `Name_832x480_50.yuv`, `59.94fps`.
    Depth is 8 where the name is silent.

    Args:
      name: the file's name; folders in front are ignored.

    Raises:
      UsageError: no size in the name, or a chroma format other than 4:2:0.
    """
    stem = os.path.splitext(os.path.basename(name))[0]
    size = _SIZE.search(stem)
    if size is None:
        raise UsageError(
            f"{name} is raw video and does not say its size: pass "
            "raw=RawFormat(width=..., height=...), or rename it to something like "
            "name_416x240_30fps_8bit.yuv"
        )
    rest = stem[: size.start()] + "_" + stem[size.end() :]
    other = _OTHER_CHROMA.search(rest)
    if other is not None:
        raise UsageError(
            f"{name} says 4:{other[1][1]}:{other[1][2]} chroma, and raw video is read "
            "as 4:2:0 only: convert it to 4:2:0, or pass raw=RawFormat(...) if the "
            "name is wrong"
        )
    depth = _DEPTH.search(rest)
    rate = _RATE.search(rest) or _RATE_AFTER_SIZE.search(stem)
    return RawFormat(
        width=int(size[1]),
        height=int(size[2]),
        bit_depth=int(depth[1]) if depth else 8,
        frame_rate=_rate(rate[1]) if rate and float(rate[1]) > 0 else None,
    )


def _rate(text: str) -> Fraction:
    """A written rate; 23.98, 29.97 and 59.94 mean the fractions over 1001."""
    value = Fraction(text)
    ntsc = Fraction(round(value) * 1000, 1001)
    near = value.denominator > 1 and abs(value - ntsc) < Fraction(1, 100)
    return ntsc if near else value


class RawReader:
    """Frames of a raw stream, in order.

    Attributes:
      info: the given format; `pts` counts frames.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        raw: RawFormat,
        num_bytes: int | None = None,
    ):
        """Prepares to read `stream`, which this reader owns.

        Args:
          stream: binary, positioned at the first frame.
          name: how messages call it.
          raw: size, depth and rate.
          num_bytes: size of the whole stream if it is an ordinary file, else None.
        """
        self._stream, self._name, self._index = stream, name, 0
        self._num_bytes = picture_num_bytes(raw.width, raw.height, raw.bit_depth)
        if raw.frame_rate is None:
            warnings.warn(
                f"{name} does not say its frame rate: frame times assume "
                f"{1 / ASSUMED_TIME_BASE} frames per second",
                VideoWarning,
                stacklevel=2,
            )
        self.info = VideoInfo(
            width=raw.width,
            height=raw.height,
            bit_depth=raw.bit_depth,
            time_base=1 / (raw.frame_rate or 1 / ASSUMED_TIME_BASE),
            frame_rate=raw.frame_rate,
            num_frames=None if num_bytes is None else num_bytes // self._num_bytes,
        )

    def read(self) -> VideoFrame | None:
        """The next frame, or None at the end; a partial last frame is warned of.

        Raises:
          InputError: a sample above 1023 in a 10-bit file.
        """
        data = self._stream.read(self._num_bytes)
        if len(data) < self._num_bytes:
            if data:
                warnings.warn(
                    f"{self._name} ends inside frame {self._index} ({len(data)} of "
                    f"{self._num_bytes} bytes): that frame was left out; check that "
                    f"{self.info.width}x{self.info.height} at {self.info.bit_depth} "
                    "bits is right",
                    VideoWarning,
                    stacklevel=2,
                )
            return None
        info = self.info
        try:
            planes = Yuv420.from_bytes(data, info.width, info.height, info.bit_depth)
        except UsageError as error:
            raise InputError(f"{self._name}: frame {self._index}: {error}") from error
        self._index += 1
        return VideoFrame(planes, self._index - 1)

    def skip(self, count: int) -> None:
        """Passes over up to `count` frames."""
        if self._stream.seekable():
            self._stream.seek(count * self._num_bytes, os.SEEK_CUR)
            self._index += count
            return
        for _ in range(count):
            if len(self._stream.read(self._num_bytes)) < self._num_bytes:
                return
            self._index += 1

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()


class RawWriter:
    """Appends frames as planar bytes; 10 bits as little-endian 16-bit words."""

    def __init__(self, stream: BinaryIO):
        """Writes to binary `stream`, which stays open after `close`."""
        self._stream = stream

    def write(self, frame: VideoFrame) -> None:
        """Appends one frame."""
        self._stream.write(frame.planes.tobytes())

    def close(self) -> None:
        """Hands everything to the operating system."""
        self._stream.flush()
