"""Read what `torch.save` wrote as a program for the unpickler, without running it.

Of its instructions those that plain tensors in a list or a dict need are followed, on
values of our own; a few names stand for what they say, and any other name or
instruction is refused. Nothing is imported or called by name.
"""

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from embrm.embed.cache.stored_array import UnreadableFileError

_MAX_AXES = 8

_STORAGES: dict[str, str | None] = {
    "torch.HalfStorage": "float16",
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.BFloat16Storage": "bfloat16",
    **dict.fromkeys(
        f"torch.{kind}Storage" for kind in ("Byte", "Char", "Short", "Int", "Long")
    ),
    "torch.BoolStorage": None,
}
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_DICT = "collections.OrderedDict"
_MARK = object()


@dataclass(frozen=True)
class _Global:
    """A name in the program; it stands for itself and is never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A member of the archive that holds numbers."""

    dtype: str
    member: str


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, in items."""

    storage: Storage
    start: int
    shape: tuple[int, ...]


def follow(program: bytes) -> Any:
    """Follow a program to its end.

    Returns
    -------
    object
        A `Tensor`, or a list, tuple or dict that may hold such.

    Raises
    ------
    UnreadableFileError
        If it needs more than plain tensors do, or makes no sense.
    """
    return _Reader().follow(program)


class _Reader:
    """Follows the few instructions that plain tensors need."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def follow(self, program: bytes) -> Any:
        """Follow a program to its end and return the value it makes."""
        try:
            for instruction, argument, _ in pickletools.genops(io.BytesIO(program)):
                name = instruction.name
                if name == "STOP":
                    (value,) = self._stack
                    return value
                self._step(name, argument)
        except UnreadableFileError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableFileError("a damaged list of tensors") from error
        raise UnreadableFileError("a list of tensors without an end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _VALUES:
            self._stack.append(argument)
        elif name in _PUTS:
            n = len(self._memo) if name == "MEMOIZE" else argument
            self._memo[n] = self._stack[-1]
        elif name in _GETS:
            self._stack.append(self._memo[argument])
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise UnreadableFileError(f"the instruction {name}, not a plain tensor")

    def _since_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError
        taken = self._stack[at + 1 :]
        del self._stack[at:]
        return taken

    def _take(self, n: int) -> tuple[Any, ...]:
        if n > len(self._stack):
            raise IndexError
        taken = tuple(self._stack[len(self._stack) - n :])
        del self._stack[len(self._stack) - n :]
        return taken

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(f"{module}.{name}")

    def _stack_global(self, _: Any) -> None:
        module, name = self._take(2)
        self._name(f"{module}.{name}")

    def _name(self, name: str) -> None:
        if name not in (_TENSOR, _PARAMETER, _DICT) and name not in _STORAGES:
            raise UnreadableFileError(f"{name[:60]!r}, not a plain tensor")
        self._stack.append(_Global(name))

    def _storage(self, _: Any) -> None:
        (kind, of, member, _place, _size) = self._stack.pop()
        if kind != "storage" or not isinstance(of, _Global) or "/" in member:
            raise TypeError
        self._stack.append(Storage(_STORAGES[of.name] or "other", member))

    def _reduce(self, _: Any) -> None:
        what, arguments = self._take(2)
        if what == _Global(_DICT) and arguments == ():
            self._stack.append({})
        elif what == _Global(_PARAMETER) and isinstance(arguments[0], Tensor):
            self._stack.append(arguments[0])
        elif what == _Global(_TENSOR):
            self._stack.append(_tensor(*arguments[:4]))
        else:
            raise TypeError

    def _build(self, _: Any) -> None:
        """Leave out what was attached to a dict: a model's _metadata."""
        held, _state = self._take(2)
        if not isinstance(held, dict):
            raise TypeError
        self._stack.append(held)

    def _append(self, _: Any) -> None:
        (one,) = self._take(1)
        _a_list(self._stack[-1]).append(one)

    def _appends(self, _: Any) -> None:
        some = self._since_mark()
        _a_list(self._stack[-1]).extend(some)

    def _set(self, _: Any) -> None:
        name, one = self._take(2)
        _a_dict(self._stack[-1])[_a_key(name)] = one

    def _sets(self, _: Any) -> None:
        some = self._since_mark()
        held = _a_dict(self._stack[-1])
        for name, one in zip(some[::2], some[1::2], strict=True):
            held[_a_key(name)] = one


def _tensor(storage: Any, start: Any, shape: Any, strides: Any) -> Tensor:
    """Describe a tensor, if its numbers lie together in order."""
    if not isinstance(storage, Storage):
        raise TypeError
    whole = [start, *shape, *strides]
    in_range = all(type(n) is int and 0 <= n < 2**63 for n in whole)
    if not in_range or len(shape) != len(strides) or len(shape) > _MAX_AXES:
        raise TypeError
    steps = [math.prod(shape[n + 1 :]) for n in range(len(shape))]
    in_order = all(
        step == stride or length == 1
        for step, stride, length in zip(steps, strides, shape, strict=True)
    )
    if not in_order and math.prod(shape):
        raise UnreadableFileError("a transposed tensor (call .contiguous() first)")
    return Tensor(storage, start, tuple(shape))


def _a_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _a_dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _a_key(value: Any) -> str | int:
    if not isinstance(value, str | int):
        raise TypeError
    return value


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE")
_VALUES = frozenset(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", *_TEXTS))
_PUTS = frozenset(("BINPUT", "LONG_BINPUT", "MEMOIZE"))
_GETS = frozenset(("BINGET", "LONG_BINGET"))
_ACTIONS: dict[str, Callable[[_Reader, Any], None]] = {
    "TUPLE": _Reader._tuple,
    "TUPLE1": lambda reader, _: reader._stack.append(reader._take(1)),
    "TUPLE2": lambda reader, _: reader._stack.append(reader._take(2)),
    "TUPLE3": lambda reader, _: reader._stack.append(reader._take(3)),
    "GLOBAL": _Reader._global,
    "STACK_GLOBAL": _Reader._stack_global,
    "BINPERSID": _Reader._storage,
    "REDUCE": _Reader._reduce,
    "BUILD": _Reader._build,
    "APPEND": _Reader._append,
    "APPENDS": _Reader._appends,
    "SETITEM": _Reader._set,
    "SETITEMS": _Reader._sets,
}
