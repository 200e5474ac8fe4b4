"""`create_video`: one way out, into files that appear whole or not at all."""

import contextlib
import dataclasses
import os
import sys
import warnings
from typing import Protocol

from jaxnvc.errors import UsageError
from jaxnvc.video.frames import VideoFrame, VideoInfo, VideoWarning
from jaxnvc.video.raw import RawWriter
from jaxnvc.video.staging import OutputError, StagedFile
from jaxnvc.video.y4m import Y4mWriter

OUTPUT_SUFFIXES = (".y4m", ".yuv", ".mkv", ".mp4")
_TIMED_SUFFIXES = (".mkv", ".mp4")


class Sink(Protocol):
    """What `VideoWriter` needs of a kind of file."""

    def write(self, frame: VideoFrame) -> None:
        """Appends one frame."""

    def close(self) -> None:
        """Finishes the file."""


class VideoWriter:
    """Takes frames in order; a context manager.

    Leaving the `with` block gives the file its name; leaving it by an exception
    removes what was written, unless `keep_partial` was called.

    Attributes:
      info: what was announced for the output.
      num_written: frames taken so far.
    """

    def __init__(self, target: str, info: VideoInfo, *, overwrite: bool):
        """Use `create_video`."""
        self.info, self.num_written = info, 0
        self._target = target
        self._suffix = os.path.splitext(target)[1].lower()
        self._is_timed = self._suffix in _TIMED_SUFFIXES
        self._last_pts, self._warned, self._keep = None, set(), False
        self._is_closed = False
        self._staged = self._stream = None
        if target == "-":
            self._sink = Y4mWriter(sys.stdout.buffer, info)
            return
        self._staged = StagedFile(target, overwrite=overwrite)
        try:
            self._sink = self._open_sink()
        except BaseException:
            if self._stream is not None:
                self._stream.close()
            self._staged.discard()
            raise

    def _open_sink(self) -> Sink:
        """The encoder of the staged file."""
        with self._staged.errors():
            if self._is_timed:
                # Imported late: y4m on a pipe has no need of PyAV.
                from jaxnvc.video.pyav_sink import PyavSink

                if self._suffix == ".mkv" and self.info.sample_aspect not in (None, 1):
                    self._warn(
                        "does not record the sample aspect ratio "
                        f"{self.info.sample_aspect}: write .mp4 or .y4m to keep it"
                    )
                return PyavSink(self._staged.path, self._suffix, self.info)
            self._stream = self._staged.open()
            if self._suffix == ".yuv":
                return RawWriter(self._stream)
            return Y4mWriter(self._stream, self.info)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None:
            self.close()
        else:
            self._close_after_error()

    def write(self, frame: VideoFrame) -> None:
        """Appends one frame.

        Args:
          frame: of the size and depth in `info`. `.mkv` and `.mp4` keep its `pts`
            (one that is missing or does not rise is moved on, with a warning);
            the other formats have no frame times.

        Raises:
          UsageError: another size or depth, or the writer is closed.
          OutputError: the file cannot be written.
          BrokenPipeError: standard output was closed by its reader.
        """
        if self._is_closed:
            raise UsageError(f"{self._target} is closed: create another writer")
        planes, info = frame.planes, self.info
        given = planes.width, planes.height, planes.bit_depth
        if given != (info.width, info.height, info.bit_depth):
            raise UsageError(
                f"a {given[0]}x{given[1]} frame of {given[2]} bits does not fit "
                f"{self._target}, which is {info.width}x{info.height} of "
                f"{info.bit_depth} bits: write frames of one kind"
            )
        frame = dataclasses.replace(frame, pts=self._timed(frame.pts))
        if self._staged is None:
            self._sink.write(frame)
        else:
            with self._staged.errors():
                self._sink.write(frame)
        self.num_written += 1

    def keep_partial(self) -> None:
        """From here on an exception in the `with` block keeps the frames so far."""
        self._keep = True

    def close(self, *, commit: bool = True) -> None:
        """Finishes the output; more than once is fine.

        Args:
          commit: give the file its name; otherwise remove it.

        Raises:
          OutputError: the rest cannot be written, or there was no frame to write; the
            temporary file is removed.
          BrokenPipeError: standard output was closed by its reader.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._staged is None:
            self._sink.close()
            return
        try:
            if commit and self.num_written == 0:
                raise OutputError(
                    f"{self._target} was not made, because not one frame was written "
                    "to it: check the input"
                )
            with self._staged.errors():
                self._finish(commit)
        except BaseException:
            self._abandon()
            raise

    def _finish(self, commit: bool) -> None:
        """Closes the sink and the file under it, and names or removes the file."""
        if not commit:
            self._abandon()
            return
        self._sink.close()
        if self._stream is not None:
            self._stream.close()
        self._staged.commit()

    def _abandon(self) -> None:
        """Drops the output without a word, since an error is already on its way."""
        if self._stream is None:
            self._sink.abandon()
        else:
            with contextlib.suppress(OSError):
                self._stream.close()
        self._staged.discard()

    def _close_after_error(self) -> None:
        """Closes without hiding the exception that is passing through."""
        with contextlib.suppress(OutputError, BrokenPipeError):
            self.close(commit=self._keep and self.num_written > 0)

    def _timed(self, pts: int | None) -> int:
        """A rising `pts`, with a warning if frame times cannot be kept."""
        step, last = self.info.frame_step, self._last_pts
        expected = 0 if last is None else last + step
        if pts is None:
            pts = expected
        elif last is not None and self._is_timed and pts <= last:
            self._warn(
                "gets a frame whose time does not rise: such frames are moved on by "
                "one frame"
            )
            pts = expected
        elif self._jumps(pts, expected) and last is not None:
            self._warn(
                "has no frame times, and those of the source vary: write .mkv or .mp4 "
                "to keep them"
            )
        self._last_pts = pts
        return pts

    def _jumps(self, pts: int, expected: int) -> bool:
        """Whether a format without times loses more here than a rounded unit."""
        is_known = self.info.frame_rate is not None
        return is_known and not self._is_timed and abs(pts - expected) > 1

    def _warn(self, message: str) -> None:
        """Says something about this file once."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(f"{self._target} {message}", VideoWarning, stacklevel=4)


