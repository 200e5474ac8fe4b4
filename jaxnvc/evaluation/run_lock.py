"""One run at a time in a folder."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from jaxnvc.errors import InputError, UsageError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Keeps other runs out of a folder, which is made if it is not there.

    The system drops the lock with the process that holds it, however that ends; the
    file that stays behind means nothing. Where platform or file system know no such
    locks, nobody is kept out.

    Args:
      folder: of the run.

    Raises:
      UsageError: another run has it.
      InputError: the folder cannot be made.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made or written to ({error.strerror}): give another "
            "--out"
        ) from error
    with file:
        _lock(file, folder)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(file, folder: pathlib.Path) -> None:
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise UsageError(
            f"{folder} is in use by another run (process {file.read().strip()}): wait "
            "until it ends, or give another --out"
        ) from error
    except OSError:  # a file system without locks
        return
