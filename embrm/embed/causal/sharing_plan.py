"""What goes through the model together, and how much each way of sharing costs.

Three layouts of the same texts:

- padded: each text in a row of its own, padded to the longest of its batch;
- kv: the shared prefixes once, then the rest of each text with a copy of the keys
  and values of its beginning;
- tree: shared beginning and all continuations in one row, with a mask by which each
  token sees its own text alone.

Texts are grouped by the token ids that the model processes: a tokenizer may merge
across the boundary of prompt and response, and truncation changes the prompt, so
neither the prompt's text nor its own ids would do
(https://github.com/EleutherAI/lm-evaluation-harness/pull/63).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embrm.embed.batching import token_batches
from embrm.embed.steps import PaddedStep, padded_steps
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
    """Partition texts into groups with long common prefixes.

    Sorted by ids, texts with a common beginning lie together, and the intervals
    between them form a tree (that of suffix arrays; Abouelhoda et al. 2004). Each
    node either stays one group or leaves its texts to the groups below, whichever
    leaves fewer tokens to compute.

    Parameters
    ----------
    tokens : sequence of FittedTokens
    min_shared : int, default=8
        Shorter common prefixes are not shared.

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


DENSE_COLUMNS = 2048
"""Longest row of a tree under a dense mask, which takes its square in memory."""

# Keys and values that are copied take a fraction of what computing a token takes.
_COPIED_PER_COMPUTED = 4


@dataclass(frozen=True)
class KVStep:
    """Beginnings that are computed together, and passes over their continuations.

    Attributes
    ----------
    groups : list of PrefixGroup
    rows : list of int
        The groups' texts, group by group.
    passes : list of list of int
        Positions within `rows`, of similar length.
    """

    groups: list[PrefixGroup]
    rows: list[int]
    passes: list[list[int]]
    n_processed: int
    cost: float


@dataclass(frozen=True)
class TreeStep:
    """Rows of the model, each of which holds groups: beginning, then continuations."""

    lines: list[list[PrefixGroup]]
    n_columns: int
    n_processed: int
    cost: float
    rows: list[int] = field(default_factory=list)


class Machine(NamedTuple):
    """What the costs depend on.

    Attributes
    ----------
    start : int
        What starting a forward pass costs, in tokens: the time in which the model
        would compute as many.
    floor : int
        Tokens below which a pass gets no faster: on a GPU kernels are then launched
        more slowly than they run.
    dim : int
        Size of the hidden states.
    tree_columns : int
        Longest row of a tree.
    is_sparse : bool
        Whether attention skips masked blocks, as flex_attention does.
    """

    start: int
    floor: int
    dim: int
    tree_columns: int = DENSE_COLUMNS
    is_sparse: bool = False

    def cost(self, n_tokens: int, n_keys: int) -> float:
        """Cost of a pass over `n_tokens`, each of which looks at `n_keys`.

        In tokens: a token takes about 24 d^2 operations per block, its attention
        4 d n_keys, so that n_keys / 6d counts as one more token.
        """
        computed = n_tokens * (1 + n_keys / (6 * self.dim))
        return max(computed, self.floor) + self.start


def plan_padded(
    tokens: Sequence[FittedTokens], rows: Sequence[int], budget: int, machine: Machine
) -> list[PaddedStep]:
    """Put texts of similar length into batches of at most `budget` tokens."""
    steps = []
    for step in padded_steps(tokens, rows, budget):
        longest = len(tokens[step.rows[0]])
        cost = machine.cost(len(step.rows) * longest, longest)
        steps.append(replace(step, cost=cost))
    return steps


def plan_kv(
    tokens: Sequence[FittedTokens],
    groups: Sequence[PrefixGroup],
    budget: int,
    machine: Machine,
) -> list[PaddedStep | KVStep]:
    """Prefill shared prefixes together, then continue them in passes.

    Beginnings of similar length are prefilled together until their continuations
    fill the budget. Texts that share nothing go into padded batches.
    """
    alone = [group.rows[0] for group in groups if len(group.rows) == 1]
    shared = [group for group in groups if len(group.rows) > 1]
    shared.sort(key=lambda group: -group.n_shared)
    steps: list[PaddedStep | KVStep] = []
    packed: list[PrefixGroup] = []
    n_own = waste = 0
    for group in shared:
        longest = packed[0].n_shared if packed else group.n_shared
        waste += longest - group.n_shared
        is_full = (len(packed) + 1) * longest > budget or n_own >= budget
        is_wasteful = waste > machine.start and n_own >= machine.floor
        if packed and (is_full or is_wasteful):
            steps.append(_kv_step(tokens, packed, budget, machine))
            packed, n_own, waste = [], 0, 0
        packed.append(group)
        n_own += _n_own(tokens, group)
    if packed:
        steps.append(_kv_step(tokens, packed, budget, machine))
    return steps + plan_padded(tokens, alone, budget, machine)


def plan_tree(
    tokens: Sequence[FittedTokens],
    groups: Sequence[PrefixGroup],
    budget: int,
    machine: Machine,
) -> list[TreeStep]:
    """Fill rows with whole groups, and batches with rows.

    A group that is longer than a row is split, and its beginning computed in each
    part; texts that share nothing are groups of one.
    """
    limit = min(machine.tree_columns, max(budget, 1))
    parts = [part for group in groups for part in _split(tokens, group, limit)]
    parts.sort(key=lambda part: -_width(tokens, part))
    lines: list[list[PrefixGroup]] = []
    room: list[int] = []
    for part in parts:
        width = _width(tokens, part)
        n = next((n for n, left in enumerate(room) if width <= left), len(lines))
        if n == len(lines):
            lines.append([])
            room.append(max(limit, width))
        lines[n].append(part)
        room[n] -= width
    widths = [sum(_width(tokens, part) for part in line) for line in lines]
    steps = []
    for batch in token_batches(widths, batch_tokens=budget):
        longest = widths[batch[0]]
        taken = [lines[n] for n in batch]
        rows = [row for line in taken for part in line for row in part.rows]
        n_keys = max(len(tokens[row]) for row in rows) if machine.is_sparse else longest
        steps.append(
            TreeStep(
                lines=taken,
                n_columns=longest,
                n_processed=sum(widths[n] for n in batch),
                cost=machine.cost(len(batch) * longest, n_keys),
                rows=rows,
            )
        )
    return steps


def _kv_step(
    tokens: Sequence[FittedTokens],
    groups: list[PrefixGroup],
    budget: int,
    machine: Machine,
) -> KVStep:
    """Sort the continuations of some groups by length, and cut them into passes."""
    longest = max(group.n_shared for group in groups)
    rows = [row for group in groups for row in group.rows]
    own = [len(tokens[row]) - g.n_shared for g in groups for row in g.rows]
    passes: list[list[int]] = []
    width = waste = 0
    cost = machine.cost(len(groups) * longest, longest)
    for n in sorted(range(len(rows)), key=lambda n: -own[n]):
        waste += width - own[n]
        n_rows = len(passes[-1]) + 1 if passes else 1
        is_full = (
            n_rows * width > budget
            or n_rows * (width + longest) > _COPIED_PER_COMPUTED * budget
        )
        # Once padding has cost as much as another pass, another pass is cheaper.
        is_wasteful = waste > machine.start and n_rows * width > machine.floor
        if not passes or is_full or is_wasteful:
            passes.append([])
            width, waste = own[n], 0
        passes[-1].append(n)
    for batch in passes:
        cost += machine.cost(len(batch) * own[batch[0]], longest + own[batch[0]])
    n_processed = sum(own) + sum(group.n_shared for group in groups)
    return KVStep(list(groups), rows, passes, n_processed, cost)


def _n_own(tokens: Sequence[FittedTokens], group: PrefixGroup) -> int:
    """Count the tokens of a group's texts behind the shared ones."""
    return sum(len(tokens[row]) - group.n_shared for row in group.rows)


def _width(tokens: Sequence[FittedTokens], group: PrefixGroup) -> int:
    return group.n_shared + _n_own(tokens, group)


def _split(
    tokens: Sequence[FittedTokens], group: PrefixGroup, limit: int
) -> list[PrefixGroup]:
    """Cut a group into parts that fit a row, if need be of one text."""
    parts: list[list[int]] = []
    width = 0
    for row in group.rows:
        own = len(tokens[row]) - group.n_shared
        if not parts or width + own > limit:
            parts.append([])
            width = group.n_shared
        parts[-1].append(row)
        width += own
    return [PrefixGroup(tuple(part), group.n_shared) for part in parts]
