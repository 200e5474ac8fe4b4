"""The objects of a PyTorch file, read from its pickle without unpickling.

A pickle is a program for a small stack machine. Here `pickletools` splits it into
instructions and this module carries out the few that plain data needs. Nothing the
file names is imported or called: the global names below stand for records of this
module, any other name is refused.
"""

import dataclasses
import pickletools
from typing import Any, BinaryIO

# torch's storage classes, and what NumPy calls their elements.
_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_ORDERED_DICT = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_GLOBALS = {_ORDERED_DICT, _TENSOR, _PARAMETER} | {f"torch.{s}" for s in _STORAGES}
_KEYS = (str, int, float, bool, type(None))
_MOST_SHOWN = 80


class ForbiddenError(ValueError):
    """A pickle that asks for something else than plain data and tensors."""


@dataclasses.dataclass(frozen=True)
class Storage:
    """A run of numbers somewhere in the file.

    Attributes:
      key: its name there.
      dtype: NumPy's name of the elements, or `bfloat16`.
      size: number of elements.
    """

    key: str
    dtype: str
    size: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor: a view of a storage, in elements.

    Attributes:
      storage: where the numbers are.
      offset: of the first element.
      shape: sizes, 0 or more.
      strides: distances of neighbours along each axis, 0 or more.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Global:
    name: str


def read_objects(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Carries out the pickle at the file's position, and leaves the file behind it.

    Args:
      file: a file in memory: the pickle's claims of length then allocate nothing.

    Returns:
      The object, of dict, list, tuple, str, int, float, bool, None and `Tensor`; and
      every storage it mentions, by key.

    Raises:
      ForbiddenError: it asks for a global name or instruction beyond plain data.
      ValueError: it is damaged.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.step(opcode.name, argument)
        (result,) = machine.stack
    except (IndexError, KeyError) as error:
        raise ValueError("its pickle is malformed") from error
    return result, machine.storages


class _Machine:
    """The pickle's stack, its marks and its memo."""

    def __init__(self):
        self.stack: list[Any] = []
        self.storages: dict[str, Storage] = {}
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carries out one instruction."""
        if name in _PUSH_ARGUMENT:
            self.stack.append(argument)
        elif name in _PUSH:
            self.stack.append(_PUSH[name]())
        elif name in _SHORT_TUPLES:
            first = len(self.stack) - _SHORT_TUPLES[name]
            self.stack.append(tuple(self._take(first)))
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _NOTHING_TO_DO:
            raise ForbiddenError(f"uses the pickle instruction {name}")

    def _take(self, first: int) -> list[Any]:
        """Pops everything from position `first` on."""
        if not 0 <= first <= len(self.stack):
            raise IndexError(first)
        items = self.stack[first:]
        del self.stack[first:]
        return items

    def mark(self, _) -> None:
        self._marks.append(len(self.stack))

    def make_tuple(self, _) -> None:
        self.stack.append(tuple(self._take(self._marks.pop())))

    def append(self, _) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _) -> None:
        self._extend(self._take(self._marks.pop()))

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("its pickle appends to what is no list")
        self.stack[-1].extend(items)

    def set_item(self, _) -> None:
        self._update(self._take(len(self.stack) - 2))

    def set_items(self, _) -> None:
        self._update(self._take(self._marks.pop()))

    def _update(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if type(self.stack[-1]) is not dict or len(keys) != len(values):
            raise ValueError("its pickle fills what is no dictionary")
        if not all(type(key) in _KEYS for key in keys):
            raise ForbiddenError("has a dictionary key that is no plain value")
        self.stack[-1].update(zip(keys, values, strict=True))

    def put(self, index: int) -> None:
        self._memo[index] = self.stack[-1]

    def memoize(self, _) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self._memo[index])

    def find_global(self, argument: str) -> None:
        self._push_global(argument.replace(" ", ".", 1))

    def find_stack_global(self, _) -> None:
        module, name = self._take(len(self.stack) - 2)
        if type(module) is not str or type(name) is not str:
            raise ValueError("its pickle names a global by what is no text")
        self._push_global(f"{module}.{name}")

    def _push_global(self, name: str) -> None:
        if name not in _GLOBALS:
            raise ForbiddenError(f"asks for {_shown(name)}")
        self.stack.append(_Global(name))

    def call(self, _) -> None:
        target, arguments = self._take(len(self.stack) - 2)
        called = target.name if type(target) is _Global else None
        if called == _ORDERED_DICT and arguments == ():
            self.stack.append({})
        elif called == _TENSOR and type(arguments) is tuple:
            self.stack.append(_tensor(arguments))
        elif called == _PARAMETER and _is_parameter(arguments):
            self.stack.append(arguments[0])
        else:
            raise ForbiddenError(f"calls {called or 'a value'} in an unknown way")

    def build(self, _) -> None:
        """Drops the attributes of an ordered dictionary; they hold no weights."""
        target, _state = self._take(len(self.stack) - 2)
        if type(target) is not dict:
            raise ForbiddenError("sets attributes of what is no dictionary")
        self.stack.append(target)

    def find_storage(self, _) -> None:
        storage = _storage(self.stack.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"storage {_shown(storage.key)} is described twice")
        self.stack.append(storage)


_NOTHING_TO_DO = {"PROTO", "FRAME", "STOP"}
_PUSH_ARGUMENT = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_PUSH = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ACTIONS = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.make_tuple,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.find_global,
    "STACK_GLOBAL": _Machine.find_stack_global,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.find_storage,
}


def _shown(name: str) -> str:
    return repr(name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}..")


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _storage(identity: Any) -> Storage:
    """Reads ("storage", class, key, device, size), with None behind it if legacy."""
    match identity:
        case ("storage", _Global(name), str(key), str(), int(size), *rest) if (
            name.removeprefix("torch.") in _STORAGES
            and _is_whole(size)
            and rest in ([], [None])
        ):
            return Storage(key, _STORAGES[name.removeprefix("torch.")], size)
    raise ForbiddenError("refers to something outside that is no tensor storage")


def _is_parameter(arguments: Any) -> bool:
    return (
        type(arguments) is tuple
        and len(arguments) == 3
        and type(arguments[0]) is Tensor
    )


def _tensor(arguments: tuple) -> Tensor:
    """Reads (storage, offset, shape, strides, ..); what follows is for training."""
    match arguments:
        case (Storage() as storage, offset, tuple(shape), tuple(strides), *rest) if (
            len(rest) in (2, 3)
            and len(shape) == len(strides)
            and all(map(_is_whole, (offset, *shape, *strides)))
        ):
            return Tensor(storage, offset, shape, strides)
    raise ForbiddenError("builds a tensor in an unknown way")
