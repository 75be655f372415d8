"""Pairing designs: which pairs of a pool are annotated.

A design numbers all pairs it may draw and turns drawn numbers into rows, so that
drawing without replacement is exact and needs memory for the pairs drawn alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from embrm._typing import IntArray
from embrm._validation import check_share
from embrm.pool import CandidatePool
from embrm.simulate.design import Ends, EnumeratingDesign, PairingDesign
from embrm.simulate.distance import DiverseResponses, SimilarResponses
from embrm.simulate.kwise import BestVersusWorst, KWise
from embrm.simulate.layout import Locator, PromptLayout, offsets_of, triangular_pair
from embrm.simulate.ranks import RankWindow
from embrm.simulate.tournament import Tournament

__all__ = [
    "BestVersusWorst",
    "CrossPrompt",
    "DiverseResponses",
    "KWise",
    "MixedPrompt",
    "PairingDesign",
    "RankWindow",
    "SamePrompt",
    "SimilarResponses",
    "Tournament",
]


@dataclass(frozen=True)
class SamePrompt(EnumeratingDesign):
    """Two responses to one prompt: every such pair of the pool is equally likely.

    A prompt with more responses has more pairs, and is drawn more often.

    Parameters
    ----------
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(5), ["a", "a", "a", "b", "b"])
    >>> design = SamePrompt()
    >>> design.max_pairs(pool)
    4
    >>> ids = design.draw(pool, 4, random_state=0)
    >>> sorted(sorted(pair) for pair in ids.tolist())
    [[0, 1], [0, 2], [1, 2], [3, 4]]
    """

    replacement: bool = False

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the same-prompt pairs: the sum of K (K - 1) / 2."""
        return int((pool.sizes * (pool.sizes - 1) // 2).sum())

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        layout = PromptLayout.of(pool)
        offsets = offsets_of(layout.sizes * (layout.sizes - 1) // 2)
        locate = Locator(offsets)

        def pair_of_rank(ranks: IntArray) -> Ends:
            prompt = locate(ranks)
            low, high = triangular_pair(ranks - offsets[prompt])
            start = layout.starts[prompt]
            return layout.order[start + low], layout.order[start + high]

        return pair_of_rank


@dataclass(frozen=True)
class CrossPrompt(EnumeratingDesign):
    """Two responses to different prompts: every such pair is equally likely.

    Where all prompts have the same number of responses, this is a random second prompt
    and one response to each, as in arXiv:2411.04991, section 4.

    Parameters
    ----------
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), ["a", "a", "a", "b"])
    >>> ids = CrossPrompt().draw(pool, 3, random_state=0)
    >>> sorted(sorted(pair) for pair in ids.tolist())
    [[0, 3], [1, 3], [2, 3]]
    """

    replacement: bool = False

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs of items whose prompts differ."""
        return int(self._offsets(PromptLayout.of(pool))[-1])

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        layout = PromptLayout.of(pool)
        offsets = self._offsets(layout)
        locate = Locator(offsets)

        def pair_of_rank(ranks: IntArray) -> Ends:
            prompt = locate(ranks)
            start = layout.starts[prompt]
            within = ranks - offsets[prompt]
            response = within // start
            earlier = within - response * start
            return layout.order[earlier], layout.order[start + response]

        return pair_of_rank

    @staticmethod
    def _offsets(layout: PromptLayout) -> IntArray:
        """Count, prompt by prompt, the pairs of its items with all items before."""
        return offsets_of(layout.sizes * layout.starts[:-1])


@dataclass(frozen=True)
class MixedPrompt(PairingDesign):
    """Same- and cross-prompt pairs in a given share, in random order.

    Parameters
    ----------
    share : float in [0, 1]
        Share of cross-prompt pairs; of n pairs, exactly `share * n` (rounded) are.
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> ids = MixedPrompt(0.25).draw(pool, 8, random_state=0)
    >>> int((pool.prompt_ids[ids[:, 0]] != pool.prompt_ids[ids[:, 1]]).sum())
    2
    """

    share: float
    replacement: bool = False

    def __post_init__(self) -> None:
        check_share(self.share, "share of cross-prompt pairs")

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs until either kind runs out."""
        same, cross = SamePrompt().max_pairs(pool), CrossPrompt().max_pairs(pool)
        bounds = [(cross, self.share), (same, 1 - self.share)]
        n = min(int((most + 1) / share) for most, share in bounds if share > 0) + 1
        while n and (self._n_cross(n) > cross or n - self._n_cross(n) > same):
            n -= 1
        return n

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        n_cross = self._n_cross(n_pairs)
        ids = np.empty((n_pairs, 2), dtype=np.intp)
        place = rng.permutation(n_pairs)
        for design, at in (
            (CrossPrompt(self.replacement), place[:n_cross]),
            (SamePrompt(self.replacement), place[n_cross:]),
        ):
            if len(at):
                ids[at] = design.draw(pool, len(at), rng)
        yield ids[:, 0], ids[:, 1]

    def _n_cross(self, n_pairs: int) -> int:
        return int(self.share * n_pairs + 0.5)
