"""Words for people, all on standard error, beside a status line that may be open."""

import contextlib
import sys

_CLEAR = "\r\x1b[K"


class Console:
    """Writes whole lines and one status line that is overwritten in place."""

    def __init__(self):
        self._is_open = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees the status line."""
        return sys.stderr is not None and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Prints a line."""
        self._put((_CLEAR if self._is_open else "") + text + "\n")
        self._is_open = False

    def warn(self, text: str) -> None:
        """Prints a warning."""
        self.say(f"jaxnvc: warning: {text}")

    def status(self, text: str) -> None:
        """Overwrites the status line; only for terminals."""
        self._put(_CLEAR + text)
        self._is_open = True

    def end_status(self) -> None:
        """Leaves the status line as it stands and starts a new one."""
        if self._is_open:
            self._put("\n")
        self._is_open = False

    def _put(self, text: str) -> None:
        # Nobody listening is no reason to lose the work.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)
            sys.stderr.flush()


console = Console()
