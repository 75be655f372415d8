"""HeadState: what a fitted head is made of, in forms that are safe to store.

Arrays go to safetensors, values to JSON, blobs are native model files (text of
LightGBM, UBJSON of XGBoost). Nothing in a state can execute code when it is read.

A head lists its fitted attributes in a table, `_stored`, with how each is stored; the
name in the state is that of the attribute without its last underscore. Parts of heads,
such as a fitted ridge regression, have such a table, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np

from embrm._typing import AnyArray
from embrm.exceptions import IntegrityError

_T = TypeVar("_T")


@dataclass(frozen=True)
class HeadState:
    """The fitted state of a head.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Numeric arrays by name.
    values : mapping of str to JSON value
        Everything small: integers, strings, lists.
    blobs : mapping of str to bytes
        Native model files by name.
    """

    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    def array(self, name: str, *, ndim: int) -> AnyArray:
        """Return an array, or raise `IntegrityError` if it is not there as it should.

        Parameters
        ----------
        name : str
        ndim : int
            The number of dimensions it must have.
        """
        array = self.arrays.get(name)
        if array is None or array.ndim != ndim:
            raise _damaged(
                f"an array '{name}' with {ndim} dimensions",
                "none" if array is None else f"shape {array.shape}",
            )
        return array

    def value(self, name: str, kind: type[_T]) -> _T:
        """Return a value, or raise `IntegrityError` if it is missing or mistyped."""
        value = self.values.get(name)
        if name not in self.values or not isinstance(value, kind):
            raise _damaged(
                f"a value '{name}' of type {kind.__name__}",
                "none" if name not in self.values else type(value).__name__,
            )
        return value

    def blob(self, name: str) -> bytes:
        """Return a blob, or raise `IntegrityError` if it is missing."""
        blob = self.blobs.get(name)
        if blob is None:
            raise _damaged(f"a model file '{name}'", "none")
        return blob

    def with_prefix(self, prefix: str) -> "HeadState":
        """Return the same state with every name prefixed, to nest it in another."""
        return HeadState(
            {prefix + name: array for name, array in self.arrays.items()},
            {prefix + name: value for name, value in self.values.items()},
            {prefix + name: blob for name, blob in self.blobs.items()},
        )

    def without_prefix(self, prefix: str) -> "HeadState":
        """Return what `with_prefix(prefix)` put in, and nothing else."""

        def own(parts: Mapping[str, _T]) -> dict[str, _T]:
            cut, found = len(prefix), parts.items()
            return {n[cut:]: part for n, part in found if n.startswith(prefix)}

        return HeadState(own(self.arrays), own(self.values), own(self.blobs))

    def __or__(self, other: "HeadState") -> "HeadState":
        """Join two states with disjoint names."""
        return HeadState(
            {**self.arrays, **other.arrays},
            {**self.values, **other.values},
            {**self.blobs, **other.blobs},
        )


Default: TypeAlias = Callable[[HeadState], Any]
"""Makes what heads have that were stored before the attribute was."""


@dataclass(frozen=True)
class StoredArray:
    """An attribute that is a numeric array; None is not stored.

    Attributes
    ----------
    attribute : str
    shape : str
        Names of its dimensions, such as "d" or "d rank". Dimensions of one name have
        one size throughout a table.
    default : callable, optional
        Without it the array must be there.
    """

    attribute: str
    shape: str
    default: Default | None = None

    def collect(self, head: Any) -> HeadState:
        """Return the array under its name."""
        array = getattr(head, self.attribute)
        return HeadState() if array is None else HeadState({_name(self): array})

    def restore(self, state: HeadState) -> dict[str, Any]:
        """Return the array, or its default."""
        if _name(self) not in state.arrays and self.default is not None:
            return {self.attribute: self.default(state)}
        ndim = len(self.shape.split())
        return {self.attribute: state.array(_name(self), ndim=ndim)}


@dataclass(frozen=True)
class StoredValue:
    """An attribute that is a number, a string, a boolean, or a list of them.

    What JSON lacks (NaN and infinity) and None are not stored: they need a default.

    Attributes
    ----------
    attribute : str
    kind : type
        Of the JSON value.
    default : callable, optional
        Without it the value must be there.
    decode : callable, optional
        Turns the JSON value into the attribute; arrays are stored as lists.
    shape : str, default=""
        Name of the size of a list, as of `StoredArray`.
    """

    attribute: str
    kind: type
    default: Default | None = None
    decode: Callable[[Any], Any] | None = None
    shape: str = ""

    def collect(self, head: Any) -> HeadState:
        """Return the value under its name."""
        value = getattr(head, self.attribute)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            return HeadState()
        return HeadState(values={_name(self): value})

    def restore(self, state: HeadState) -> dict[str, Any]:
        """Return the value, or its default."""
        if state.values.get(_name(self)) is None and self.default is not None:
            return {self.attribute: self.default(state)}
        value: Any = state.value(_name(self), self.kind)
        return {self.attribute: value if self.decode is None else self.decode(value)}


@dataclass(frozen=True)
class StoredNumbers:
    """Attributes that are numbers, maybe infinite or NaN, stored as one array.

    Attributes
    ----------
    attributes : sequence of str
    name : str, default="numbers"
        Of the array.
    """

    attributes: Sequence[str]
    name: str = "numbers"

    def collect(self, head: Any) -> HeadState:
        """Return the numbers in one array."""
        numbers = [getattr(head, attribute) for attribute in self.attributes]
        return HeadState({self.name: np.array(numbers, dtype=np.float64)})

    def restore(self, state: HeadState) -> dict[str, Any]:
        """Return the numbers by attribute."""
        numbers = state.array(self.name, ndim=1)
        if len(numbers) != len(self.attributes):
            expected = f"{len(self.attributes)} numbers in '{self.name}'"
            raise _damaged(expected, f"{len(numbers)}")
        return dict(zip(self.attributes, map(float, numbers), strict=True))


@dataclass(frozen=True)
class StoredPart:
    """An attribute that has a state of its own.

    Attributes
    ----------
    attribute : str
    read : callable
        Rebuilds the part from its state.
    write : callable, optional
        Returns the state of the part; by default its method `get_state` does.
    prefix : str, optional
        Of the names in its state; by default the name of the part.
    flag : str, optional
        Name of the value that says whether there is a part; without it there is.
    shape : str, default=""
        Name of the size of the part, as of `StoredArray`.
    """

    attribute: str
    read: Callable[[HeadState], Any]
    write: Callable[[Any], HeadState] | None = None
    prefix: str | None = None
    flag: str | None = None
    shape: str = ""

    def collect(self, head: Any) -> HeadState:
        """Return the state of the part, prefixed, and the flag."""
        part = getattr(head, self.attribute)
        state = HeadState()
        if self.flag is not None:
            state = HeadState(values={self.flag: part is not None})
            if part is None:
                return state
        own: HeadState = part.get_state() if self.write is None else self.write(part)
        return state | own.with_prefix(self._prefix)

    def restore(self, state: HeadState) -> dict[str, Any]:
        """Return the part, None if the flag says that there is none."""
        if self.flag is not None and not state.value(self.flag, bool):
            return {self.attribute: None}
        return {self.attribute: self.read(state.without_prefix(self._prefix))}

    @property
    def _prefix(self) -> str:
        return f"{_name(self)}__" if self.prefix is None else self.prefix


@dataclass(frozen=True)
class NotStored:
    """An attribute that a restored head lacks: it is None."""

    attribute: str

    def collect(self, head: Any) -> HeadState:  # noqa: ARG002
        """Return nothing."""
        return HeadState()

    def restore(self, state: HeadState) -> dict[str, Any]:  # noqa: ARG002
        """Return None."""
        return {self.attribute: None}


Stored: TypeAlias = StoredArray | StoredValue | StoredNumbers | StoredPart | NotStored


def collect_state(head: Any, table: Sequence[Stored]) -> HeadState:
    """Return the attributes of a head, or of a part of one, that a table lists."""
    state = HeadState()
    for stored in table:
        state |= stored.collect(head)
    return state


def read_state(
    table: Sequence[Stored], state: HeadState, **sizes: int
) -> dict[str, Any]:
    """Return the attributes that a table lists, by name.

    Parameters
    ----------
    table : sequence of Stored
    state : HeadState
    **sizes : int
        Of dimensions whose size is known beforehand.

    Raises
    ------
    IntegrityError
        If something is missing from the state, or has the wrong type or shape.
    """
    attributes = dict[str, Any]()
    for stored in table:
        attributes |= stored.restore(state)
        if isinstance(stored, StoredArray | StoredValue | StoredPart) and stored.shape:
            _check_sizes(stored, attributes[stored.attribute], sizes)
    return attributes


def restore_state(
    head: Any, table: Sequence[Stored], state: HeadState, **sizes: int
) -> None:
    """Set the attributes that a table lists; see `read_state`."""
    for attribute, value in read_state(table, state, **sizes).items():
        setattr(head, attribute, value)


def _check_sizes(
    stored: StoredArray | StoredValue | StoredPart, value: Any, sizes: dict[str, int]
) -> None:
    if value is None:
        return
    lengths = value.shape if isinstance(value, np.ndarray) else (len(value),)
    for name, length in zip(stored.shape.split(), lengths, strict=True):
        if sizes.setdefault(name, length) != length:
            expected = f"'{_name(stored)}' of size {name} = {sizes[name]}"
            raise _damaged(expected, f"{length}")


def _name(stored: StoredArray | StoredValue | StoredPart) -> str:
    return stored.attribute.removesuffix("_")


def _damaged(expected: str, got: str) -> IntegrityError:
    return IntegrityError.of(
        expected=f"{expected} in the stored state of the head",
        got=got,
        fix="save the head again with the version of embrm that reads it",
    )
