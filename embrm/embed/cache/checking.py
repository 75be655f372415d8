"""What may go into a store: vectors that are what the fingerprint says."""

from typing import Any

import numpy as np

from embrm._typing import IntArray
from embrm.embed.base import Fingerprint
from embrm.exceptions import FingerprintMismatchError, InvalidInputError, three_parts


def check_vectors(
    vectors: Any, n: int, fingerprint: Fingerprint, *, items: IntArray | None = None
) -> None:
    """Check that vectors are what the fingerprint says: shape, dtype, finite.

    Parameters
    ----------
    vectors : object
    n : int
        How many there should be.
    fingerprint : Fingerprint
    items : ndarray of shape (n,), optional
        Item number of each vector, for the message.

    Raises
    ------
    InvalidInputError, FingerprintMismatchError
    """
    shape, dtype = (n, fingerprint.dim), np.dtype(fingerprint.dtype)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or len(vectors) != n:
        got = getattr(vectors, "shape", type(vectors).__name__)
        raise InvalidInputError(
            three_parts(
                expected=f"vectors of shape {shape}",
                got=f"shape {got}",
                cure="pass one row per key",
            )
        )
    if vectors.shape[1] != fingerprint.dim or vectors.dtype != dtype:
        raise FingerprintMismatchError(
            three_parts(
                expected=f"vectors with d = {fingerprint.dim} and dtype {dtype}",
                got=f"d = {vectors.shape[1]} and dtype {vectors.dtype}",
                cure="use the encoder whose fingerprint the store was opened with",
            )
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        where = f"row {row}" if items is None else f"item {items[row]}"
        raise InvalidInputError(
            three_parts(
                expected="finite vectors",
                got=f"NaN or infinity at {where}",
                cure="compute in bfloat16 or float32 and cast to float16 at the end, "
                "or leave the text out",
            )
        )
