"""The two primitives of every field: varints, and a reader that checks its bounds."""

from jaxnvc.errors import BitstreamError

MAX_VARINT = 2**64 - 1
MAX_VARINT_BYTES = 10


def pack_varint(value: int) -> bytes:
    """Returns an unsigned integer as LEB128: 7 bits a byte, low bits first.

    Args:
      value: in [0, 2**64).

    Raises:
      ValueError: if the value is outside its range; a bug of the caller.
    """
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"varint {value} is outside [0, 2**64)")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def zigzag(value: int) -> int:
    """Maps a signed integer in [-2**63, 2**63) to unsigned: 0, -1, 1, -2, 2, ..."""
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(value: int) -> int:
    """Inverts `zigzag`."""
    return value >> 1 if value % 2 == 0 else -(value + 1 >> 1)


class FieldReader:
    """Takes fields off the front of some bytes; running out is a `BitstreamError`."""

    def __init__(self, data: bytes, position: int = 0, *, base: int = 0):
        """Args:
        data: the bytes that may be read; their end is the end of the fields.
        position: index in `data` of the first field.
        base: offset of `data[0]` in the stream, for error messages.
        """
        self._data = data
        self._base = base
        self.position = position

    @property
    def offset(self) -> int:
        """Byte offset in the stream of the next field."""
        return self._base + self.position

    @property
    def remaining(self) -> int:
        """Number of bytes not yet taken."""
        return len(self._data) - self.position

    def take(self, num_bytes: int) -> bytes:
        """Returns the next `num_bytes` bytes.

        Raises:
          BitstreamError: if fewer remain.
        """
        if num_bytes > self.remaining:
            raise BitstreamError(
                f"a field of {num_bytes} bytes does not fit in the {self.remaining} "
                "that remain; the stream is damaged, obtain it again",
                self.offset,
            )
        start = self.position
        self.position += num_bytes
        return self._data[start : self.position]

    def byte(self) -> int:
        """Returns the next byte, in [0, 256)."""
        return self.take(1)[0]

    def uint16(self) -> int:
        """Returns the next two bytes as a little-endian integer."""
        return int.from_bytes(self.take(2), "little")

    def varint(self) -> int:
        """Returns the next varint, in [0, 2**64).

        Raises:
          BitstreamError: if it is cut, too long or not in its shortest form.
        """
        start = self.offset
        value = 0
        for index in range(MAX_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if value > MAX_VARINT or (byte == 0 and index > 0):
                    break
                return value
        raise BitstreamError(
            "a varint must be below 2**64 and in its shortest form; the stream is "
            "damaged, obtain it again",
            start,
        )

    def text(self, encoding: str) -> str:
        """Returns a string: one byte for its length in bytes, then the bytes.

        Raises:
          BitstreamError: if it is cut or not valid in `encoding`.
        """
        start = self.offset
        raw = self.take(self.byte())
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as error:
            raise BitstreamError(
                f"the string {raw!r} must be {encoding}; the stream is damaged, "
                "obtain it again",
                start,
            ) from error
