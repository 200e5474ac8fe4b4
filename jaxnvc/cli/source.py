"""The input of `encode`: frames until the end, damage or an interrupt; and times."""

import argparse
import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from jaxnvc.cli.console import console
from jaxnvc.errors import InputError, UsageError
from jaxnvc.video import RawFormat, VideoFrame, VideoInfo, VideoReader, open_video
from jaxnvc.video.raw import format_from_name
from jaxnvc.video.reader import RAW_SUFFIXES
from jaxnvc.video.y4m import MAGIC


def raw_format(args: argparse.Namespace) -> RawFormat | None:
    """Returns the format of raw video that the options give, None for other files.

    Raises:
      UsageError: raw video whose size is not known.
    """
    if args.raw_size is not None:
        width, height = args.raw_size
        return RawFormat(
            width=width,
            height=height,
            bit_depth=args.raw_depth or 8,
            frame_rate=args.raw_rate,
        )
    if args.raw_depth or args.raw_rate:
        raise UsageError(
            "--raw-depth and --raw-rate describe raw video: give --raw-size as well."
        )
    if os.path.splitext(args.input)[1].lower() in RAW_SUFFIXES:
        try:
            format_from_name(args.input)
        except UsageError as error:
            raise UsageError(
                f"{args.input} is raw video whose name does not tell its format: give "
                "--raw-size WxH (and --raw-depth, --raw-rate)."
            ) from error
    return None


class FrameSource:
    """Iterates once over the frames of an input; a context manager.

    Damage after the first frame and a request to stop end the iteration; what was
    read until then is good.

    Attributes:
      info: size, rate and colour.
      with_times: whether frames come with times because their distance varies.
      total: frames to come if known.
      error: the damage that ended the iteration, None if there was none.
    """

    def __init__(
        self, args: argparse.Namespace, raw: RawFormat | None, stop: Callable[[], bool]
    ):
        """Opens the input.

        Args:
          args: `input`, `start` and `frames`.
          raw: format of raw video.
          stop: whether the user asked to stop.

        Raises:
          InputError: missing, or not a video.
        """
        self._stop, self.error, self._last = stop, None, None
        self._reader: VideoReader = open_video(
            args.input, start=args.start, frames=args.frames, raw=raw
        )
        self.info = self._reader.info
        times = None if raw else _container_times(args.input)
        first, count = args.start, args.frames
        total = len(times) if times else self.info.num_frames
        if total is not None:
            total = max(total - first, 0)
            total = total if count is None else min(total, count)
        self.total = total
        chosen = times[first : first + total] if times else ()
        self.with_times = not is_constant(chosen, self.info)

    def __enter__(self) -> "FrameSource":
        return self

    def __exit__(self, *exception) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        try:
            while not self._stop():
                frame = next(self._reader, None)
                if frame is None:
                    return
                yield self._timed(frame) if self.with_times else frame
        except InputError as error:
            if self._reader.num_read == 0:
                raise
            self.error = error

    def _timed(self, frame: VideoFrame) -> VideoFrame:
        """Returns the frame with a time above the one before."""
        pts = frame.pts
        if pts is None or (self._last is not None and pts <= self._last):
            pts = 0 if self._last is None else self._last + self.info.frame_step
            console.warn(f"a frame has no rising time, it is shown at {pts} instead")
        self._last = pts
        return VideoFrame(frame.planes, pts)


def is_constant(times: Sequence[int], info: VideoInfo) -> bool:
    """Returns whether frame times lie on the grid of the frame rate.

    Args:
      times: in `info.time_base` ticks, rising.
      info: time base and rate; containers round times to ticks.
    """
    if len(times) < 2:
        return True
    if info.frame_rate is None:
        return False
    step = 1 / (info.frame_rate * info.time_base)
    above, below = step.numerator, step.denominator
    return all(
        abs((time - times[0]) * below - index * above) <= below
        for index, time in enumerate(times)
    )


def _container_times(path: str) -> list[int] | None:
    """Returns the frame times of a file without decoding it; None if it has none."""
    if path == "-" or not stat.S_ISREG(os.stat(path).st_mode):
        return None
    if os.path.splitext(path)[1].lower() in RAW_SUFFIXES:
        return None
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return None
    import av

    from jaxnvc.video.pyav_source import LENIENT

    # Whatever is wrong with the file will be told where it is decoded.
    with contextlib.suppress(av.error.FFmpegError, ValueError, IndexError):
        with av.open(f"file:{path}", **LENIENT) as container:
            packets = container.demux(container.streams.video[0])
            times = [
                packet.pts
                for packet in packets
                if packet.size and not packet.is_discard
            ]
        return None if None in times else sorted(times)
    return None


def duration_s(frames: Sequence[VideoFrame], info: VideoInfo) -> Fraction:
    """Returns how long frames are shown.

    Raises:
      UsageError: neither rate nor times tell.
    """
    if info.frame_rate is None:
        raise UsageError(
            "the input does not say its frame rate, so bits per second mean nothing: "
            "use --target-size, --target-psnr or --qp."
        )
    return len(frames) / info.frame_rate
