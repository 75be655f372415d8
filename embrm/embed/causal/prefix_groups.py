"""Which texts begin with the same tokens, so that the beginning is computed once.

Grouping is by token ids of the full texts, as they are fed to the model: a tokenizer
may merge across the boundary of prompt and response, and truncation changes the
prompt, so neither the prompt's text nor its own ids would do
(https://github.com/EleutherAI/lm-evaluation-harness/pull/63).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embrm.embed.truncation import FittedTokens

MIN_SHARED = 8
"""Tokens below which a shared beginning is not worth the copying."""


@dataclass(frozen=True)
class PrefixGroup:
    """Texts that begin with the same tokens.

    Attributes
    ----------
    rows : tuple of int
        Positions of the texts.
    n_shared : int
        How many tokens all of them begin with; every text has at least one more.
        0 in a group of one.
    """

    rows: tuple[int, ...]
    n_shared: int


def prefix_groups(
    tokens: Sequence[FittedTokens], *, min_shared: int = MIN_SHARED
) -> list[PrefixGroup]:
    """Partition texts into groups with long common beginnings.

    Sorted by ids, texts with a common beginning lie together, and the intervals
    between them form a tree (that of suffix arrays; Abouelhoda et al. 2004). Each
    node either stays one group or leaves its texts to the groups below, whichever
    leaves fewer tokens to compute.

    Parameters
    ----------
    tokens : sequence of FittedTokens
    min_shared : int, default=8
        Shorter common beginnings are not shared.

    Returns
    -------
    list of PrefixGroup
        Every text in exactly one.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.embed.truncation import FittedTokens
    >>> texts = [
    ...     FittedTokens(np.array(ids, dtype=np.int32), 0, 1, len(ids) - 1)
    ...     for ids in ([1, 2, 3, 4], [7, 8], [1, 2, 3, 5, 6])
    ... ]
    >>> prefix_groups(texts, min_shared=2)
    [PrefixGroup(rows=(0, 2), n_shared=3), PrefixGroup(rows=(1,), n_shared=0)]
    """
    if not len(tokens):
        return []
    # Big-endian bytes of non-negative numbers sort as the numbers do.
    keys = [fitted.ids.astype(">i4").tobytes() for fitted in tokens]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    shared = [
        _n_common(tokens[one].ids, tokens[other].ids) for one, other in pairwise(order)
    ]
    root = _tree(order, shared)
    groups = [*root.groups, PrefixGroup(tuple(root.free), root.n_shared)]
    found = []
    for group in groups:
        if group.n_shared >= min_shared and len(group.rows) > 1:
            found.append(PrefixGroup(tuple(sorted(group.rows)), group.n_shared))
        else:
            found += [PrefixGroup((row,), 0) for row in group.rows]
    return sorted(found, key=lambda group: group.rows[0])


@dataclass
class _Node:
    """An interval of sorted texts, with the best grouping found for it.

    `free` are the texts that join a group at this node or above.
    """

    n_shared: int
    free: list[int] = field(default_factory=list)
    groups: list[PrefixGroup] = field(default_factory=list)

    def take(self, child: "_Node") -> None:
        """Take a child's texts, closing its group where that saves more."""
        own = child.n_shared * (len(child.free) - 1)
        if own > self.n_shared * len(child.free):
            self.groups += [
                *child.groups,
                PrefixGroup(tuple(child.free), child.n_shared),
            ]
        else:
            self.groups += child.groups
            self.free += child.free


def _tree(order: Sequence[int], shared: Sequence[int]) -> _Node:
    """Build the interval tree bottom-up with a stack, and return its root."""
    stack = [_Node(0)]
    for row, after in zip(order, [*shared, 0], strict=True):
        child = _Node(0, free=[row])
        while stack[-1].n_shared > after:
            node = stack.pop()
            node.take(child)
            child = node
        if stack[-1].n_shared < after:
            stack.append(_Node(after))
        stack[-1].take(child)
    return stack[0]


def _n_common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """Count common leading tokens, leaving both texts at least one of their own."""
    n = min(len(one), len(other)) - 1
    differing = one[:n] != other[:n]
    return int(np.argmax(differing)) if differing.any() else max(n, 0)
