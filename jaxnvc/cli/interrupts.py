"""Ctrl-C: the first one asks to finish, the second one abandons."""

import signal
import threading

from jaxnvc.cli.console import console

EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns the first interrupt into a flag; a context manager.

    Attributes:
      requested: whether the user asked to stop.
    """

    def __init__(self):
        self.requested = False
        self._before = {}

    def __enter__(self) -> "Interrupts":
        # Only the main thread may set handlers; a shell that started us in the
        # background has told us to ignore its Ctrl-C.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        console.say(
            "jaxnvc: interrupted, finishing the frame in progress; "
            "interrupt again to give up at once"
        )
