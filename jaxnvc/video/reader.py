"""`open_video`: one way into every kind of video file and pipe.

Reading is strictly forward and takes memory for one frame at a time.
"""

import os
import stat
import sys
from typing import BinaryIO, Protocol

from jaxnvc.errors import InputError, UsageError
from jaxnvc.video.frames import VideoFrame, VideoInfo
from jaxnvc.video.raw import RawFormat, RawReader, format_from_name
from jaxnvc.video.y4m import MAGIC, Y4mReader

RAW_SUFFIXES = (".yuv", ".raw", ".i420")


class Source(Protocol):
    """What `VideoReader` needs of a kind of file."""

    info: VideoInfo

    def read(self) -> VideoFrame | None:
        """The next frame, or None at the end."""

    def skip(self, count: int) -> None:
        """Passes over up to `count` frames."""

    def close(self) -> None:
        """Closes the file."""


class VideoReader:
    """Iterates over the frames of a source once; a context manager.

    Attributes:
      info: what is known of the whole source, whatever `start` and `frames` are.
      num_read: frames yielded so far.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        *,
        start: int = 0,
        frames: int | None = None,
    ):
        """Use `open_video`; this takes a source that is already open."""
        self.info = source.info
        self.num_read = 0
        self._source, self._name = source, name
        self._start, self._limit = start, frames
        self._is_closed = False

    def __iter__(self) -> "VideoReader":
        return self

    def __next__(self) -> VideoFrame:
        if self._is_closed or self.num_read == self._limit:
            raise StopIteration
        if self.num_read == 0:
            self._source.skip(self._start)
        frame = self._source.read()
        if frame is None:
            self.close()
            if self.num_read == 0:
                raise InputError(self._nothing_read())
            raise StopIteration
        self.num_read += 1
        return frame

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Closes the source; more than once is fine."""
        if not self._is_closed:
            self._is_closed = True
            self._source.close()

    def _nothing_read(self) -> str:
        if self._start:
            return (
                f"{self._name} ends before frame {self._start}, where reading was to "
                "start: use a smaller start"
            )
        return f"{self._name} holds no whole frame: give a file that holds a video"


def open_video(
    path: str | os.PathLike,
    *,
    start: int = 0,
    frames: int | None = None,
    raw: RawFormat | None = None,
) -> VideoReader:
    """Opens a video for reading.

    A file that begins with the y4m magic, a named pipe and `-` are read as y4m; raw
    files take their format from `raw` or from their name; all else goes to PyAV. What
    is not 8 or 10-bit 4:2:0 is converted and a `VideoWarning` says so.

    Args:
      path: a file, or `-` for standard input.
      start: frames to pass over, at least 0; exact in every format.
      frames: the most frames to yield, at least 1; None for all.
      raw: reads the source as raw planes of this format, whatever its name.

    Returns:
      An open reader, to be closed or used with `with`.

    Raises:
      UsageError: `start` or `frames` out of range, or raw video of unknown size.
      InputError: missing, unreadable, empty, not a video, or damaged from the start.
        Damage further on is raised while iterating, after the frames before it.
    """
    if start < 0:
        raise UsageError(f"start={start} must be at least 0")
    if frames is not None and frames < 1:
        raise UsageError(f"frames={frames} must be at least 1, or left out for all")
    path = os.fspath(path)
    name = "standard input" if path == "-" else path
    source = _open_stdin(name, raw) if path == "-" else _open_path(path, raw)
    return VideoReader(source, name, start=start, frames=frames)


class _LeftOpen:
    """A stream whose `close` does nothing, for one that belongs to the process."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, attribute: str):
        return getattr(self._stream, attribute)

    def close(self) -> None:
        """Leaves the stream open."""


def _open_stdin(name: str, raw: RawFormat | None) -> Source:
    """y4m, or raw if a format is given, from standard input."""
    stream = _LeftOpen(sys.stdin.buffer)
    return RawReader(stream, name, raw) if raw else Y4mReader(stream, name)


def _open_path(path: str, raw: RawFormat | None) -> Source:
    """Chooses the reader of a file by what it is, then by what it begins with."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} does not exist: check the name") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): check the name") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder: give a video file")
    try:
        stream = open(path, "rb")  # noqa: SIM115, owned by the reader
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): check its permissions"
        ) from error
    num_bytes = os.fstat(stream.fileno()).st_size if stat.S_ISREG(mode) else None
    source = None
    try:
        if num_bytes == 0:
            raise InputError(f"{path} is empty: give a file that holds a video")
        source = _stream_source(stream, path, num_bytes, raw)
    finally:
        if source is None:
            stream.close()
    if source is not None:
        return source
    # Here and not above: importing PyAV takes longer than reading a small y4m file.
    from jaxnvc.video.pyav_source import PyavSource

    return PyavSource(path, path)


def _stream_source(
    stream: BinaryIO, path: str, num_bytes: int | None, raw: RawFormat | None
) -> Source | None:
    """A y4m or raw reader of `stream`, or None if PyAV has to read the file."""
    suffix = os.path.splitext(path)[1].lower()
    if raw is None and suffix in RAW_SUFFIXES:
        raw = format_from_name(path)
    if raw is not None:
        return RawReader(stream, path, raw, num_bytes)
    is_pipe = num_bytes is None
    if is_pipe or suffix == ".y4m" or stream.peek(len(MAGIC)).startswith(MAGIC):
        return Y4mReader(stream, path, num_bytes)
    return None
