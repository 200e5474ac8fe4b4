"""What may be written where, and the `.nvc` file on its way to its name."""

import contextlib
import os
import stat
import sys
from typing import BinaryIO

from jaxnvc.errors import UsageError
from jaxnvc.video import OutputError, StagedFile


def settle(
    inputs: list[str], outputs: list[str | None], overwrite: bool | None
) -> None:
    """Decides before any work whether the outputs may be written.

    Args:
      inputs: files that are read.
      outputs: files to write, `-` or None (not asked for).
      overwrite: True replaces files, False refuses to, None asks on a terminal.

    Raises:
      UsageError: an output is an input or another output, or exists and is to stay.
    """
    outputs = [path for path in outputs if path is not None]
    if outputs.count("-") > 1:
        raise UsageError("only one output can be - (standard output): name the others.")
    places = [os.path.realpath(path) for path in outputs if path != "-"]
    for path, place in zip([p for p in outputs if p != "-"], places, strict=True):
        if places.count(place) > 1 and _is_replaced(path):
            raise UsageError(f"{path} is named for two outputs: give them two names.")
        for source in inputs:
            if source != "-" and _is_same(source, path):
                raise UsageError(
                    f"{path} is both input and output, and the input is never "
                    "overwritten: give another output."
                )
        if os.path.lexists(path) and _is_replaced(path):
            _allow(path, overwrite, asks="-" not in inputs)


def _is_same(first: str, second: str) -> bool:
    with contextlib.suppress(OSError):
        return _is_replaced(second) and os.path.samefile(first, second)
    return False


def _is_replaced(path: str) -> bool:
    """Whether writing puts a new file in place; pipes and devices stay."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _allow(path: str, overwrite: bool | None, *, asks: bool) -> None:
    """Raises UsageError unless the existing `path` may be replaced."""
    if overwrite or os.path.isdir(path):  # a folder is refused when it is opened
        return
    asks = asks and sys.stdin is not None and sys.stdin.isatty()
    if overwrite is None and asks:
        question = f"File '{path}' already exists. Overwrite? [y/N] "
        print(question, end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        raise UsageError(f"{path} already exists and was not overwritten.")
    remedy = (
        "-n forbids to replace it" if overwrite is False else "give -y to replace it"
    )
    raise UsageError(f"{path} already exists: {remedy}, or choose another name.")


class StreamFile:
    """The output of `encode`: a staged file, or standard output; a context manager.

    Leaving the block gives the file its name; leaving it by an exception removes it.

    Attributes:
      file: unbuffered or buffered binary file to write to.
    """

    def __init__(self, path: str):
        """Opens `path`, replacing what is there; `settle` has asked already.

        Raises:
          UsageError: it is a folder.
          OutputError: it cannot be written.
        """
        self._staged = None
        if path == "-":
            self.file = _standard_output()
            return
        self._staged = StagedFile(path, overwrite=True)
        self.file = self._staged.open()

    def errors(self):
        """A context that turns operating system errors into `OutputError`."""
        return self._staged.errors() if self._staged else _output_errors()

    def __enter__(self) -> "StreamFile":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._staged is None:
            return
        try:
            if kind is None:
                with self.errors():
                    self.file.close()
                self._staged.commit()
        finally:
            # After a rename there is nothing left to remove.
            with contextlib.suppress(OSError):
                self.file.close()
            self._staged.discard()


@contextlib.contextmanager
def _output_errors():
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written ({error.strerror}): check the space "
            "where it goes."
        ) from error


class _Sequential:
    """A file that is only ever appended to."""

    def __init__(self, file: BinaryIO):
        self.write = file.write


def _standard_output() -> BinaryIO | _Sequential:
    """Standard output without a buffer, so that a reader gets packets as they come."""
    if sys.stdout is None:
        raise OutputError("standard output is closed: redirect it, or name a file.")
    if sys.stdout.isatty():
        raise UsageError(
            "a stream is not written to a terminal: redirect standard output, or name "
            "a file."
        )
    number = sys.stdout.fileno()
    file = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115
    return _Sequential(file) if _appends(number) else file


def _appends(number: int) -> bool:
    """Whether every write goes to the end, as behind `>>`, corrections included."""
    try:
        import fcntl
    except ImportError:  # not a Unix: nothing tells
        return False
    return bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND)


def silence_standard_output() -> None:
    """Lets the interpreter exit in peace after the reader of its output went away."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
