"""Per-frame checksums in the text format of FFmpeg's `-f framemd5`.

So that `diff` against `ffmpeg -i FILE -f framemd5 -` shows the first frame in which two
decoders disagree. Source: FFmpeg's documentation of the framemd5 muxer, and its output.
"""

import hashlib
import os

from jaxnvc.errors import UsageError
from jaxnvc.video.frames import VideoFrame, VideoInfo
from jaxnvc.video.staging import StagedFile


def framemd5_header(info: VideoInfo) -> str:
    """The comment lines in front of the frames, with a final newline."""
    base, aspect = info.time_base, info.sample_aspect
    lines = [
        "#format: frame checksums",
        "#version: 2",
        "#hash: MD5",
        "#software: jaxnvc",
        f"#tb 0: {base.numerator}/{base.denominator}",
        "#media_type 0: video",
        "#codec_id 0: rawvideo",
        f"#dimensions 0: {info.width}x{info.height}",
        f"#sar 0: {aspect.numerator}/{aspect.denominator}" if aspect else "#sar 0: 0/1",
        "#stream#, dts,        pts, duration,     size, hash",
    ]
    return "\n".join(lines) + "\n"


def framemd5_line(frame: VideoFrame, pts: int, duration: int) -> str:
    """One frame's line, with its newline.

    Args:
      frame: the picture, yuv420p or yuv420p10le once it is bytes.
      pts: its time, also printed as decoding time.
      duration: how long it is shown; both in units of the time base.
    """
    data = frame.planes.tobytes()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return f"0, {pts:10d}, {pts:10d}, {duration:8d}, {len(data):8d}, {digest}\n"


class FrameMd5Writer:
    """Writes one framemd5 file; a context manager.

    The file gets its name when the block ends, also after an exception: checksums of
    the frames before a failure are what one wants to see.
    """

    def __init__(
        self, path: str | os.PathLike, info: VideoInfo, *, overwrite: bool = False
    ):
        """Writes the header.

        Args:
          path: the text file to make.
          info: time base, rate, size and sample aspect of the frames.
          overwrite: replace a file that exists.

        Raises:
          UsageError: the file exists and `overwrite` is false.
          OutputError: the file cannot be written.
        """
        self._info, self._next_pts = info, 0
        self._staged = StagedFile(path, overwrite=overwrite)
        self._file = self._staged.open()
        self._put(framemd5_header(info))

    def write(self, frame: VideoFrame) -> None:
        """Appends one frame; without a `pts` it follows the one before.

        Raises:
          UsageError: the writer is closed.
          OutputError: the file cannot be written.
        """
        if self._file.closed:
            raise UsageError(f"{self._staged.target} is closed: create another writer")
        pts = self._next_pts if frame.pts is None else frame.pts
        self._next_pts = pts + self._info.frame_step
        self._put(framemd5_line(frame, pts, self._info.frame_step))

    def close(self) -> None:
        """Finishes the file and gives it its name; more than once is fine."""
        if self._file.closed:
            return
        try:
            with self._staged.errors():
                self._file.close()
            self._staged.commit()
        except BaseException:
            self._staged.discard()
            raise

    def __enter__(self) -> "FrameMd5Writer":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _put(self, text: str) -> None:
        with self._staged.errors():
            self._file.write(text.encode())
