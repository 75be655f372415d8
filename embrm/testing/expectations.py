"""How a check says that a claim does not hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm.exceptions import InvalidInputError


def expect(holds: Any, claim: str) -> None:
    """Raise AssertionError with the claim if it does not hold.

    Examples
    --------
    >>> expect(1 < 2, "one is less than two")
    """
    if not holds:
        raise AssertionError(claim)


def expect_equal(got: ArrayLike, wanted: ArrayLike, claim: str) -> None:
    """Expect two arrays to be equal bit for bit, NaN never."""
    expect_close(got, wanted, claim, tolerance=0.0)


def expect_close(
    got: ArrayLike, wanted: ArrayLike, claim: str, *, tolerance: float
) -> None:
    """Expect two arrays to agree, relative to the largest magnitude wanted."""
    first, second = np.asarray(got), np.asarray(wanted)
    expect(
        first.shape == second.shape, f"{claim}: shapes {first.shape}, {second.shape}"
    )
    if first.size == 0:
        return
    first, second = first.astype(np.float64), second.astype(np.float64)
    gap = float(np.max(np.abs(first - second)))
    scale = max(1.0, float(np.max(np.abs(second))))
    expect(gap <= tolerance * scale, f"{claim}: they differ by {gap:.3g}")


def expect_refusal(call: Callable[[], Any], *words: str, claim: str) -> None:
    """Expect `InvalidInputError` with a three-part message that has all the words."""
    try:
        call()
    except InvalidInputError as error:
        missing = [
            word
            for word in ("expected ", "; got ", "To mend: ", *words)
            if word not in str(error)
        ]
        expect(not missing, f"{claim}: the message lacks {missing}: {error}")
    except Exception as error:
        name = type(error).__name__
        raise AssertionError(f"{claim}: {name} instead of InvalidInputError") from error
    else:
        raise AssertionError(f"{claim}: it was accepted")
