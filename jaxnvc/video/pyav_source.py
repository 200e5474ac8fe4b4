"""Frames of any container PyAV demuxes. The only reader that imports `av`."""

import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import av
import av.error
import numpy as np

from jaxnvc.errors import InputError, UsageError
from jaxnvc.video.frames import (
    UNSPECIFIED,
    Colour,
    VideoFrame,
    VideoInfo,
    VideoWarning,
    Yuv420,
    chroma_shape,
)

# Pixel formats taken sample by sample; all others go through swscale.
_EXACT = {"yuv420p": 8, "yuvj420p": 8, "yuv420p10le": 10}
# Demuxers that make a "video" out of text.
# For `av.open`: tags that are not UTF-8 must not keep a video from being read. PyAV 19
# no longer has the option.
LENIENT = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_TEXT_DEMUXERS = {"tty", "bin", "xbin", "idf", "adf"}
_RANGES = {1: False, 2: True}  # AVColorRange: limited, full
_SWS_LIMITED, _SWS_FULL = 1, 2
_BT709 = 1
_MP4_BOXES = frozenset(
    b"ftyp moov mdat free skip wide moof mfra sidx styp ssix uuid meta pdin".split()
)


class PyavSource:
    """Frames of the first video stream of one file, in presentation order.

    Attributes:
      info: from the container and its first decoded frame.
    """

    def __init__(self, path: str, name: str):
        """Opens the file and decodes its first frame, so that `info` is certain.

        Args:
          path: an existing ordinary file.
          name: how messages call it.

        Raises:
          InputError: not a video, or one whose first frame does not decode.
        """
        self._name, self._index, self._warned = name, 0, set()
        self._shortfall = _shortfall(path)
        try:
            # The prefix keeps a name such as "a:b.mp4" from reading as a protocol.
            self._container = av.open(
                f"file:{path}",
                options={"protocol_whitelist": "file,crypto,data"},
                **LENIENT,
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(_not_a_video(name, path, self._shortfall)) from error
        try:
            self._open_stream()
        except BaseException:
            self._container.close()
            raise

    def _open_stream(self) -> None:
        """Chooses the stream, decodes the first frame and fills `info`."""
        if self._container.format.name in _TEXT_DEMUXERS:
            raise InputError(
                f"{self._name} is a text file: give a file that holds a video"
            )
        streams = self._container.streams.video
        if not streams:
            raise InputError(
                f"{self._name} has no video stream: give a file that holds a video"
            )
        self._stream = streams[0]
        if self._stream.codec_context is None:
            raise InputError(
                f"{self._name} holds video of a kind this build of PyAV cannot decode: "
                "convert it to H.264 or FFV1 first"
            )
        self._stream.thread_type = "AUTO"
        self._frames = self._decode()
        self._first = next(self._frames, None)
        if self._first is None:
            raise InputError(
                f"{self._name} has a video stream without a single whole frame: check "
                "that the file is complete"
            )
        if self._first.rotation:
            self._warn(
                f"is marked to be shown turned by {self._first.rotation} degrees, "
                "which is not applied: its pictures are used as stored"
            )
        self._size = self._first.width, self._first.height
        self.info = self._describe(self._first)

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        """`VideoInfo` of the stream with `frame` as its first."""
        stream, context = self._stream, self._stream.codec_context
        rate = stream.average_rate or stream.guessed_rate
        aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
        try:
            return VideoInfo(
                width=frame.width,
                height=frame.height,
                bit_depth=_bit_depth(frame),
                colour=_colour(frame, context),
                time_base=stream.time_base or Fraction(1, 25),
                frame_rate=rate or None,
                num_frames=stream.frames or None,
                sample_aspect=aspect or None,
            )
        except UsageError as error:
            raise InputError(f"{self._name}: {error}") from error

    def read(self) -> VideoFrame | None:
        """The next frame, or None at the end.

        Raises:
          InputError: the size changes, decoding fails, or the file ends early; every
            frame before that has been returned.
        """
        frame = self._next()
        if frame is None:
            return None
        try:
            planes = self._convert(frame)
        except UsageError as error:  # samples above 1023 in a raw-like codec
            raise InputError(f"{self._name}: frame {self._index}: {error}") from error
        self._index += 1
        return VideoFrame(planes, frame.pts)

    def skip(self, count: int) -> None:
        """Decodes and drops up to `count` frames: exact in every codec."""
        for _ in range(count):
            if self._next() is None:
                return
            self._index += 1

    def close(self) -> None:
        """Closes the file."""
        self._frames.close()
        self._container.close()

    def _next(self) -> av.VideoFrame | None:
        """The next decoded frame of the right size."""
        frame, self._first = self._first, None
        if frame is None:
            frame = next(self._frames, None)
        if frame is None:
            return None
        if (frame.width, frame.height) != self._size:
            raise InputError(
                f"{self._name} changes size from {self._size[0]}x{self._size[1]} to "
                f"{frame.width}x{frame.height} at frame {self._index}, and one video "
                f"has one size: the {self._index} frames before it were read, so split "
                "the file there"
            )
        if frame.interlaced_frame:
            self._warn(
                "is interlaced and is read as if progressive: deinterlace it first for "
                "a better picture"
            )
        if frame.is_corrupt:
            self._warn("is damaged: some pictures were patched up by the decoder")
        return frame

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Decoded frames; ends with InputError if the file is not whole."""
        damaged, is_transport = 0, self._container.format.name == "mpegts"
        try:
            for packet in self._container.demux(self._stream):
                # A packet cut short by the end of the file. Broadcasts mark packets
                # for lesser reasons, and there the decoder copes.
                if packet.is_corrupt and not is_transport:
                    damaged += 1
                    continue
                yield from packet.decode()
        except av.error.FFmpegError as error:
            raise InputError(
                f"{self._name} cannot be decoded after frame {self._index} "
                f"({error.strerror}): the frames before it are whole; repair the file"
            ) from error
        if self._shortfall or damaged:
            raise InputError(
                f"{self._name} is truncated, {self._shortfall} bytes or more are "
                f"missing: the {self._index} frames before that were read; get the "
                "whole file"
            )

    def _convert(self, frame: av.VideoFrame) -> Yuv420:
        """A decoded frame as 4:2:0 of the depth in `info`."""
        name = frame.format.name
        if _EXACT.get(name) == self.info.bit_depth:
            return _planes(frame, self.info.bit_depth)
        if _is_grey(frame):
            self._warn(
                f"has pixel format {name}, so its chroma is filled with mid-grey"
            )
            return _grey_planes(frame, self.info.bit_depth)
        target = "yuv420p" if self.info.bit_depth == 8 else "yuv420p10le"
        is_rgb = _is_rgb(frame)
        self._warn(
            f"has pixel format {name}, which is converted to {target}"
            + (" with the BT.709 matrix, limited range" if is_rgb else "")
        )
        if is_rgb:
            converted = frame.reformat(
                format=target, dst_colorspace=_BT709, dst_color_range=_SWS_LIMITED
            )
        else:
            # Same range on both sides: only the sampling and the depth change.
            scale = _SWS_FULL if self.info.colour.full_range else _SWS_LIMITED
            converted = frame.reformat(
                format=target, src_color_range=scale, dst_color_range=scale
            )
        return _planes(converted, self.info.bit_depth)

    def _warn(self, message: str) -> None:
        """Says something about this file once."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(f"{self._name} {message}", VideoWarning, stacklevel=2)


def _planes(frame: av.VideoFrame, bit_depth: int) -> Yuv420:
    """Copies the three planes of a planar 4:2:0 frame."""
    luma = (frame.height, frame.width)
    chroma = chroma_shape(frame.width, frame.height)
    dtype = np.dtype(np.uint8 if bit_depth == 8 else np.uint16)
    copies = []
    for plane, shape in zip(frame.planes, (luma, chroma, chroma), strict=True):
        copies.append(_copy_plane(plane, shape, dtype))
    return Yuv420(*copies)


def _copy_plane(
    plane: av.video.plane.VideoPlane, shape: tuple[int, int], dtype: np.dtype
) -> np.ndarray:
    """The samples of one plane without the padding of its rows."""
    stored = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    return stored[: shape[0], : shape[1]].copy()


def _is_grey(frame: av.VideoFrame) -> bool:
    """Whether there is luma only, of 8 bits or more (alpha apart)."""
    return frame.format.name.startswith(("gray", "ya8", "ya16"))


def _grey_planes(frame: av.VideoFrame, bit_depth: int) -> Yuv420:
    """Luma as it is, with chroma of mid-grey.

    Not by way of swscale's 4:2:0, which takes every grey picture for full range and
    squeezes it.
    """
    target = "gray" if bit_depth == 8 else "gray10le"
    if frame.format.name != target:
        frame = frame.reformat(format=target)
    dtype = np.dtype(np.uint8 if bit_depth == 8 else np.uint16)
    luma = _copy_plane(frame.planes[0], (frame.height, frame.width), dtype)
    chroma = chroma_shape(frame.width, frame.height)
    grey = np.full(chroma, 1 << (bit_depth - 1), dtype)
    return Yuv420(luma, grey, grey.copy())


def _is_rgb(frame: av.VideoFrame) -> bool:
    """Whether the decoded samples are R'G'B' (palettes included)."""
    return frame.format.is_rgb or frame.format.has_palette


def _bit_depth(frame: av.VideoFrame) -> int:
    """8, or 10 for every source of more than 8 bits."""
    return 10 if max(part.bits for part in frame.format.components) > 8 else 8


def _colour(frame: av.VideoFrame, context: av.VideoCodecContext) -> Colour:
    """Colour tags of the first frame, else of the codec, in H.273 code points."""

    def tag(on_frame: int, on_context: int) -> int:
        return int(on_context if on_frame == UNSPECIFIED else on_frame)

    primaries = tag(frame.color_primaries, context.color_primaries)
    transfer = tag(frame.color_trc, context.color_trc)
    if _is_rgb(frame):
        return Colour(primaries, transfer, _BT709, False)
    code = int(frame.color_range) or int(context.color_range)
    full_range = True if "yuvj" in frame.format.name else _RANGES.get(code)
    matrix = tag(frame.colorspace, context.colorspace)
    return Colour(primaries, transfer, matrix, full_range)


def _not_a_video(name: str, path: str, shortfall: int) -> str:
    """The sentence for a file that does not open."""
    if shortfall:
        return (
            f"{name} is truncated, {shortfall} bytes are missing, and nothing of it "
            "can be read: get the whole file"
        )
    with open(path, "rb") as file:
        start = file.read(512)
    if start[4:8] in (b"ftyp", b"moov", b"mdat"):
        return (
            f"{name} is an MP4 or MOV file whose index is missing or damaged, as when "
            "it is truncated: get the whole file"
        )
    if b"\0" not in start:
        return f"{name} looks like a text file: give a file that holds a video"
    return (
        f"{name} is not a video this build of PyAV can read: give a file that holds a "
        "video, or convert it to .mkv or .y4m"
    )


def _shortfall(path: str) -> int:
    """Bytes an MP4, MOV, Matroska or WebM file promises beyond its end, else 0.

    FFmpeg ends such files silently. Matroska: EBML header, then a Segment with its
    length; MP4: a chain of boxes with theirs.

    Source: RFC 8794 (EBML), 4 and 11.2; ISO/IEC 14496-12, 4.2.
    """
    num_bytes = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"\x1aE\xdf\xa3":
            end = _matroska_end(file)
        elif file.read(8)[4:] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            end = _mp4_end(file, num_bytes)
        else:
            end = None
    return max(0, end - num_bytes) if end else 0


def _matroska_end(file: BinaryIO) -> int | None:
    """Where the first Segment ends, or None if it is of unknown length."""
    for identifier in (b"\x1aE\xdf\xa3", b"\x18S\x80g"):
        if file.read(4) != identifier:
            return None
        first = file.read(1)
        if not first or not first[0]:
            return None
        extra = 8 - first[0].bit_length()
        mask = (1 << (7 * (extra + 1))) - 1
        length = int.from_bytes(first + file.read(extra), "big") & mask
        if length == mask:
            return None
        end = file.tell() + length
        if identifier[0] == 0x1A:
            file.seek(length, os.SEEK_CUR)
    return end


def _mp4_end(file: BinaryIO, num_bytes: int) -> int | None:
    """Where the box that crosses the end of the file would end."""
    position = 0
    while position + 8 <= num_bytes:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0 reaches to the end of the file; the rest is damage
            return None
        if header[4:8] not in _MP4_BOXES:  # something appended, such as a tag
            return None
        position += length
    return position
