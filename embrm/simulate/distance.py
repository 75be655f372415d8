"""Designs that use only embeddings: the most similar, or most diverse, pairs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_choice, check_items, check_share
from embrm.pool import CandidatePool
from embrm.simulate.design import (
    Ends,
    EnumeratingDesign,
    Locator,
    PromptLayout,
    concatenated_ranges,
    offsets_of,
    triangular_pair,
)


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
        at_least_one: IntArray = np.minimum(np.maximum(kept, 1), all_pairs)
        return at_least_one

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
    nearest: FloatArray = np.maximum(distances, 0) + np.float32(0)
    return nearest


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


_MOST = (1 << 31) - 1
_BLOCK = 1 << 20
