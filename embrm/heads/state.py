"""HeadState: what a fitted head is made of, in forms that are safe to store.

Arrays go to safetensors, values to JSON, blobs are native model files (text of
LightGBM, UBJSON of XGBoost). Nothing in a state can execute code when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from embrm._typing import AnyArray
from embrm.exceptions import IntegrityError, three_parts

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
        return HeadState(
            {
                n.removeprefix(prefix): a
                for n, a in self.arrays.items()
                if n.startswith(prefix)
            },
            {
                n.removeprefix(prefix): v
                for n, v in self.values.items()
                if n.startswith(prefix)
            },
            {
                n.removeprefix(prefix): b
                for n, b in self.blobs.items()
                if n.startswith(prefix)
            },
        )

    def __or__(self, other: "HeadState") -> "HeadState":
        """Join two states with disjoint names."""
        return HeadState(
            {**self.arrays, **other.arrays},
            {**self.values, **other.values},
            {**self.blobs, **other.blobs},
        )


def _damaged(expected: str, got: str) -> IntegrityError:
    return IntegrityError(
        three_parts(
            expected=f"{expected} in the stored state of the head",
            got=got,
            cure="save the head again with the version of embrm that reads it",
        )
    )
