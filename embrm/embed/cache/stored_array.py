"""Where an array lies in a file."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_ITEM_DTYPES = {
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "bfloat16": "<u2",  # numpy has no bfloat16; these are its bits
}


class UnreadableFileError(ValueError):
    """A file is none that is read here; the message says what it holds."""


@dataclass(frozen=True)
class StoredArray:
    """Where an array lies in a file, in C order, least significant byte first.

    Parameters
    ----------
    offset : int
        Of its first byte.
    shape : tuple of int
    dtype : str
        `"float16"`, `"float32"`, `"float64"`, `"bfloat16"`, or `"other"`.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def holds_vectors(self) -> bool:
        """Whether it is of floating-point numbers and of shape (..., d), d > 0."""
        floats = self.dtype in _ITEM_DTYPES
        return floats and len(self.shape) >= 1 and self.shape[-1] > 0

    @property
    def n_bytes(self) -> int:
        """Size in bytes; 0 for other dtypes, which are not read."""
        if self.dtype not in _ITEM_DTYPES:
            return 0
        return math.prod(self.shape) * np.dtype(_ITEM_DTYPES[self.dtype]).itemsize

    def check_bounds(self, start: int, stop: int) -> None:
        """Check that it lies within the bytes from `start` to `stop`."""
        inside = start <= self.offset and self.offset + self.n_bytes <= stop
        if min(self.shape, default=0) < 0 or not inside:
            raise UnreadableFileError("an array outside the file")

    def view(self, whole: Any) -> Any:
        """View it in the bytes of the whole file."""
        raw = whole[self.offset : self.offset + self.n_bytes]
        return raw.view(_ITEM_DTYPES[self.dtype]).reshape(self.shape)


def as_dtype_name(dtype: Any) -> str:
    """Name a numpy dtype as `StoredArray` does."""
    names = {"<f2": "float16", "<f4": "float32", "<f8": "float64"}
    return names.get(np.dtype(dtype).str, "other")
