"""YUV4MPEG2 (.y4m), read and written as a stream: pipes work as well as files.

Source: the yuv4mpeg(5) manual page of mjpegtools, and the tags `XYSCSS` and
`XCOLORRANGE` as FFmpeg writes them. Written from the description.
"""

import dataclasses
import os
import warnings
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxnvc.errors import InputError, UsageError
from jaxnvc.video.frames import (
    ASSUMED_TIME_BASE,
    Colour,
    VideoFrame,
    VideoInfo,
    VideoWarning,
    Yuv420,
    block_mean,
    chroma_shape,
    sample_dtype,
)

MAGIC = b"YUV4MPEG2"
_FRAME = b"FRAME"
_MAX_LINE = 4096


class _Layout(NamedTuple):
    """Samples of one `C` tag.

    Attributes:
      bit_depth: 8 or 10.
      across: luma columns per chroma column; 0 means there is no chroma.
      down: luma rows per chroma row; 0 means there is no chroma.
    """

    bit_depth: int
    across: int
    down: int


_LAYOUTS = {
    "420": _Layout(8, 2, 2),
    "420jpeg": _Layout(8, 2, 2),
    "420mpeg2": _Layout(8, 2, 2),
    "420paldv": _Layout(8, 2, 2),
    "420p10": _Layout(10, 2, 2),
    "422": _Layout(8, 2, 1),
    "422p10": _Layout(10, 2, 1),
    "444": _Layout(8, 1, 1),
    "444p10": _Layout(10, 1, 1),
    "mono": _Layout(8, 0, 0),
    "mono10": _Layout(10, 0, 0),
}


class Y4mReader:
    """Frames of one y4m stream, in order.

    Attributes:
      info: what the header says; `time_base` is one frame, so `pts` counts frames.
    """

    def __init__(self, stream: BinaryIO, name: str, num_bytes: int | None = None):
        """Reads the header.

        Args:
          stream: binary, positioned at the magic; owned (closed) by this reader.
          name: how messages call it.
          num_bytes: size of the whole stream if it is an ordinary file, else None.

        Raises:
          InputError: not y4m, or of a kind this reader does not support.
        """
        self._stream, self._name, self._index = stream, name, 0
        line = stream.readline(_MAX_LINE)
        if not line:
            raise InputError(f"{name} is empty: give a file that holds a video")
        if not line.startswith(MAGIC) or not line.endswith(b"\n"):
            raise InputError(
                f"{name} does not begin with a YUV4MPEG2 header line: make y4m with "
                "'ffmpeg -i IN -pix_fmt yuv420p OUT.y4m'"
            )
        self.info, self._layout = _parse_header(line, name, num_bytes)
        for message in _layout_warnings(self._layout):
            warnings.warn(f"{name}: {message}", VideoWarning, stacklevel=2)
        self._num_bytes = _num_bytes(self.info, self._layout)

    def read(self) -> VideoFrame | None:
        """The next frame, or None at the end.

        A last frame that is not whole is left out and a `VideoWarning` says so.

        Raises:
          InputError: bytes between frames that are not a frame header.
        """
        if not self._frame_header():
            return None
        data = self._stream.read(self._num_bytes)
        if len(data) < self._num_bytes:
            self._warn_truncated(len(data))
            return None
        try:
            planes = _planes(data, self.info, self._layout)
        except UsageError as error:
            raise InputError(f"{self._name}: frame {self._index}: {error}") from error
        self._index += 1
        return VideoFrame(planes, self._index - 1)

    def skip(self, count: int) -> None:
        """Passes over up to `count` frames; stops early at the end."""
        for _ in range(count):
            if not self._frame_header():
                return
            if self._stream.seekable():
                self._stream.seek(self._num_bytes, os.SEEK_CUR)
            elif len(self._stream.read(self._num_bytes)) < self._num_bytes:
                return
            self._index += 1

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()

    def _frame_header(self) -> bool:
        """Reads a frame's header line; False at the end of the stream."""
        line = self._stream.readline(_MAX_LINE)
        if line.endswith(b"\n") and line.split()[:1] == [_FRAME]:
            return True
        if line and (_FRAME.startswith(line[:5]) and len(line) < _MAX_LINE):
            self._warn_truncated(0)
        elif line:
            raise InputError(
                f"{self._name}: frame {self._index} does not begin with a FRAME line, "
                f"so the {self._index} frames before it are all that can be read: "
                "check that width, height and C tag fit the data"
            )
        return False

    def _warn_truncated(self, num_bytes: int) -> None:
        warnings.warn(
            f"{self._name} ends inside frame {self._index} ({num_bytes} of "
            f"{self._num_bytes} bytes): that frame was left out, the {self._index} "
            "before it are whole",
            VideoWarning,
            stacklevel=3,
        )


class Y4mWriter:
    """Writes frames to a y4m stream: 4:2:0, 8 or 10 bits, progressive.

    Of the colour description only the range survives; y4m has no tag for the rest,
    and none for frame times.
    """

    def __init__(self, stream: BinaryIO, info: VideoInfo):
        """Writes the header; `stream` is binary and stays open after `close`."""
        self._stream = stream
        stream.write(header_line(info))

    def write(self, frame: VideoFrame) -> None:
        """Appends one frame of the size and depth of the header."""
        self._stream.write(_FRAME + b"\n" + frame.planes.tobytes())

    def close(self) -> None:
        """Hands everything to the operating system."""
        self._stream.flush()


