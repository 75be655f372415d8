"""RankWindow: pairs of two given gold ranks, to vary how far apart responses are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm._typing import IntArray
from embrm._validation import check_share, invalid_input
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.design import Ends, EnumeratingDesign
from embrm.simulate.layout import PromptLayout


@dataclass(frozen=True)
class RankWindow(EnumeratingDesign):
    """The response of gold rank `low` against the one of rank `high`, same prompt.

    The diversity stress of arXiv:2411.04991: of ten responses, `RankWindow(4, 5)`
    pairs two of middling gold, `RankWindow(0, 9)` the worst with the best. Each prompt
    has one such pair.

    Parameters
    ----------
    low, high : int or float
        An int is a rank, from 0 for the lowest gold; negative ones count from the
        highest, -1. A float in [0, 1] is a quantile q, rank `round(q * (K - 1))`, which
        adapts to prompts of different size: `1` is the second lowest rank, `1.0` the
        highest. Prompts in which `low` is not below `high`, or which have too few
        responses, are left out. Responses of equal gold rank in the pool's order.
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> gold = [3.0, 1.0, 2.0, 5.0, 9.0]
    >>> pool = CandidatePool(np.eye(5), ["a", "a", "a", "b", "b"], gold=gold)
    >>> sorted(RankWindow(0, 2).draw(pool, 1).ravel().tolist())
    [0, 1]
    >>> RankWindow(0, -1).max_pairs(pool), RankWindow(0.0, 0.5).max_pairs(pool)
    (2, 2)
    """

    low: int | float
    high: int | float
    replacement: bool = False

    def __post_init__(self) -> None:
        for name, rank in (("low", self.low), ("high", self.high)):
            _check_rank(rank, name)
        same_kind = isinstance(self.low, float) == isinstance(self.high, float)
        same_end = (self.low >= 0) == (self.high >= 0)
        if same_kind and same_end and self.low >= self.high:
            raise invalid_input(
                "a rank low below the rank high",
                f"low={self.low}, high={self.high}",
                "swap them; which response stands first is drawn at random",
            )

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the prompts that have both ranks."""
        return len(self._ranks_of(pool.sizes)[0])

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        gold = require_gold(pool, repr(self))
        layout = PromptLayout.of(pool)
        by_gold = np.lexsort((gold, layout.codes))
        prompts, low, high = self._ranks_of(layout.sizes)
        start = layout.starts[prompts]
        one, other = by_gold[start + low], by_gold[start + high]
        return lambda drawn: (one[drawn], other[drawn])

    def _ranks_of(self, sizes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """List the prompts that have both ranks, and the ranks in each."""
        low, high = _as_rank(self.low, sizes), _as_rank(self.high, sizes)
        prompts = np.flatnonzero((low >= 0) & (low < high) & (high < sizes))
        return prompts, low[prompts], high[prompts]


def _as_rank(rank: int | float, sizes: IntArray) -> IntArray:
    if isinstance(rank, float):
        rounded: IntArray = np.floor(rank * (sizes - 1) + 0.5).astype(np.intp)
        return rounded
    return sizes + rank if rank < 0 else np.full(len(sizes), rank)


def _check_rank(rank: Any, name: str) -> None:
    if isinstance(rank, float):
        check_share(rank, f"quantile {name}")
    elif isinstance(rank, bool) or not isinstance(rank, int | np.integer):
        raise invalid_input(
            f"{name} as an int (a rank) or a float in [0, 1] (a quantile)",
            repr(rank)[:60],
            "e.g. RankWindow(0, 9), RankWindow(0, -1) or RankWindow(0.25, 0.75)",
        )
