"""Blocks: named columns of items that share one prior.

The vectors of one encoder are a block, and so are style features. Heads give each block
a prior of its own; everything else treats the columns alike.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from embrm.exceptions import invalid_input

Blocks: TypeAlias = Mapping[str, slice]
"""Names of runs of columns, which together are all columns, in order."""


def check_blocks(blocks: Blocks | None, n_columns: int) -> dict[str, slice] | None:
    """Check that blocks divide all columns.

    Parameters
    ----------
    blocks : mapping of str to slice, or None
    n_columns : int

    Returns
    -------
    dict of str to slice, or None
        In the order of the columns, with plain bounds; None where there are none.

    Raises
    ------
    InvalidInputError
        If a column is in no block or in two, or a block is empty or has a step.

    Examples
    --------
    >>> check_blocks({"style": slice(2, None), "minilm": slice(0, 2)}, 5)
    {'minilm': slice(0, 2, None), 'style': slice(2, 5, None)}
    """
    if blocks is None:
        return None
    spans = {
        str(name): part.indices(n_columns)
        for name, part in blocks.items()
        if isinstance(part, slice)
    }
    ordered = dict(sorted(spans.items(), key=lambda named: named[1][0]))
    edges = [0, *(stop for _, stop, _ in ordered.values())]
    starts = [start for start, _, _ in ordered.values()]
    fits = starts == edges[:-1] and edges[-1] == n_columns
    fits = fits and all(start < stop for start, stop in pairwise(edges))
    if not fits or len(spans) < len(blocks) or any(s[2] != 1 for s in spans.values()):
        words = ", ".join(f"{name}: {part}" for name, part in blocks.items())
        raise invalid_input(
            expected=f"blocks that divide all {n_columns} columns, as slices",
            got=words[:200] or "none",
            fix="pass e.g. {'minilm': slice(0, 384), 'style': slice(384, 400)}",
        )
    return {name: slice(start, stop) for name, (start, stop, _) in ordered.items()}


def blocks_of(names: Sequence[str], widths: Sequence[int]) -> dict[str, slice]:
    """Name runs of columns of some widths, one after the other.

    Examples
    --------
    >>> blocks_of(["minilm", "style"], [384, 16])
    {'minilm': slice(0, 384, None), 'style': slice(384, 400, None)}
    """
    edges = [0]
    for width in widths:
        edges.append(edges[-1] + width)
    return {
        name: slice(start, stop)
        for name, (start, stop) in zip(names, pairwise(edges), strict=True)
    }
