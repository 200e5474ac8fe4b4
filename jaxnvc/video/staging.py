"""Files that appear whole or not at all: written beside their place, then renamed."""

import contextlib
import os
import secrets
import stat
from typing import BinaryIO

from jaxnvc.errors import InputError, UsageError


class OutputError(InputError):
    """A file that cannot be written: no space, no permission, no such folder."""


class StagedFile:
    """One output file on its way to its name.

    A target that exists and is no ordinary file (a named pipe, /dev/null) is written
    in place.

    Attributes:
      path: where the bytes go until `commit`.
      target: where they will be found.
    """

    def __init__(self, target: str | os.PathLike, *, overwrite: bool):
        """Reserves a temporary name in the folder of `target`.

        Raises:
          UsageError: the target exists and `overwrite` is false, or is a folder.
          OutputError: the folder is missing or cannot be written.
        """
        self.target = os.fspath(target)
        # Behind a symbolic link, replace the file and leave the link.
        final = os.path.realpath(self.target)
        self._final, self._in_place = final, False
        if os.path.isdir(final):
            raise UsageError(
                f"{self.target} is a folder: give the name of a file to write"
            )
        if os.path.exists(final):
            self._in_place = not stat.S_ISREG(os.stat(final).st_mode)
            if not (self._in_place or overwrite):
                raise UsageError(
                    f"{self.target} already exists: give -y (overwrite=True) to "
                    "replace it, or another name"
                )
        self.path = final if self._in_place else self._reserve()

    def _reserve(self) -> str:
        """Makes an empty file of a new name beside the final one."""
        folder, name = os.path.split(self._final)
        path = os.path.join(folder, f".{name[:80]}.{secrets.token_hex(4)}.part")
        with self.errors():
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
            os.close(os.open(path, flags, 0o666))
        return path

    def open(self) -> BinaryIO:
        """Opens the temporary file for writing binary."""
        with self.errors():
            return open(self.path, "wb")

    def commit(self) -> None:
        """Gives the file its name; it must be closed."""
        if not self._in_place:
            with self.errors():
                os.replace(self.path, self._final)

    def discard(self) -> None:
        """Removes what was written; more than once is fine."""
        if not self._in_place:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path)

    def errors(self) -> "_WriteErrors":
        """A context that turns operating system errors into `OutputError`."""
        return _WriteErrors(self.target)


class _WriteErrors:
    """Says which file an `OSError` was about, except for a reader that went away."""

    def __init__(self, target: str):
        self._target = target

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
            return
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OutputError(
            f"{self._target} cannot be written ({reason}): check the folder, its "
            "permissions and the free space, or choose another place"
        ) from error
