"""The pools of the studies: splits by prompt, and two of every ten responses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from embrm import CandidatePool
from embrm._typing import IntArray
from embrm._validation import check_choice, check_count
from embrm.blocks import blocks_of
from embrm.embed import StyleEncoder
from embrm.exceptions import invalid_input
from embrm.heads import order_consistency
from embrm.pool import require_gold
from embrm.simulate import CrossPrompt, PairingDesign, SamePrompt
from embrm.simulate.design import Ends

N_FOLDS = 10
"""So many seeds hold out disjoint prompts, and all prompts together."""

TEST_SHARE = 1 / N_FOLDS
"""Share of the prompts that are held out."""

VECTORS, STYLE, BOTH = "vectors", "style", "vectors and style"
"""What heads may see of the items; both are two blocks, with a prior of each."""

_SIZES_OF_CHOICE = (2, 4, 8, 16)
_FEWEST_RESPONSES = 4


@dataclass(frozen=True)
class Split:
    """What one seed trains in, and what it tests on.

    Attributes
    ----------
    seed : int
        Of the split, of the pairs and labels drawn, and of the heads.
    train, test : CandidatePool
        Of different prompts.
    """

    seed: int
    train: CandidatePool
    test: CandidatePool


def make_splits(pool: CandidatePool, seeds: Iterable[int]) -> list[Split]:
    """Hold out a tenth of the prompts, by each of ten seeds other ones.

    Seeds 0 to 9 hold out disjoint prompts, and so do 10 to 19, dealt anew: intervals
    over ten seeds are not of prompts that were counted several times.

    Parameters
    ----------
    pool : CandidatePool
        With gold; responses to at least 20 prompts.
    seeds : iterable of int

    Returns
    -------
    list of Split

    Raises
    ------
    InvalidInputError
        If the pool has no gold, or too few prompts or responses.

    Examples
    --------
    >>> pool = CandidatePool(np.eye(80), np.arange(80) // 4, gold=np.arange(80.0))
    >>> one, other = make_splits(pool, [0, 1])
    >>> len(one.train.prompts), len(one.test.prompts)
    (18, 2)
    >>> set(one.test.prompts) & set(other.test.prompts)
    set()
    """
    require_gold(pool, "a study")
    if len(pool.sizes) < _FEWEST_PROMPTS or np.median(pool.sizes) < _FEWEST_RESPONSES:
        raise invalid_input(
            f"a pool of at least {_FEWEST_PROMPTS} prompts, half of them with "
            f"{_FEWEST_RESPONSES} responses or more",
            f"{len(pool.sizes)} prompts with a median of "
            f"{np.median(pool.sizes):g} responses",
            "take a larger pool: pairs of the responses to a prompt are what is "
            "annotated, and what heads are tested on",
        )
    splits = []
    for seed in seeds:
        deal, fold = divmod(seed, N_FOLDS)
        order = np.random.default_rng(deal).permutation(len(pool.prompts))
        held_out = pool.prompts[np.array_split(order, N_FOLDS)[fold]]
        is_test = np.isin(pool.prompt_ids, held_out)
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        splits.append(Split(seed, pool.take(train), pool.take(test)))
    return splits


def views_of(pool: CandidatePool) -> dict[str, CandidatePool]:
    """Show a pool by its vectors, by style features, and by both.

    Parameters
    ----------
    pool : CandidatePool
        Without texts there are no style features, and the vectors alone are a view.

    Returns
    -------
    dict of str to CandidatePool
        The same prompts, items and gold in all.

    Examples
    --------
    >>> texts = [("Hi", "Hello!"), ("Hi", "No.")]
    >>> pool = CandidatePool(np.eye(2), ["a", "a"], gold=[1, 0], texts=texts)
    >>> views_of(pool)["vectors and style"].blocks
    {'vectors': slice(0, 2, None), 'style': slice(2, 18, None)}
    """
    if pool.texts is None:
        return {VECTORS: pool}
    style = StyleEncoder().encode(pool.texts)
    both = np.hstack([np.asarray(pool.items, np.float32), style])
    blocks = blocks_of([VECTORS, STYLE], [pool.items.shape[1], style.shape[1]])
    return {
        VECTORS: pool,
        STYLE: CandidatePool(style, pool.prompt_ids, pool.gold),
        BOTH: CandidatePool(both, pool.prompt_ids, pool.gold, blocks=blocks),
    }


@dataclass(frozen=True)
class PoolFacts:
    """What the findings say of the pool.

    Attributes
    ----------
    name : str
        Of the file.
    n_prompts, n_items, d : int
    between_prompts : float in [0, 1]
        Share of the variance of gold that lies between prompts.
    length_orders : float in [0, 1] or NaN
        Share of same-prompt pairs of which gold prefers the longer response; NaN
        without texts.
    at_limits : float in [0, 1]
        Share of the items whose gold is the lowest or the highest there is, if many
        are: a judge's scale ends there.
    about : str
        Sentences of the one who ran it.
    """

    name: str
    n_prompts: int
    n_items: int
    d: int
    between_prompts: float
    length_orders: float = float("nan")
    at_limits: float = 0.0
    about: str = ""

    @classmethod
    def of(cls, pool: CandidatePool, name: str, about: str = "") -> "PoolFacts":
        """Look at a pool with gold.

        Examples
        --------
        >>> texts = [("a", "x"), ("a", "xx"), ("b", "xxx"), ("b", "x")]
        >>> pool = CandidatePool(np.eye(4), list("aabb"), [1, 2, 2, 3], texts)
        >>> facts = PoolFacts.of(pool, "pool")
        >>> facts.between_prompts, facts.length_orders
        (0.5, 0.5)
        """
        gold = require_gold(pool, "a study")
        prompt = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
        sums = np.bincount(prompt, weights=gold[pool.order])
        means = (sums / pool.sizes)[prompt]
        variance = float(gold.var())
        share = float(means.var()) / variance if variance > 0 else 0.0
        limits = float(np.isin(gold, [gold.min(), gold.max()]).mean())
        return cls(
            name,
            len(pool.prompts),
            len(pool),
            pool.items.shape[1],
            share,
            _length_orders(pool),
            limits,
            about,
        )


def _length_orders(pool: CandidatePool) -> float:
    if pool.texts is None:
        return float("nan")
    length = np.array([len(response) for _, response in pool.texts], dtype=float)
    ids = pool.same_prompt_ids()
    delta = length[ids[:, 0]] - length[ids[:, 1]]
    return float(order_consistency(delta, pool.gold_labels(ids)))


def size_of_tens(pool: CandidatePool) -> int:
    """Choose how many responses make a "ten": ten, or what most prompts have.

    Examples
    --------
    >>> size_of_tens(CandidatePool(np.eye(12), np.arange(12) // 6))
    6
    """
    return min(10, int(np.median(pool.sizes)))


def sizes_of_choice(pool: CandidatePool) -> tuple[int, ...]:
    """Choose the n of best of n that at least half of the prompts have.

    Examples
    --------
    >>> sizes_of_choice(CandidatePool(np.eye(12), np.arange(12) // 6))
    (2, 4)
    """
    typical = float(np.median(pool.sizes))
    return tuple(n for n in _SIZES_OF_CHOICE if n <= typical)


_FEWEST_PROMPTS = 2 * N_FOLDS


KEPT = ("middle", "random", "ends")
"""Which two: from similar to diverse."""


@dataclass(frozen=True)
class TwoOfTen(PairingDesign):
    """Two of every ten responses to a prompt, against each other or across prompts.

    The responses to each prompt are dealt at random into tens; what is left over takes
    no part. Of each ten two are kept, and only these are ever annotated: the diversity
    stress of arXiv:2411.04991, on as many tens as a prompt has. Within prompts this is
    `RankWindow` on one ten; across prompts it is the same responses, paired otherwise.

    Parameters
    ----------
    kept : {"middle", "random", "ends"}
        By gold: the two ranks in the middle (4 and 5 of 0 to 9), two at random, or the
        lowest and the highest.
    across : bool, default=False
        Whether two kept responses to different prompts are paired, instead of the two
        of one ten.
    size : int >= 2, default=10
        How many responses are in a "ten".
    seed : int >= 0, default=0
        Of the dealing.
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> gold = [3.0, 1.0, 2.0, 5.0, 9.0, 8.0, 7.0, 6.0]
    >>> pool = CandidatePool(np.eye(8), np.repeat(["a", "b"], 4), gold=gold)
    >>> similar, diverse = (
    ...     TwoOfTen(kept, size=4).draw(pool, 2, random_state=0)
    ...     for kept in ("middle", "ends")
    ... )
    >>> sorted(sorted(pair) for pair in similar.tolist())
    [[0, 2], [5, 6]]
    >>> sorted(sorted(pair) for pair in diverse.tolist())
    [[1, 3], [4, 7]]
    >>> TwoOfTen("middle", across=True, size=4).max_pairs(pool)
    4
    """

    kept: str
    across: bool = False
    size: int = 10
    seed: int = 0
    replacement: bool = False

    def __post_init__(self) -> None:
        check_choice(self.kept, "kept", KEPT)
        check_count(self.size, "size", 2)

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the tens, or the pairs of kept responses to different prompts."""
        kept = self._kept_rows(pool)
        return self._design.max_pairs(self._kept_pool(pool, kept)) if len(kept) else 0

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        kept = self._kept_rows(pool)
        ids = self._design.draw(self._kept_pool(pool, kept), n_pairs, rng)
        rows = kept.ravel()[ids]
        yield rows[:, 0], rows[:, 1]

    @property
    def _design(self) -> PairingDesign:
        design = CrossPrompt if self.across else SamePrompt
        return design(replacement=self.replacement)

    def _kept_pool(self, pool: CandidatePool, kept: IntArray) -> CandidatePool:
        """Make a pool of the kept rows: by prompt, or by ten where these are paired."""
        tens = np.repeat(np.arange(len(kept)), 2)
        no_vectors = np.broadcast_to(np.zeros(1), (kept.size, 1))
        return CandidatePool(
            no_vectors, pool.prompt_ids[kept.ravel()] if self.across else tens
        )

    def _kept_rows(self, pool: CandidatePool) -> IntArray:
        """Rows of the two responses kept of each ten, shape (n_tens, 2)."""
        gold = require_gold(pool, repr(self))
        rng = np.random.default_rng(self.seed)
        prompt = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
        # The order of the prompts is kept, that of the responses is dealt.
        dealt = pool.order[np.lexsort((rng.random(len(pool)), prompt))]
        place = np.arange(len(pool)) - pool.starts[prompt]
        full = place < pool.sizes[prompt] // self.size * self.size
        tens = dealt[full].reshape(-1, self.size)
        if self.kept == "random":
            return tens[:, :2]
        by_gold = np.take_along_axis(
            tens, np.argsort(gold[tens], axis=1, kind="stable"), axis=1
        )
        middle = (self.size - 1) // 2
        ranks = [middle, middle + 1] if self.kept == "middle" else [0, self.size - 1]
        return by_gold[:, ranks]
