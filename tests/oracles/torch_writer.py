"""Files as `torch.save` writes them, byte by byte, without PyTorch.

Format: PyTorch's `torch/serialization.py`. Pickle instructions are spelled out, so
that a test can also write what PyTorch never would.
"""

import dataclasses
import io
import struct
import zipfile
from typing import Any

import numpy as np

_CLASSES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


@dataclasses.dataclass(frozen=True)
class Stored:
    """A storage: its numbers (bfloat16 as uint16), and lies about them."""

    key: str
    numbers: np.ndarray
    dtype: str = ""
    claimed_size: Any = None

    @property
    def class_name(self):
        return _CLASSES[self.dtype or self.numbers.dtype.name]

    @property
    def size(self):
        return self.numbers.size if self.claimed_size is None else self.claimed_size


@dataclasses.dataclass(frozen=True)
class View:
    """A tensor: a view of a storage, in elements."""

    storage: Stored
    shape: tuple
    strides: tuple
    offset: int = 0
    is_parameter: bool = False


def tensor(key, array, dtype=""):
    """A contiguous tensor that owns its storage."""
    strides = [stride // array.itemsize for stride in array.strides]
    stored = Stored(key, array.ravel(), dtype)
    return View(stored, array.shape, tuple(strides))


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def program(body):
    """A whole pickle of protocol 2."""
    return b"\x80\x02" + body + b"."


class Pickler:
    """Spells objects as instructions, and remembers the storages on the way."""

    def __init__(self, *, legacy=False):
        self.legacy, self.storages = legacy, {}

    def spell(self, value) -> bytes:
        match value:
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int():
                data = value.to_bytes(
                    value.bit_length() // 8 + 1, "little", signed=True
                )
                return b"\x8a" + bytes([len(data)]) + data
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                return text(value)
            case list():
                return b"](" + b"".join(map(self.spell, value)) + b"e"
            case tuple():
                return b"(" + b"".join(map(self.spell, value)) + b"t"
            case dict():
                return self._ordered(value)
            case bytes():  # instructions, as they are
                return value
            case View():
                return self._view(value)
        raise TypeError(type(value))

    def _ordered(self, value):
        pairs = [self.spell(k) + self.spell(v) for k, v in value.items()]
        new = named("collections", "OrderedDict") + b")R("
        attributes = b"}" + text("_metadata") + b"}sb"
        return new + b"".join(pairs) + b"u" + attributes

    def storage(self, stored):
        self.storages[stored.key] = stored
        parts = [text("storage"), named("torch", stored.class_name)]
        parts += map(self.spell, (stored.key, "cpu", stored.size))
        parts += [b"N"] if self.legacy else []
        return b"(" + b"".join(parts) + b"tQ"

    def _view(self, view):
        where = self.storage(view.storage)
        place = map(self.spell, (view.offset, tuple(view.shape), tuple(view.strides)))
        hooks = named("collections", "OrderedDict") + b")R"
        arguments = b"(" + where + b"".join(place) + b"\x89" + hooks + b"t"
        built = named("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"
        if view.is_parameter:
            call = named("torch._utils", "_rebuild_parameter")
            built = call + b"(" + built + b"\x88" + hooks + b"tR"
        return built


def zip_bytes(
    value=None,
    *,
    pickle=None,
    storages=(),
    byteorder="little",
    extra=(),
    compression=zipfile.ZIP_STORED,
):
    """Writes the zip format.

    Args:
      value: what to save.
      pickle: a pickle to save instead.
      storages: storages to write besides those of `value`.
      byteorder: `little`, `big`, another word, or None for a file without one.
      extra: (name, bytes) of further members.
      compression: zipfile's constant.
    """
    pickler = Pickler()
    pickle = pickle or program(pickler.spell(value))
    order = ">" if byteorder == "big" else "<"
    members = [("data.pkl", pickle)]
    members += [("byteorder", byteorder.encode())] if byteorder else []
    for stored in (*pickler.storages.values(), *storages):
        numbers = stored.numbers.astype(stored.numbers.dtype.newbyteorder(order))
        members.append((f"data/{stored.key}", numbers.tobytes()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in [*members, ("version", b"3\n"), *extra]:
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def legacy_bytes(value):
    """Writes the format before PyTorch 1.6: pickles, then storages."""
    pickler = Pickler(legacy=True)
    body = pickler.spell(value)
    system = {"protocol_version": _LEGACY_VERSION, "little_endian": True}
    head = [pickler.spell(v) for v in (_LEGACY_MAGIC, _LEGACY_VERSION, system)]
    keys = pickler.spell(list(pickler.storages))
    data = b"".join(
        struct.pack("<q", stored.numbers.size) + stored.numbers.tobytes()
        for stored in pickler.storages.values()
    )
    return b"".join(map(program, [*head, body, keys])) + data
