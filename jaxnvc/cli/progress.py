"""How far a command has come: a line in place, plain lines, or JSON lines."""

import enum
import json
import time
from collections.abc import Callable
from fractions import Fraction

from jaxnvc.cli.console import console
from jaxnvc.cli.device import CompileWatch


class Style(enum.Enum):
    """Where progress goes; the value is the least number of seconds between lines."""

    QUIET = float("inf")
    TERMINAL = 0.25
    PLAIN = 2.0
    JSON = 0.2501


def choose_style(*, quiet: bool, as_json: bool) -> Style:
    """Returns the style that fits the options and where standard error goes."""
    if quiet:
        return Style.QUIET
    if as_json:
        return Style.JSON
    return Style.TERMINAL if console.is_terminal else Style.PLAIN


class Progress:
    """Counts frames and the time they take, compilation apart.

    Attributes:
      frames: frames done.
      num_bytes: bytes of the stream so far.
      compile_s: seconds of the steps in which a program was compiled or loaded.
    """

    def __init__(
        self,
        style: Style,
        watch: CompileWatch,
        *,
        total: int | None = None,
        frame_rate: Fraction | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Starts the clock.

        Args:
          style: how it is shown.
          watch: tells in which steps something was compiled.
          total: frames to come, None if unknown.
          frame_rate: frames per second of the video, None if unknown.
          clock: seconds.
        """
        self.frames, self.num_bytes, self.compile_s = 0, 0, 0.0
        self._style, self._watch, self._clock = style, watch, clock
        self._total, self._frame_rate = total, frame_rate
        self._compilations, self._last = watch.count, clock()
        self._timed_frames, self._timed_s = 0, 0.0
        self._shown_at, self._qp = self._last, None

    def update(self, qp: int, num_bytes: int, frames: int = 1) -> None:
        """Notes one more frame, or a unit of them.

        Args:
          qp: its quality.
          num_bytes: bytes of the stream so far.
          frames: how many were done since the last call.
        """
        now = self._clock()
        if self._watch.count == self._compilations:
            self._timed_frames += frames
            self._timed_s += now - self._last
        else:
            self._compilations = self._watch.count
            self.compile_s += now - self._last
        self._last = now
        self.frames, self.num_bytes, self._qp = self.frames + frames, num_bytes, qp
        if now - self._shown_at >= self._style.value:
            self._shown_at = now
            self._show(done=False)

    def finish(self, num_bytes: int | None = None) -> None:
        """Shows the last state.

        Args:
          num_bytes: bytes of the whole stream if it grew after the last frame.
        """
        self.num_bytes = self.num_bytes if num_bytes is None else num_bytes
        if self._style is not Style.QUIET:
            self._show(done=True)
            console.end_status()

    @property
    def fps(self) -> float | None:
        """Frames per second without compilation; None if nothing was timed."""
        return self._timed_frames / self._timed_s if self._timed_s > 0 else None

    @property
    def bitrate_bps(self) -> float | None:
        """Bits per second of video; None if the frame rate is unknown."""
        if not self._frame_rate or not self.frames:
            return None
        return float(8 * self.num_bytes * self._frame_rate / self.frames)

    @property
    def eta_s(self) -> float | None:
        """Seconds to go; None if unknown, or if nothing is left."""
        if not self.fps or self._total is None or self.frames >= self._total:
            return None
        return (self._total - self.frames) / self.fps

    def _show(self, *, done: bool) -> None:
        if self._style is Style.JSON:
            console.say(json.dumps(self._fields(done)))
        elif self._style is Style.TERMINAL:
            console.status(self.line())
        else:
            console.say(self.line())

    def line(self) -> str:
        """Returns the state as one line."""
        fps = "n/a" if self.fps is None else f"{self.fps:.1f}"
        parts = [f"frame={self.frames:4d}", f"fps={fps}"]
        if self._qp is not None:
            parts.append(f"qp={self._qp}")
        parts.append(f"size={self.num_bytes / 1024:.0f}KiB")
        if self.bitrate_bps is not None:
            parts.append(f"bitrate={_rate_text(self.bitrate_bps)}")
        if self.eta_s is not None:
            parts.append(f"eta={duration_text(self.eta_s)}")
        return " ".join(parts)

    def _fields(self, done: bool) -> dict:
        return {
            "frame": self.frames,
            "total": self._total,
            "fps": self.fps,
            "qp": self._qp,
            "bytes": self.num_bytes,
            "bitrate_bps": self.bitrate_bps,
            "eta_s": self.eta_s,
            "compile_s": self.compile_s,
            "done": done,
        }


def duration_text(seconds: float) -> str:
    """Returns seconds as minutes and seconds, 1:05."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def _rate_text(bits_per_second: float) -> str:
    if bits_per_second >= 1e6:
        return f"{bits_per_second / 1e6:.2f}Mb/s"
    return f"{bits_per_second / 1e3:.1f}kb/s"