def header_line(info: VideoInfo) -> bytes:
    """The y4m header of a video, with its newline."""
    rate = info.frame_rate or 0
    aspect = info.sample_aspect or 0
    chroma = ("420jpeg", "420JPEG") if info.bit_depth == 8 else ("420p10", "420P10")
    fields = [
        MAGIC.decode(),
        f"W{info.width}",
        f"H{info.height}",
        f"F{rate.numerator}:{rate.denominator if rate else 0}",
        "Ip",
        f"A{aspect.numerator}:{aspect.denominator if aspect else 0}",
        f"C{chroma[0]}",
        f"XYSCSS={chroma[1]}",
    ]
    if info.colour.full_range is not None:
        fields.append(f"XCOLORRANGE={'FULL' if info.colour.full_range else 'LIMITED'}")
    return " ".join(fields).encode() + b"\n"


def _parse_header(
    line: bytes, name: str, num_bytes: int | None
) -> tuple[VideoInfo, _Layout]:
    """Reads the header line; `num_bytes` is the file's size or None."""
    tags = line.decode("ascii", "replace").split()[1:]
    # X tags are free text behind a common letter; the others are unique.
    fields = {tag[0]: tag[1:] for tag in tags if tag[0] != "X"}
    extras = dict(tag[1:].split("=", 1) for tag in tags if tag[0] == "X" and "=" in tag)
    chroma = fields.get("C", "420jpeg")
    if chroma not in _LAYOUTS:
        raise InputError(
            f"{name} has chroma format C{chroma}, and only {', '.join(_LAYOUTS)} are "
            "read: convert it with 'ffmpeg -i IN -pix_fmt yuv420p10le OUT.y4m'"
        )
    layout = _LAYOUTS[chroma]
    if fields.get("I", "p") not in ("p", "?"):
        warnings.warn(
            f"{name} is interlaced (I{fields['I']}) and is read as if progressive: "
            "deinterlace it first for a better picture",
            VideoWarning,
            stacklevel=3,
        )
    rate = _ratio(fields.get("F", "0:0"), "F", name)
    if rate is None:
        warnings.warn(
            f"{name} does not say its frame rate: frame times assume "
            f"{1 / ASSUMED_TIME_BASE} frames per second",
            VideoWarning,
            stacklevel=3,
        )
    full_range = {"FULL": True, "LIMITED": False}.get(extras.get("COLORRANGE"))
    try:
        info = VideoInfo(
            width=int(fields["W"]),
            height=int(fields["H"]),
            bit_depth=layout.bit_depth,
            colour=Colour(full_range=full_range),
            time_base=1 / rate if rate else ASSUMED_TIME_BASE,
            frame_rate=rate,
            sample_aspect=_ratio(fields.get("A", "0:0"), "A", name),
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{name} has no whole number for W or H in its header, and both are "
            "needed: repair or remake the file"
        ) from error
    except UsageError as error:
        raise InputError(f"{name}: {error}") from error
    num_frames = _num_frames(info, layout, len(line), num_bytes)
    return dataclasses.replace(info, num_frames=num_frames), layout


def _num_frames(
    info: VideoInfo, layout: _Layout, header: int, num_bytes: int | None
) -> int | None:
    """Frames in a file if its size fits plain frame headers exactly."""
    if num_bytes is None:
        return None
    frames, rest = divmod(
        num_bytes - header, len(_FRAME) + 1 + _num_bytes(info, layout)
    )
    return frames if rest == 0 else None


def _ratio(text: str, tag: str, name: str) -> Fraction | None:
    """Parses `30000:1001`; None for the unknown 0:0."""
    numerator, _, denominator = text.partition(":")
    if not (numerator.isdecimal() and denominator.isdecimal()):
        raise InputError(
            f"{name} has the header tag {tag}{text}, and {tag} must be a ratio such as "
            f"{tag}25:1: repair or remake the file"
        )
    if int(numerator) == 0 or int(denominator) == 0:
        return None
    return Fraction(int(numerator), int(denominator))


def _layout_warnings(layout: _Layout) -> list[str]:
    """What has to be said when the layout is not 4:2:0."""
    if layout.across == 0:
        return ["has no chroma, so it is filled with mid-grey"]
    if (layout.across, layout.down) != (2, 2):
        return ["is not 4:2:0, so its chroma is averaged down to 4:2:0"]
    return []


def _shapes(info: VideoInfo, layout: _Layout) -> list[tuple[int, int]]:
    """[H, W] of each plane as stored."""
    luma = (info.height, info.width)
    if layout.across == 0:
        return [luma]
    chroma = (-(-info.height // layout.down), -(-info.width // layout.across))
    return [luma, chroma, chroma]


def _num_bytes(info: VideoInfo, layout: _Layout) -> int:
    """Bytes of one stored frame without its header."""
    num_samples = sum(rows * columns for rows, columns in _shapes(info, layout))
    return num_samples * sample_dtype(layout.bit_depth).itemsize


def _planes(data: bytes, info: VideoInfo, layout: _Layout) -> Yuv420:
    """One stored frame as 4:2:0."""
    if (layout.across, layout.down) == (2, 2):
        return Yuv420.from_bytes(data, info.width, info.height, layout.bit_depth)
    shapes = _shapes(info, layout)
    stored = np.frombuffer(data, sample_dtype(layout.bit_depth))
    samples = stored.astype(stored.dtype.newbyteorder("="))
    ends = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
    y, *chroma = (
        part.reshape(shape)
        for part, shape in zip(np.split(samples, ends), shapes, strict=True)
    )
    if not chroma:
        grey = np.full(
            chroma_shape(info.width, info.height), 1 << (layout.bit_depth - 1), y.dtype
        )
        return Yuv420(y, grey, grey.copy())
    blocks = 2 // layout.down, 2 // layout.across
    return Yuv420(y, *(block_mean(plane, *blocks) for plane in chroma))
