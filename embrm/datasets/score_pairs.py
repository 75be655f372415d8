"""All pairs of items that answer the same prompt, labelled by a score."""

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm.exceptions import InvalidInputError, three_parts


def same_prompt_pairs(prompt_ids: AnyArray) -> IntArray:
    """List all pairs of rows with the same prompt id.

    Parameters
    ----------
    prompt_ids : ndarray of shape (n_items,)

    Returns
    -------
    ndarray of int of shape (n_pairs, 2)
        The smaller row first, in ascending order.

    Examples
    --------
    >>> same_prompt_pairs(np.array([7, 7, 8, 7])).tolist()
    [[0, 1], [0, 3], [1, 3]]
    """
    order = np.argsort(prompt_ids, kind="stable")
    _, starts, sizes = np.unique(
        prompt_ids[order], return_index=True, return_counts=True
    )
    blocks = [np.empty((0, 2), dtype=np.intp)]
    # Groups of one size are paired together: there are few sizes, many groups.
    for size in np.unique(sizes[sizes > 1]):
        upper = np.column_stack(np.triu_indices(size, k=1))
        begins = starts[sizes == size]
        blocks.append(order[(begins[:, None, None] + upper).reshape(-1, 2)])
    pairs = np.concatenate(blocks)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def score_pairs(items: pd.DataFrame, column: str, min_gap: float) -> pd.DataFrame:
    """Make the pair table of `Preferences.prefer_by_score`."""
    score = _scores(items, column)
    prompt_ids = items["prompt_id"].to_numpy()
    rows = np.flatnonzero(np.isfinite(score))
    rows = rows[np.argsort(prompt_ids[rows], kind="stable")]
    pairs = rows[same_prompt_pairs(prompt_ids[rows])]
    texts = pd.factorize(items["response"])[0]
    gap = score[pairs[:, 0]] - score[pairs[:, 1]]
    wide_enough = np.abs(gap) >= min_gap if min_gap else gap != 0
    kept = wide_enough & (texts[pairs[:, 0]] != texts[pairs[:, 1]])
    pairs, gap = pairs[kept], gap[kept]
    # Better first in every other pair: the position tells nothing about the label.
    better_first = np.cumsum(gap != 0) % 2 == 1
    turned = (gap != 0) & ((gap > 0) != better_first)
    pairs[turned] = pairs[turned, ::-1]
    gap[turned] *= -1
    return pd.DataFrame(
        {
            "first": pairs[:, 0].astype(np.int64),
            "second": pairs[:, 1].astype(np.int64),
            "y": (np.sign(gap) + 1) / 2,
            "source_row": items["source_row"].to_numpy()[pairs].max(axis=1),
            "gap": np.abs(gap),
        }
    )


def _scores(items: pd.DataFrame, column: str) -> FloatArray:
    """Read the scores, higher being better; ranks count the other way."""
    numeric = [
        str(name)
        for name in items.select_dtypes(["number", "bool"])
        if name not in ("prompt_id", "source_row")
    ]
    if column not in numeric:
        names = ", ".join(numeric)[:200] or "none"
        raise InvalidInputError(
            three_parts(
                expected="a numeric column of items to prefer by",
                got=f"{str(column)[:40]!r}; numeric are: {names}",
                cure="name one of these, or read data that has ratings",
            )
        )
    score = items[column].to_numpy(np.float64)
    return -score if column == "rank" else score
