"""Lossless containers through PyAV. The only writer that imports `av`."""

import contextlib

import av
import av.error
import numpy as np

from jaxnvc.video.frames import VideoFrame, VideoInfo, sample_dtype
from jaxnvc.video.staging import OutputError

_CONTAINERS = {".mkv": "matroska", ".mp4": "mp4"}
SUFFIXES = tuple(_CONTAINERS)
_H264 = "libx264", {"qp": "0", "preset": "veryfast"}
_SMALLEST_SLICED = 32
_RANGES = {None: 0, False: 1, True: 2}  # AVColorRange


class PyavSink:
    """Encodes frames without loss: FFV1 in Matroska, or H.264 at qp 0 in MP4.

    Matroska rounds frame times to milliseconds; MP4 keeps the time base.
    """

    def __init__(self, path: str, suffix: str, info: VideoInfo):
        """Opens `path` for a container chosen by `suffix`, one of SUFFIXES.

        Raises:
          OSError: the file cannot be written.
        """
        container = _CONTAINERS[suffix]
        codec, options = _H264 if container == "mp4" else _ffv1(info)
        self._info, self._format = info, _pixel_format(info)
        self._container = av.open(f"file:{path}", "w", format=container)
        try:
            self._stream = self._container.add_stream(
                codec, rate=info.frame_rate or 25, options=options
            )
            self._configure()
        except BaseException:
            self._container.close()
            raise

    def _configure(self) -> None:
        """Copies what `info` says onto stream and codec."""
        info, stream, context = self._info, self._stream, self._stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = self._format
        context.time_base = stream.time_base = info.time_base
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        context.colorspace = info.colour.matrix
        context.color_range = _RANGES[info.colour.full_range]
        if info.sample_aspect is not None:
            context.sample_aspect_ratio = info.sample_aspect

    def write(self, frame: VideoFrame) -> None:
        """Encodes one frame; its `pts` must be above the one before.

        Raises:
          OutputError: the encoder refuses the video.
          OSError: the file cannot be written.
        """
        self._encode(_to_av(frame, self._format, self._info))

    def close(self) -> None:
        """Writes what the encoder holds back, and the index."""
        self._encode(None)
        self._container.close()

    def abandon(self) -> None:
        """Closes the file, however little of it is sound."""
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            self._container.close()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except OSError:
            raise
        except av.error.FFmpegError as error:
            raise OutputError(
                f"the {self._stream.codec_context.name} encoder refuses "
                f"{self._info.width}x{self._info.height} video ({error.strerror}): "
                "write .y4m instead"
            ) from error


def _ffv1(info: VideoInfo) -> tuple[str, dict[str, str]]:
    """Version 3, with checksums; version 1 for pictures too small for its slices."""
    if min(info.width, info.height) < _SMALLEST_SLICED:
        return "ffv1", {"level": "1"}
    return "ffv1", {"level": "3", "slicecrc": "1"}


def _pixel_format(info: VideoInfo) -> str:
    return "yuv420p" if info.bit_depth == 8 else "yuv420p10le"


def _to_av(frame: VideoFrame, pixel_format: str, info: VideoInfo) -> av.VideoFrame:
    """A copy of the picture with its time and colour tags."""
    planes = frame.planes
    copy = av.VideoFrame(planes.width, planes.height, pixel_format)
    dtype = sample_dtype(planes.bit_depth)
    for target, plane in zip(copy.planes, planes.planes, strict=True):
        rows, columns = plane.shape
        stored = np.frombuffer(target, dtype).reshape(
            -1, target.line_size // dtype.itemsize
        )
        stored[:rows, :columns] = plane
    copy.pts, copy.time_base = frame.pts, info.time_base
    copy.color_primaries = info.colour.primaries
    copy.color_trc = info.colour.transfer
    copy.colorspace = info.colour.matrix
    copy.color_range = _RANGES[info.colour.full_range]
    return copy
