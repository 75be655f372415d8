"""Read UBJSON within bounds: what XGBoost writes, and nothing outside the bytes.

Types are those of https://ubjson.org; XGBoost adds that lengths are always `L` (eight
bytes, big-endian) and writes numeric arrays with a type and a count.
"""

from typing import Any

import numpy as np

from embrm.persist.tree_shape import damaged, require

_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8"} | {
    "d": ">f4",
    "D": ">f8",
}
_CONSTANTS = {"T": True, "F": False, "Z": None}
_MAX_DEPTH = 16


def parse_ubjson(data: bytes) -> Any:
    """Parse UBJSON strictly.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    dict, list, ndarray, str, number, bool or None
        Arrays with a type and a count are ndarrays.

    Raises
    ------
    IntegrityError
        If a length leads beyond the bytes, a marker is unknown, a key stands twice,
        values are nested more than 16 deep, or bytes are left over.

    Examples
    --------
    >>> parse_ubjson(
    ...     b"{" + b"L" + (1).to_bytes(8, "big") + b"a" + b"U" + bytes([7]) + b"}"
    ... )
    {'a': 7}
    """
    reader = _Reader(data)
    value = reader.value(reader.marker(), 0)
    require(reader.at == len(data), "one value", "bytes after its end")
    return value


class _Reader:
    """A place in the bytes; every step forward is checked."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """Take the next bytes."""
        end = self.at + size
        require(0 <= size <= len(self.data) - self.at, "whole values", "a cut")
        start, self.at = self.at, end
        return self.data[start:end]

    def marker(self) -> str:
        """Take the next marker."""
        return self.take(1).decode("latin-1")

    def peek(self) -> str:
        """Look at the next marker."""
        return self.data[self.at : self.at + 1].decode("latin-1")

    def value(self, marker: str, depth: int) -> Any:
        """Take the value that a marker announces."""
        require(depth <= _MAX_DEPTH, "values nested 16 deep at most", "more")
        if marker == "{":
            return self.object(depth)
        if marker == "[":
            return self.array(depth)
        if marker == "S":
            return self.text()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self.numbers(marker, 1)[0].item()

    def object(self, depth: int) -> dict[str, Any]:
        """Take the rest of an object."""
        values: dict[str, Any] = {}
        while self.peek() != "}":
            key = self.text()
            require(key not in values, "each key once", "a key that stands twice")
            values[key] = self.value(self.marker(), depth + 1)
        self.at += 1
        return values

    def array(self, depth: int) -> Any:
        """Take the rest of an array: typed, counted, or closed by a bracket."""
        if self.peek() == "$":
            self.at += 1
            kind = self.marker()
            return self.numbers(kind, self.count())
        if self.peek() == "#":
            count = self.count()
            # Each value takes a byte at least: a count beyond them is a lie.
            require(count <= len(self.data) - self.at, "whole values", "a cut")
            return [self.value(self.marker(), depth + 1) for _ in range(count)]
        values = []
        while self.peek() != "]":
            values.append(self.value(self.marker(), depth + 1))
        self.at += 1
        return values

    def numbers(self, kind: str, count: int) -> np.ndarray[Any, Any]:
        """Take numbers of one type."""
        if kind not in _NUMBERS:
            raise damaged("markers of UBJSON", repr(kind))
        dtype = np.dtype(_NUMBERS[kind])
        require(0 <= count <= len(self.data), "whole values", "a cut")
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def count(self) -> int:
        """Take a `#` and the length that follows."""
        require(self.marker() == "#", "a count after a type", "none")
        return self.length()

    def length(self) -> int:
        """Take a length."""
        require(self.marker() == "L", "lengths of type L", "another type")
        size = int(self.numbers("L", 1)[0])
        require(size >= 0, "lengths >= 0", size)
        return size

    def text(self) -> str:
        """Take a length and as much text."""
        data = self.take(self.length())
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise damaged("text in UTF-8", "other bytes") from error
