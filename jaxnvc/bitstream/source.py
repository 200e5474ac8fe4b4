"""One view of the bytes of a file, of a pipe or of memory, in bounded memory."""

import io
import os

from jaxnvc.errors import UsageError

CHUNK_BYTES = 1 << 16
_LARGEST_READ = 1 << 20


class ByteSource:
    """Gives bytes by their offset; a pipe forgets what lies before the last offset.

    Offsets count from where the file stood when it was handed over.
    """

    def __init__(self, source):
        """Args:
        source: bytes-like, or a binary file open for reading.

        Raises:
          UsageError: if it is neither.
        """
        if isinstance(source, bytes | bytearray | memoryview):
            source = io.BytesIO(source)
        if not hasattr(source, "read"):
            raise UsageError(
                f"cannot read a stream from {type(source).__name__}, it must be bytes "
                "or a binary file; open the path with open(path, 'rb')"
            )
        self._file = source
        self._buffer = bytearray()
        self._buffer_offset = 0
        self.seekable = bool(getattr(source, "seekable", lambda: False)())
        self.size = None
        if self.seekable:
            self._base = source.tell()
            self.size = max(source.seek(0, os.SEEK_END) - self._base, 0)
            source.seek(self._base)

    def peek(self, offset: int, num_bytes: int) -> bytes:
        """Returns `num_bytes` bytes from `offset`, fewer only at the end.

        Memory grows with the bytes that are really there, never with `num_bytes` alone.

        Raises:
          UsageError: if a pipe has already passed `offset`.
        """
        self._move_to(offset)
        self._fill(num_bytes)
        return bytes(memoryview(self._buffer)[:num_bytes])

    def find(self, pattern: bytes, offset: int) -> int | None:
        """Returns the first offset at or after `offset` where `pattern` stands."""
        while len(window := self.peek(offset, CHUNK_BYTES)) >= len(pattern):
            position = window.find(pattern)
            if position >= 0:
                return offset + position
            # The pattern may straddle the end of the window.
            offset += len(window) - len(pattern) + 1
        return None

    def _move_to(self, offset: int):
        """Makes `offset` the first byte of the buffer."""
        skipped = offset - self._buffer_offset
        if 0 <= skipped <= len(self._buffer):
            del self._buffer[:skipped]
        elif self.seekable:
            self._file.seek(self._base + offset)
            self._buffer.clear()
        elif skipped < 0:
            raise UsageError(
                f"byte {offset} of a stream that cannot seek has gone by; read it from "
                "a file instead"
            )
        else:
            while skipped > 0 and self._fill(1):
                dropped = min(skipped, len(self._buffer))
                del self._buffer[:dropped]
                skipped -= dropped
        self._buffer_offset = offset

    def _fill(self, num_bytes: int) -> int:
        """Reads until the buffer holds `num_bytes` or the end; returns its length."""
        while (missing := num_bytes - len(self._buffer)) > 0:
            wanted = min(max(missing, CHUNK_BYTES), _LARGEST_READ)
            # A pipe hands over what it has, so that packets are decoded as they come.
            chunk = self._file.read(wanted if self.seekable else min(missing, wanted))
            if not chunk:
                break
            self._buffer += chunk
        return len(self._buffer)
