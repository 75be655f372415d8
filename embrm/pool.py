"""CandidatePool: K responses for each prompt, with a gold score where one is known."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, IntArray, Text
from embrm._validation import check_items, check_pair_ids, check_prompt_ids
from embrm.blocks import Blocks, check_blocks
from embrm.exceptions import invalid_input
from embrm.pairs import Pairs


class CandidatePool:
    """K responses for each prompt; ragged pools, where K varies, are allowed.

    Parameters
    ----------
    items : array-like of shape (n_items, d)
        Vectors; a memory map stays one.
    prompt_ids : array-like of shape (n_items,)
        Which prompt each item answers; the items of a prompt need not be adjacent.
    gold : array-like of shape (n_items,), optional
        The score treated as truth in a simulation. Never shown to a head.
    texts : sequence of (prompt, response), optional
        The texts of the items, in the same order.
    blocks : mapping of str to slice, optional
        Named runs of columns, as `Pairs` takes them.

    Attributes
    ----------
    prompts : ndarray of shape (n_prompts,)
        Distinct prompt ids in order of first appearance.
    sizes : ndarray of int of shape (n_prompts,)
        Number of responses K to each prompt.
    order : ndarray of int of shape (n_items,)
        Rows of `items`, prompt by prompt in the order of `prompts`.
    starts : ndarray of int of shape (n_prompts + 1,)
        The rows of prompt number p are `order[starts[p]:starts[p + 1]]`.

    Raises
    ------
    InvalidInputError
        If lengths differ, or a gold score is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(
    ...     np.eye(5), ["a", "a", "a", "b", "b"], gold=[1.0, 3.0, 2.0, 0.0, 0.0]
    ... )
    >>> pool
    CandidatePool(2 prompts, 5 items, K=2..3, d=5, float64, gold)
    >>> pool.same_prompt_ids().tolist()
    [[0, 1], [0, 2], [1, 2], [3, 4]]
    >>> pool.gold_labels(pool.same_prompt_ids())
    array([0. , 0. , 1. , 0.5])
    """

    def __init__(
        self,
        items: Any,
        prompt_ids: ArrayLike,
        gold: ArrayLike | None = None,
        texts: Sequence[Text] | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.items: FloatArray = check_items(items, finite=False)
        self.prompt_ids: AnyArray = check_prompt_ids(
            prompt_ids, n_items=len(self.items)
        )
        self.gold = None if gold is None else _check_gold(gold, len(self.items))
        self.texts = None if texts is None else _check_texts(texts, len(self.items))
        self.blocks = check_blocks(blocks, self.items.shape[1])
        codes, self.prompts = _in_order_of_appearance(self.prompt_ids)
        self.sizes: IntArray = np.bincount(codes, minlength=len(self.prompts))
        self.order: IntArray = np.argsort(codes, kind="stable")
        self.starts: IntArray = np.concatenate([[0], np.cumsum(self.sizes)])

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, prompt_id: Hashable) -> IntArray:
        """Rows of `items` that answer one prompt, ascending.

        Raises
        ------
        InvalidInputError
            If no item answers that prompt.
        """
        found = np.flatnonzero(self.prompts == prompt_id)
        if not len(found):
            raise invalid_input(
                expected="the id of a prompt in the pool",
                got=repr(prompt_id)[:60],
                fix="choose one of pool.prompts",
            )
        position = int(found[0])
        return self.order[self.starts[position] : self.starts[position + 1]]

    def __getitem__(self, prompt_ids: Any) -> "CandidatePool":
        """Take the sub-pool of one prompt id, or of a sequence of them."""
        scalar = isinstance(prompt_ids, str | bytes) or np.ndim(prompt_ids) == 0
        wanted = [prompt_ids] if scalar else list(prompt_ids)
        if not wanted:
            return self.take(np.empty(0, dtype=np.intp))
        return self.take(np.concatenate([self.rows(prompt) for prompt in wanted]))

    def take(self, rows: IntArray) -> "CandidatePool":
        """Take the sub-pool of some rows; a run of consecutive rows is not copied."""
        run = len(rows) > 0 and bool(np.all(np.diff(rows) == 1))
        at: Any = slice(int(rows[0]), int(rows[-1]) + 1) if run else rows
        return CandidatePool(
            self.items[at],
            self.prompt_ids[at],
            gold=None if self.gold is None else self.gold[at],
            texts=None if self.texts is None else [self.texts[int(i)] for i in rows],
            blocks=self.blocks,
        )

    def same_prompt_ids(self) -> IntArray:
        """List every unordered pair of items that answer the same prompt.

        Returns
        -------
        ndarray of int of shape (sum of K (K - 1) / 2, 2)
            Pair ids into `items`, prompt by prompt, the earlier item first.
        """
        ids = pairs_within(self.order, self.starts[:-1], self.sizes)
        position = np.empty(len(self), dtype=np.intp)
        position[self.order] = np.arange(len(self))
        return ids[np.lexsort((position[ids[:, 1]], position[ids[:, 0]]))]

    def pairs(self, ids: ArrayLike) -> Pairs:
        """Make `Pairs` over this pool's items, which are shared."""
        return Pairs(self.items, ids, self.prompt_ids, self.blocks)

    def gold_labels(self, ids: ArrayLike) -> FloatArray:
        """Label pairs by gold: 1 if first is better, 0 if second, 0.5 if equal.

        Raises
        ------
        InvalidInputError
            If the pool has no gold.
        """
        gold = require_gold(self, "gold_labels")
        checked = check_pair_ids(ids, n_items=len(self))
        difference = gold[checked[:, 0]] - gold[checked[:, 1]]
        return (np.sign(difference) + 1) / 2

    def __repr__(self) -> str:
        low, high = (self.sizes.min(), self.sizes.max()) if len(self.sizes) else (0, 0)
        size = f"{low}" if low == high else f"{low}..{high}"
        words = [
            f"{len(self.prompts)} prompts",
            f"{len(self)} items",
            f"K={size}",
            f"d={self.items.shape[1]}",
            str(self.items.dtype),
        ]
        words += ["gold"] if self.gold is not None else []
        words += ["texts"] if self.texts is not None else []
        words += [f"blocks {' + '.join(self.blocks)}"] if self.blocks else []
        return f"CandidatePool({', '.join(words)})"


