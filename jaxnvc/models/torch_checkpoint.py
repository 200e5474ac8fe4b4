"""Weights out of PyTorch checkpoints, without PyTorch.

`torch.save` writes a zip: `NAME/data.pkl` describes the tensors, `NAME/data/KEY`
holds the numbers of one storage, `NAME/byteorder` their byte order. Before version
1.6 it wrote five pickles and then the storages, each behind its length. The pickles
are read by `jaxnvc.models.torch_pickle`, which builds nothing but data.
"""

import contextlib
import io
import math
import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from jaxnvc.errors import InputError, ModelError
from jaxnvc.models.torch_pickle import ForbiddenError, Storage, Tensor, read_objects

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
# What describes tensors is small: 100 kB for a thousand of them.
_MOST_PICKLE_BYTES = 1 << 24
_MOST_ELEMENTS = 1 << 31
_MOST_AXES = 32
_DAMAGE = (
    *(zipfile.BadZipFile, EOFError, struct.error, ValueError),
    # Versions and encryption that zipfile does not know, positions beyond the end.
    *(NotImplementedError, RuntimeError, OverflowError, OSError),
)


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the weights of a checkpoint.

    The state dict may be the whole file, or lie under `state_dict`, `net`, or both; a
    leading `module.` of names is dropped. What else a file of a training run holds,
    such as its optimizer, is not read.

    Args:
      path: a file of `torch.save`.

    Returns:
      Read-only arrays by name, in the file's order; bfloat16 as float32.

    Raises:
      InputError: missing, damaged, not a checkpoint, or asking for more than data.
      ModelError: a sound checkpoint whose content is not named tensors.
    """
    shown = os.fspath(path)
    with _opened(shown) as file, _explained(shown):
        magic = file.read(len(_LEGACY_MAGIC))
        file.seek(0)
        if magic.startswith(_ZIP_MAGIC):
            return _weights(_ZipFile(file), shown)
        if magic == _LEGACY_MAGIC:
            return _weights(_LegacyFile(file), shown)
        raise InputError(
            f"{shown} is not a PyTorch checkpoint: give a file that torch.save wrote."
        )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{path} is not a file: give a checkpoint file.")
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({(error.strerror or str(error)).lower()}): check "
            "the name and its permissions."
        ) from error
    with file:
        yield file


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except ForbiddenError as error:
        raise InputError(
            f"{path} {error}, which weights do not need, so it was refused and nothing "
            "of it was run: save the model's state_dict() alone."
        ) from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} is damaged or cut short ({reason[:200]}): fetch or save it again."
        ) from error


class _ZipFile:
    """A checkpoint of PyTorch 1.6 or later.

    Attributes:
      objects: what the pickle describes.
    """

    def __init__(self, file: BinaryIO):
        """Opens the archive.

        Raises:
          ValueError: it is not one that torch.save writes.
        """
        size = os.fstat(file.fileno()).st_size
        self._zip = zipfile.ZipFile(file)
        members = self._zip.infolist()
        self._members = {member.filename: member for member in members}
        if len(self._members) < len(members):
            raise ValueError("a member's name occurs twice")
        # Nothing is compressed, so what is read can never outgrow the file.
        if any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise ValueError("its members are compressed, which torch.save never does")
        if sum(member.file_size for member in members) > size:
            raise ValueError("its members claim more bytes than it has")
        self._prefix = self._find_prefix()
        self._order = "<"
        if f"{self._prefix}/byteorder" in self._members:
            order = self._read("byteorder", most=16)
            self._order = {b"little": "<", b"big": ">"}.get(order)
            if self._order is None:
                raise ValueError("its byte order is neither little nor big")
        pickle = self._read("data.pkl", most=_MOST_PICKLE_BYTES)
        self.objects, _ = read_objects(io.BytesIO(pickle))

    def _find_prefix(self) -> str:
        found = [name for name in self._members if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise ValueError(f"it holds {len(found)} members data.pkl instead of one")
        return found[0].removesuffix("/data.pkl")

    def _read(self, name: str, *, most: int) -> bytes:
        member = self._members[f"{self._prefix}/{name}"]
        if member.file_size > most:
            raise ValueError(f"{name} has {member.file_size} bytes, at most {most} fit")
        return self._zip.read(member)

    def numbers(self, storage: Storage) -> np.ndarray:
        """Returns the elements of a storage as they are stored [size]."""
        dtype = _stored_dtype(storage)
        member = self._members.get(f"{self._prefix}/data/{storage.key}")
        claimed = storage.size * dtype.itemsize
        if member is None or member.file_size != claimed:
            held = "is missing" if member is None else f"has {member.file_size} bytes"
            raise ValueError(f"a storage of {claimed} bytes {held}")
        data = self._zip.read(member)
        return np.frombuffer(data, dtype.newbyteorder(self._order)).astype(
            dtype, copy=False
        )


class _LegacyFile:
    """A checkpoint of PyTorch before 1.6.

    Attributes:
      objects: what the pickle describes.
    """

    def __init__(self, file: BinaryIO):
        """Finds the objects and where each storage lies.

        Raises:
          ValueError: it is not what torch.save wrote.
        """
        self._file = file
        head = io.BytesIO(file.read(_MOST_PICKLE_BYTES))
        for _ in ("magic number", "version", "system"):
            read_objects(head)
        self.objects, storages = read_objects(head)
        keys, _ = read_objects(head)
        if type(keys) is not list or not all(type(key) is str for key in keys):
            raise ValueError("its list of storages is malformed")
        self._places = self._find(keys, storages, head.tell())

    def _find(self, keys: list[str], storages: dict[str, Storage], place: int):
        """Returns the position of each storage, all of which lie within the file."""
        end = os.fstat(self._file.fileno()).st_size
        places = {}
        for key in keys:
            self._file.seek(place)
            (size,) = struct.unpack("<q", self._file.read(8))
            storage = storages.get(key)
            if storage is None or storage.size != size:
                raise ValueError("a storage is not as long as its tensors say")
            places[key] = place + 8
            place += 8 + size * _stored_dtype(storage).itemsize
            if place > end:
                raise ValueError("it ends within a storage")
        return places

    def numbers(self, storage: Storage) -> np.ndarray:
        """Returns the elements of a storage as they are stored [size]."""
        if storage.key not in self._places:
            raise ValueError("a storage is missing")
        dtype = _stored_dtype(storage)
        self._file.seek(self._places[storage.key])
        return np.frombuffer(self._file.read(storage.size * dtype.itemsize), dtype)


def _stored_dtype(storage: Storage) -> np.dtype:
    return np.dtype("uint16" if storage.dtype == "bfloat16" else storage.dtype)


def _weights(file: _ZipFile | _LegacyFile, path: str) -> dict[str, np.ndarray]:
    tensors = _named_tensors(file.objects, path)
    for name, tensor in tensors.items():
        _check(name, tensor)
    numbers = {
        storage: _numbers(file, storage)
        for storage in dict.fromkeys(tensor.storage for tensor in tensors.values())
    }
    return {name: _view(numbers[t.storage], t) for name, t in tensors.items()}


def _numbers(file: _ZipFile | _LegacyFile, storage: Storage) -> np.ndarray:
    """Returns the elements of a storage [size]; bfloat16 as float32."""
    values = file.numbers(storage)
    if values.size != storage.size:
        raise ValueError("a storage is shorter than its tensors say")
    if storage.dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _named_tensors(objects: Any, path: str) -> dict[str, Tensor]:
    """Unwraps the state dict and drops `module.` from its names."""
    for wrapper in ("state_dict", "net"):
        if type(objects) is dict and wrapper in objects:
            objects = objects[wrapper]
    if type(objects) is not dict:
        raise ModelError(
            f"{path} holds a {type(objects).__name__.lower()} instead of named "
            "tensors: save the model's state_dict()."
        )
    tensors = {}
    for name, value in objects.items():
        if type(name) is not str or type(value) is not Tensor:
            raise ModelError(
                f"{path} holds {str(name)[:80]!r}, which is not a named tensor: save "
                "the model's state_dict()."
            )
        name = name.removeprefix("module.")
        if name in tensors:
            raise ModelError(
                f"{path} holds {name[:80]!r} twice, with and without 'module.': save "
                "the model's state_dict()."
            )
        tensors[name] = value
    return tensors


def _check(name: str, tensor: Tensor) -> None:
    """Raises ValueError unless a tensor is of sane size and within its storage."""
    shape, strides = tensor.shape, tensor.strides
    shown = f"tensor {name[:80]!r}"
    if len(shape) > _MOST_AXES:
        raise ValueError(f"{shown} has {len(shape)} axes")
    # Empty axes are counted as one, so that the others stay bounded beside them.
    if math.prod(max(n, 1) for n in shape) > _MOST_ELEMENTS:
        raise ValueError(f"{shown} has over {_MOST_ELEMENTS} elements")
    steps = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if 0 not in shape and tensor.offset + steps >= tensor.storage.size:
        raise ValueError(f"{shown} reaches beyond its storage")


def _view(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    # An axis of one element has no neighbours, so its stride may be any number.
    strides = [
        stride * numbers.itemsize if size > 1 else 0
        for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )
