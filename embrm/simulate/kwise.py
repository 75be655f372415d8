"""Designs by embeddings (similar, diverse), and of several responses at once."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_choice, check_count, check_items, check_share
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.design import (
    Ends,
    EnumeratingDesign,
    Locator,
    PairingDesign,
    PromptLayout,
    concatenated_ranges,
    distinct_ranks,
    offsets_of,
    shuffled_responses,
    triangular_pair,
)

_MOST = (1 << 31) - 1
_BLOCK = 1 << 20


@dataclass(frozen=True)
class _ByDistance(EnumeratingDesign):
    """Pairs that are among the first of their prompt when sorted by distance."""

    share: float = 0.25
    metric: Literal["cosine", "euclidean"] = "cosine"
    replacement: bool = False
    _farthest: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_share(self.share, "share of each prompt's pairs")
        check_choice(self.metric, "metric", ("cosine", "euclidean"))

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs that are near (or far) enough."""
        return int(self._kept(pool.sizes).sum())

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        # One block: the vectors of a prompt are read once, for all of its pairs.
        ranks = self._ranks(pool, n_pairs, rng)
        yield self._pair_of_rank(pool)(ranks)

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        layout = PromptLayout.of(pool)
        offsets = offsets_of(self._kept(layout.sizes))
        locate = Locator(offsets)

        def pair_of_rank(ranks: IntArray) -> Ends:
            prompt = locate(ranks)
            place = self._sorted_pairs(pool, layout, prompt, ranks - offsets[prompt])
            low, high = triangular_pair(place)
            start = layout.starts[prompt]
            return layout.order[start + low], layout.order[start + high]

        return pair_of_rank

    def _kept(self, sizes: IntArray) -> IntArray:
        """Count how many pairs of each prompt take part: one at least, if any."""
        all_pairs = sizes * (sizes - 1) // 2
        kept = np.floor(self.share * all_pairs + 0.5).astype(np.intp)
        return np.asarray(np.minimum(np.maximum(kept, 1), all_pairs))

    def _sorted_pairs(
        self,
        pool: CandidatePool,
        layout: PromptLayout,
        prompt: IntArray,
        place: IntArray,
    ) -> IntArray:
        """Find which pair of its prompt has a given place in order of distance."""
        found = np.empty(len(prompt), dtype=np.int64)
        drawn_at = np.argsort(prompt, kind="stable")
        ends = np.searchsorted(prompt[drawn_at], np.arange(len(layout.sizes) + 1))
        for batch in _batches(layout.sizes, np.flatnonzero(np.diff(ends))):
            size = layout.sizes[batch[0]]
            rows = layout.order[layout.starts[batch][:, None] + np.arange(size)]
            distances = _distances(pool.items, rows, self.metric)
            order = _order(distances, descending=self._farthest)
            n_drawn = ends[batch + 1] - ends[batch]
            at = drawn_at[concatenated_ranges(ends[batch], n_drawn)]
            found[at] = order[np.repeat(np.arange(len(batch)), n_drawn), place[at]]
        return found


@dataclass(frozen=True)
class SimilarResponses(_ByDistance):
    """Same-prompt pairs whose vectors are close: hard comparisons, found without gold.

    Parameters
    ----------
    share : float in [0, 1], default=0.25
        Of each prompt's pairs, the share of smallest distance takes part (rounded, one
        pair at least); those are equally likely.
    metric : {"cosine", "euclidean"}, default="cosine"
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Notes
    -----
    The vectors of the prompts that occur are read, in blocks of a few MB, and compared
    in float32.

    Examples
    --------
    >>> import numpy as np
    >>> items = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> pool = CandidatePool(items, ["a", "a", "a"])
    >>> sorted(SimilarResponses().draw(pool, 1).ravel().tolist())
    [0, 1]
    """


@dataclass(frozen=True)
class DiverseResponses(_ByDistance):
    """Same-prompt pairs whose vectors are far apart, found without gold.

    Parameters
    ----------
    share : float in [0, 1], default=0.25
        Of each prompt's pairs, the share of largest distance takes part (rounded, one
        pair at least); those are equally likely.
    metric : {"cosine", "euclidean"}, default="cosine"
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> items = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> pool = CandidatePool(items, ["a", "a", "a"])
    >>> sorted(DiverseResponses().draw(pool, 1).ravel().tolist())
    [0, 2]
    """

    _farthest: ClassVar[bool] = True


def _batches(sizes: IntArray, prompts: IntArray) -> Iterator[IntArray]:
    """Split prompts into batches of equal K and of bounded memory."""
    for size in np.unique(sizes[prompts]):
        alike = prompts[sizes[prompts] == size]
        step = max(1, _BLOCK // int(size) ** 2)
        for start in range(0, len(alike), step):
            yield alike[start : start + step]


def _distances(items: FloatArray, rows: IntArray, metric: str) -> FloatArray:
    """Compare all responses of each prompt: shape (n_prompts, K (K - 1) / 2)."""
    size = rows.shape[1]
    low, high = triangular_pair(np.arange(size * (size - 1) // 2))
    per_prompt = size * items.shape[1]
    step = max(1, _BLOCK // per_prompt)
    distances = np.empty((len(rows), len(low)), dtype=np.float32)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        vectors = check_items(items[block.ravel()]).astype(np.float32, copy=False)
        vectors = vectors.reshape(*block.shape, -1)
        square = np.einsum("pkd,pkd->pk", vectors, vectors)
        dot = (vectors @ vectors.swapaxes(1, 2))[:, low, high]
        if metric == "cosine":
            # A zero vector has no direction: its cosine with any other is 0.
            norm = np.sqrt(np.where(square > 0, square, 1))
            distances[start : start + step] = 1 - dot / (norm[:, low] * norm[:, high])
        else:
            distances[start : start + step] = square[:, low] + square[:, high] - 2 * dot
    # Rounding may leave a little less than nothing, or minus zero.
    return np.asarray(np.maximum(distances, 0) + np.float32(0))


def _order(distances: FloatArray, *, descending: bool) -> IntArray:
    """Sort float32 distances >= 0 along axis 1: positions, ties in order of position.

    The bits of such numbers are ordered as they are, so that distance and position
    fit one integer: sorting it is many times faster than a stable argsort.
    """
    bits = distances.view(np.uint32).astype(np.int64)
    keys = (_MOST - bits if descending else bits) << 32
    keys |= np.arange(distances.shape[1])
    keys.sort(axis=1)
    keys &= (1 << 32) - 1
    return keys


class _Groups(PairingDesign):
    """Groups of distinct responses to one prompt, each giving the same number of pairs.

    Without replacement, the groups of a prompt share no response, so no pair can occur
    twice; a prompt has floor(K / size) of them. With replacement, each group is drawn
    afresh, from prompts in proportion to that number.
    """

    @property
    @abstractmethod
    def _group(self) -> tuple[int, int]:
        """How many responses a group has, and how many pairs it gives."""

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs of all groups that share no response."""
        size, n_pairs = self._group
        return int((pool.sizes // size).sum()) * n_pairs

    def _groups(
        self, layout: PromptLayout, n_pairs: int, rng: np.random.Generator
    ) -> IntArray:
        """Draw as many groups as n_pairs need: rows, shape (n_groups, group size)."""
        size, pairs_per_group = self._group
        n_groups = -(-n_pairs // pairs_per_group)
        offsets = offsets_of(layout.sizes // size)
        if self.replacement:
            prompts = Locator(offsets)(rng.integers(offsets[-1], size=n_groups))
            within = random_subsets(layout.sizes[prompts], size, rng)
            return np.asarray(layout.order[layout.starts[prompts, None] + within])
        ranks = distinct_ranks(int(offsets[-1]), n_groups, rng)
        owner = Locator(offsets)(ranks)
        prompts, occurrence = np.unique(owner, return_inverse=True)
        rows, starts = shuffled_responses(layout, prompts, rng)
        first = starts[occurrence] + (ranks - offsets[owner]) * size
        return np.asarray(rows[first[:, None] + np.arange(size)])


@dataclass(frozen=True)
class KWise(_Groups):
    """All k (k - 1) / 2 pairs of k responses to a prompt, as when rankings are asked.

    InstructGPT (Ouyang et al. 2022, arXiv:2203.02155) has k = 4..9. The pairs of a
    group are adjacent; where n_pairs is no multiple of k (k - 1) / 2, the last group
    is cut.

    Parameters
    ----------
    k : int >= 2
        Responses in a group. Prompts with fewer are left out.
    replacement : bool, default=False
        Whether a response may occur in several groups, and so a pair again. Without,
        a prompt has floor(K / k) groups.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(7), [0, 0, 0, 0, 0, 0, 1])
    >>> design = KWise(3)
    >>> design.max_pairs(pool)
    6
    >>> ids = design.draw(pool, 6, random_state=0)
    >>> len(np.unique(ids[:3])), len(np.unique(ids[3:]))
    (3, 3)
    """

    k: int
    replacement: bool = False

    def __post_init__(self) -> None:
        check_count(self.k, "k", low=2)

    @property
    def _group(self) -> tuple[int, int]:
        return self.k, self.k * (self.k - 1) // 2

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        groups = self._groups(PromptLayout.of(pool), n_pairs, rng)
        pair = np.arange(n_pairs)
        group, place = np.divmod(pair, self._group[1])
        low, high = triangular_pair(place)
        yield groups[group, low], groups[group, high]


@dataclass(frozen=True)
class BestVersusWorst(_Groups):
    """Of n responses to a prompt, the best by gold against the worst.

    Parameters
    ----------
    n : int >= 2
        Responses among which the two are found. Prompts with fewer are left out.
    replacement : bool, default=False
        Whether a response may occur in several groups, and so a pair again. Without,
        a prompt has floor(K / n) groups.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), [0, 0, 0, 0], gold=[1.0, 4.0, 2.0, 3.0])
    >>> sorted(BestVersusWorst(4).draw(pool, 1).ravel().tolist())
    [0, 1]
    """

    n: int
    replacement: bool = False

    def __post_init__(self) -> None:
        check_count(self.n, "n", low=2)

    @property
    def _group(self) -> tuple[int, int]:
        return self.n, 1

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        gold = require_gold(pool, repr(self))
        groups = self._groups(PromptLayout.of(pool), n_pairs, rng)
        # A stable sort: of equal scores, best and worst are still two responses.
        order = np.argsort(gold[groups], axis=1, kind="stable")
        each = np.arange(n_pairs)
        yield groups[each, order[:, -1]], groups[each, order[:, 0]]


def random_subsets(
    sizes: IntArray, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Draw n_chosen distinct integers of [0, size) for each size.

    Floyd's algorithm, all rows at once: memory O(n_rows * n_chosen) whatever the sizes.

    Parameters
    ----------
    sizes : ndarray of int of shape (n_rows,), >= n_chosen
    n_chosen : int
    rng : Generator

    Returns
    -------
    ndarray of int of shape (n_rows, n_chosen)
        Each set equally likely; the order within a row is not random.
    """
    chosen = np.empty((len(sizes), n_chosen), dtype=np.intp)
    for i in range(n_chosen):
        last = sizes - n_chosen + i
        candidate = rng.integers(last + 1)
        taken = (chosen[:, :i] == candidate[:, None]).any(axis=1)
        chosen[:, i] = np.where(taken, last, candidate)
    return chosen
