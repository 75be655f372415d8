"""Wins between items, each of which comes with the vector of its prompt."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_items, widened
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.comparisons import Comparisons, make_comparisons
from embrm.pairs import Pairs, distinct_rows


def make_prompted_wins(
    pairs: Any,
    prompt_vectors: Any,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    margin: ArrayLike | None = None,
) -> tuple[Comparisons, FloatArray, IntArray]:
    """Bring pairs and the vectors of their prompts into canonical form.

    An item is what it is together with its prompt: equal vectors under different
    prompts are two items.

    Parameters
    ----------
    pairs : Pairs
        With `prompt_ids` that are rows of `prompt_vectors`.
    prompt_vectors : array-like of shape (n_prompts, d_p)
    y, sample_weight, margin : array-like of shape (n_pairs,), optional
        As in `RewardHead.fit`.

    Returns
    -------
    wins : Comparisons
    prompts : ndarray of shape (n_used, d_p), float64
        Distinct prompt vectors.
    prompt : ndarray of int of shape (n_items,)
        Row of `prompts` for each item of the wins.

    Raises
    ------
    InvalidInputError
        If the pairs have no prompt ids, or these are no rows of `prompt_vectors`.
    """
    table = check_items(prompt_vectors, finite=False)
    if not isinstance(pairs, Pairs):
        raise InvalidInputError(
            three_parts(
                expected="Pairs with prompt_ids that are rows of prompt_vectors",
                got=type(pairs).__name__,
                cure="pass Pairs(items, ids, prompt_ids)",
            )
        )
    rows, ids = pairs.unique_items()
    d = pairs.shape[2]
    used = prompt_rows(pairs, table)[rows]
    parts = [widened(pairs.items[rows]), widened(table[used])]
    both = Pairs(np.hstack(parts), ids, prompt_ids=used)
    wins = make_comparisons(both, y, sample_weight, margin)
    joined = wins.items
    kept, prompt = distinct_rows(np.ascontiguousarray(joined[:, d:]))
    prompts = joined[kept, d:].astype(np.float64)
    return replace(wins, items=np.ascontiguousarray(joined[:, :d])), prompts, prompt


def prompt_rows(pairs: Pairs, table: FloatArray) -> IntArray:
    """Read the prompt ids of pairs as rows of a table of prompt vectors."""
    prompts = pairs.prompt_ids
    whole = prompts is not None and prompts.dtype.kind in "iu"
    if prompts is None or not whole:
        raise InvalidInputError(
            three_parts(
                expected="integer prompt_ids, which are rows of prompt_vectors",
                got="none" if prompts is None else f"dtype {prompts.dtype}",
                cure="number the prompts in the order of prompt_vectors",
            )
        )
    bad = (prompts < 0) | (prompts >= len(table))
    if bad.any():
        at = int(np.argmax(bad))
        raise InvalidInputError(
            three_parts(
                expected=f"prompt_ids in [0, {len(table)}), the rows of prompt_vectors",
                got=f"{int(prompts[at])} at item {at}",
                cure="pass one prompt vector for every prompt id",
            )
        )
    return prompts