def pairs_within(order: IntArray, starts: IntArray, sizes: IntArray) -> IntArray:
    """Pair all rows of each group, which stand one after the other in `order`.

    Returns
    -------
    ndarray of int of shape (n_pairs, 2)
        The earlier row in `order` first; groups by size.
    """
    blocks = [np.empty((0, 2), dtype=np.intp)]
    # Groups of one size are paired together: there are few sizes, many groups.
    for size in np.unique(sizes[sizes > 1]):
        upper = np.column_stack(np.triu_indices(int(size), k=1))
        begins = starts[sizes == size]
        blocks.append(order[(begins[:, None, None] + upper).reshape(-1, 2)])
    return np.concatenate(blocks)


def require_gold(pool: CandidatePool, what: str) -> FloatArray:
    """Take the gold of a pool, for something that cannot do without it.

    Raises
    ------
    InvalidInputError
        If the pool has none.
    """
    if pool.gold is None:
        raise invalid_input(
            expected=f"a pool with gold scores, which {what} needs",
            got="a pool without",
            fix="pass gold=..., one score per item, to CandidatePool",
        )
    return pool.gold


def _in_order_of_appearance(values: AnyArray) -> tuple[IntArray, AnyArray]:
    """Replace values by the order of their first appearance; list them in it."""
    distinct, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(order), dtype=np.intp)
    number[order] = np.arange(len(order))
    return number[inverse], distinct[order]


def _check_gold(gold: ArrayLike, n_items: int) -> FloatArray:
    scores = np.asarray(gold, dtype=np.float64)
    if scores.shape != (n_items,) or not np.isfinite(scores).all():
        n_bad = int((~np.isfinite(scores)).sum())
        raise invalid_input(
            expected=f"{n_items} finite gold scores, one per item",
            got=f"shape {scores.shape} with {n_bad} not finite",
            fix="drop the items whose gold is unknown, or leave gold out",
        )
    return scores


def _check_texts(texts: Sequence[Text], n_items: int) -> list[Text]:
    if len(texts) != n_items:
        raise invalid_input(
            expected=f"{n_items} texts, one per item",
            got=f"{len(texts)}",
            fix="pass (prompt, response) for every row of items",
        )
    return list(texts)