def create_video(
    path: str | os.PathLike, info: VideoInfo, *, overwrite: bool = False
) -> VideoWriter:
    """Opens a video for writing without loss.

    | name   | holds                                  | keeps besides samples     |
    | `.y4m` | planes                                 | range, frame rate, aspect |
    | `-`    | y4m on standard output                 | range, frame rate, aspect |
    | `.yuv` | planes, 10 bits in little-endian words | nothing                   |
    | `.mkv` | FFV1                                   | colour, times to 1 ms     |
    | `.mp4` | H.264 at qp 0                          | colour, times, aspect     |

    Args:
      path: a name with one of those suffixes, or `-`.
      info: size, depth, colour, time base and rate of what will be written.
      overwrite: replace an ordinary file that exists.

    Returns:
      An open writer, to be closed or used with `with`.

    Raises:
      UsageError: unknown suffix, an existing file without `overwrite`, or an odd size
        for `.mp4`.
      OutputError: the folder is missing, read-only or full.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if path != "-" and suffix not in OUTPUT_SUFFIXES:
        raise UsageError(
            f"{path} has the suffix '{suffix}', which does not name an output format: "
            f"use {', '.join(OUTPUT_SUFFIXES)} or - for y4m on standard output"
        )
    if suffix == ".mp4" and (info.width % 2 or info.height % 2):
        raise UsageError(
            f"{path} cannot hold {info.width}x{info.height} video, because H.264 in "
            "4:2:0 needs even sides: write .mkv or .y4m"
        )
    return VideoWriter(path, info, overwrite=overwrite)
