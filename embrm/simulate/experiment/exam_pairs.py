"""All same-prompt pairs of a test pool, block by block, and sums over them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm.pool import CandidatePool
from embrm.simulate.checks import require_gold
from embrm.simulate.layout import Locator, PromptLayout, offsets_of, triangular_pair


@dataclass(frozen=True, eq=False)
class Block:
    """Some of the pairs, ascending in prompts.

    Attributes
    ----------
    ids : ndarray of int of shape (n, 2)
    prompt : ndarray of int of shape (n,)
        Position of the prompt among the pool's.
    gold_delta, sign : ndarray of shape (n,)
        Gold of first minus gold of second, and its sign.
    """

    ids: IntArray
    prompt: IntArray
    gold_delta: FloatArray
    sign: FloatArray


class ExamPairs:
    """Every two items of one prompt, the earlier item first.

    Parameters
    ----------
    pool : CandidatePool
        With gold.

    Attributes
    ----------
    of_prompt : ndarray of int of shape (n_prompts,)
        How many pairs each prompt has.
    codes : ndarray of int of shape (n_items,)
        Position of the prompt of each item.

    Examples
    --------
    >>> pool = CandidatePool(np.eye(4), ["a", "a", "a", "b"], gold=[1, 3, 2, 0])
    >>> [block.ids.tolist() for block in ExamPairs(pool).blocks()]
    [[[0, 1], [0, 2], [1, 2]]]
    """

    def __init__(self, pool: CandidatePool) -> None:
        self._gold = require_gold(pool, "an experiment")
        self._layout = PromptLayout.of(pool)
        self.codes = self._layout.codes
        self.of_prompt = self._layout.sizes * (self._layout.sizes - 1) // 2
        n_pairs = int(self.of_prompt.sum())
        self._kept = list(self._make()) if n_pairs <= _KEPT else None

    def blocks(self) -> Iterator[Block]:
        """Give the pairs; those of a large pool are made anew each time."""
        yield from self._make() if self._kept is None else self._kept

    def per_prompt(self, block: Block, values: FloatArray) -> FloatArray:
        """Sum values of the pairs of a block by prompt, shape (n_prompts,)."""
        return np.asarray(
            np.bincount(block.prompt, weights=values, minlength=len(self.of_prompt))
        )

    def rank(self, block: Block, sign: FloatArray) -> FloatArray:
        """Sum signs by item: how many each beats less how many beat it, (n_items,).

        Over all blocks that is twice the item's average rank in its prompt, centred.
        """
        first, second = (
            np.bincount(end, weights=sign, minlength=len(self.codes))
            for end in block.ids.T
        )
        return np.asarray(first - second)

    def _make(self) -> Iterator[Block]:
        offsets = offsets_of(self.of_prompt)
        locate = Locator(offsets)
        for start in range(0, int(offsets[-1]), _BLOCK):
            ranks = np.arange(start, min(int(offsets[-1]), start + _BLOCK))
            prompt = locate(ranks)
            low, high = triangular_pair(ranks - offsets[prompt])
            begins = self._layout.starts[prompt]
            order = self._layout.order
            ids = np.column_stack([order[begins + low], order[begins + high]])
            gold_delta = self._gold[ids[:, 0]] - self._gold[ids[:, 1]]
            yield Block(ids, prompt, gold_delta, np.sign(gold_delta))


# A block stays in the processor's cache; the pairs kept take 40 bytes each.
_BLOCK = 1 << 16
_KEPT = 1 << 20
