"""Checks of the linear head's own parameters and of its annotators."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, IntArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.parameters import check_real


def check_number_or(value: Any, name: str, word: str, high: float) -> float | None:
    """Return a number in [0, high), or None for the word."""
    if isinstance(value, str) and value == word:
        return None
    if not isinstance(value, str):
        return check_real(value, name, 0.0, high, open_at_low=False)
    raise wrong(
        f"{name} that is '{word}' or a finite number >= 0",
        repr(value)[:40],
        f"use {name}='{word}' unless you know better",
    )


def check_word(value: Any, name: str, words: tuple[str, ...]) -> None:
    """Refuse a value that is none of the words."""
    if value not in words:
        raise wrong(
            f"{name}: one of {', '.join(words)}",
            repr(value)[:40],
            f"leave {name} at its default",
        )


def check_annotator(annotator: ArrayLike, noise: Any) -> tuple[AnyArray, IntArray]:
    """Return the names of annotators, sorted, and who labelled each pair."""
    if noise != "estimate":
        raise wrong(
            "annotator with noise='estimate'",
            f"noise={noise!r}",
            "drop annotator, or set noise='estimate'",
        )
    array = np.asarray(annotator)
    if array.ndim != 1 or array.dtype.kind not in "iuUO":
        raise wrong(
            "annotator of shape (n_pairs,), integers or strings",
            f"shape {array.shape}, dtype {array.dtype}",
            "say for each pair who labelled it",
        )
    if array.dtype.kind == "O":
        array = array.astype(str)
    names, codes = np.unique(array, return_inverse=True)
    return names, codes


def wrong(expected: str, got: str, cure: str) -> InvalidInputError:
    """Make the error with its three parts."""
    return InvalidInputError(three_parts(expected=expected, got=got, cure=cure))


def check_standardise(value: Any, alpha: float | None) -> bool | None:
    """Say whether to standardise columns; None if that is chosen, as alpha is."""
    if isinstance(value, str):
        check_word(value, "standardise", ("auto",))
        return None if alpha is None else False
    return bool(value)
