"""Candidates: the pairs of a pool that may be labelled next, and what each costs."""

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import (
    as_numbers,
    check_choice,
    check_count,
    check_pair_ids,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.exceptions import invalid_input
from embrm.pool import CandidatePool
from embrm.simulate.design import PairingDesign, PromptLayout
from embrm.simulate.pairing import CrossPrompt, MixedPrompt, SamePrompt

Pairing: TypeAlias = Literal["same", "cross", "mixed"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs that may be labelled next; no item against itself, no pair twice.

    Parameters
    ----------
    pool : CandidatePool
    ids : array-like of int of shape (n_candidates, 2)
        Rows of the pool.
    past : array-like of int of shape (n_past, 2), optional
        Pairs labelled already, in either order: they are left out of `ids`.
    cost : array-like of shape (n_candidates,), optional
        Of a label, > 0, in any unit such as seconds; strategies then go by value for
        cost. None means that all cost the same.
    per_prompt : int >= 1, optional
        Most pairs of one prompt that are proposed at a time; a pair across prompts
        counts for both.
    beside : array-like of int of shape (n_beside, 2), optional
        Pairs proposed at the same time by other means, which count for the cap.
    inclusion : array-like of shape (n_candidates,), in (0, 1], optional
        Chance of each pair to be among these candidates; None where it is not known.

    Raises
    ------
    InvalidInputError
        If a pair is of an item with itself or there twice, or a cost is not > 0.

    Examples
    --------
    >>> pool = CandidatePool(np.eye(3), ["a", "a", "a"])
    >>> Candidates(pool, [[0, 1], [0, 2], [1, 2]], past=[[2, 0]]).ids.tolist()
    [[0, 1], [1, 2]]
    """

    pool: CandidatePool
    ids: IntArray
    past: IntArray = field(default_factory=lambda: np.empty((0, 2), dtype=np.intp))
    cost: FloatArray | None = None
    per_prompt: int | None = None
    beside: IntArray = field(default_factory=lambda: np.empty((0, 2), dtype=np.intp))
    inclusion: FloatArray | None = None

    def __post_init__(self) -> None:
        ids = check_pair_ids(self.ids, n_items=len(self.pool))
        past = check_pair_ids(self.past, n_items=len(self.pool))
        keys = pair_keys(ids, len(self.pool))
        _check_distinct(ids, keys)
        cost = None if self.cost is None else _check_cost(self.cost, len(ids))
        if self.per_prompt is not None:
            check_count(self.per_prompt, "per_prompt")
        fresh = ~np.isin(keys, pair_keys(past, len(self.pool)))
        beside = check_pair_ids(self.beside, n_items=len(self.pool))
        chance = self.inclusion
        object.__setattr__(self, "ids", ids[fresh])
        object.__setattr__(self, "past", past)
        object.__setattr__(self, "beside", beside)
        object.__setattr__(self, "cost", None if cost is None else cost[fresh])
        object.__setattr__(self, "inclusion", None if chance is None else chance[fresh])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def prompts(self) -> IntArray:
        """Positions of the prompts of both items, shape (n_candidates, 2)."""
        return self.prompts_of(self.ids)

    def prompts_of(self, ids: IntArray) -> IntArray:
        """Find the positions of the prompts of both items of pairs of the pool."""
        return PromptLayout.of(self.pool).codes[ids]

    def per_cost(self, value: FloatArray) -> FloatArray:
        """Divide values >= 0 by the costs of the labels."""
        return value if self.cost is None else value / self.cost

    def take(self, rows: IntArray | BoolArray) -> "Candidates":
        """Keep some of the candidates."""
        cost = None if self.cost is None else self.cost[rows]
        chance = None if self.inclusion is None else self.inclusion[rows]
        return replace(self, ids=self.ids[rows], cost=cost, inclusion=chance)


def draw_candidates(
    pool: CandidatePool,
    n: int,
    *,
    pairing: Pairing | PairingDesign = "same",
    cross_share: float = 0.5,
    past: ArrayLike | None = None,
    item_cost: ArrayLike | None = None,
    per_prompt: int | None = None,
    random_state: RandomState = None,
) -> Candidates:
    """Draw candidate pairs of a pool at random, without those labelled already.

    Parameters
    ----------
    pool : CandidatePool
    n : int >= 1
        How many to draw; all there are, where there are fewer.
    pairing : {"same", "cross", "mixed"} or PairingDesign, default="same"
        Whether the two items answer one prompt, two, or either.
    cross_share : float in [0, 1], default=0.5
        Of "mixed": share of pairs across prompts.
    past : array-like of int of shape (n_past, 2), optional
        Pairs labelled already.
    item_cost : array-like of shape (n_items,), optional
        Cost of reading each item, > 0, e.g. its length; a pair costs both.
    per_prompt : int, optional
        As for `Candidates`.
    random_state : int, Generator, RandomState or None, default=None

    Returns
    -------
    Candidates
        At most n; each undrawn pair was as likely as any other of its kind, as
        `inclusion` says.

    Examples
    --------
    >>> pool = CandidatePool(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> len(draw_candidates(pool, 100, past=[[0, 1]], random_state=0))
    5
    """
    n = check_count(n, "n")
    design = as_pairing(pairing, cross_share)
    labelled = np.empty((0, 2), dtype=np.intp) if past is None else np.asarray(past)
    labelled = check_pair_ids(labelled, n_items=len(pool))
    # As many more as may turn out to be labelled already.
    wanted = min(n + len(labelled), design.max_pairs(pool))
    rng = check_random_state(random_state)
    ids = design.draw(pool, wanted, rng)
    made = Candidates(pool, ids, labelled, _pair_cost(item_cost, pool, ids), per_prompt)
    made = made.take(np.arange(min(n, len(made))))
    return replace(made, inclusion=_inclusion(made, design))


def pair_keys(ids: IntArray, n_items: int) -> IntArray:
    """Give each unordered pair a number: (i, j) and (j, i) have the same.

    Examples
    --------
    >>> pair_keys(np.array([[0, 2], [2, 0]]), 3).tolist()
    [2, 2]
    """
    low, high = ids.min(axis=1, initial=n_items), ids.max(axis=1, initial=0)
    return np.asarray(low.astype(np.int64) * n_items + high)


def as_pairing(
    pairing: Pairing | PairingDesign, cross_share: float = 0.5
) -> PairingDesign:
    """Make the design of a kind of pairing; a design stays as it is."""
    if isinstance(pairing, PairingDesign):
        return pairing
    check_choice(pairing, "pairing", ("same", "cross", "mixed"))
    if pairing == "mixed":
        return MixedPrompt(check_share(cross_share, "cross_share"))
    return SamePrompt() if pairing == "same" else CrossPrompt()


def _inclusion(made: Candidates, design: PairingDesign) -> FloatArray | None:
    """Compute the chance of each pair to be drawn; None for designs of other kinds.

    Of every kind, same-prompt and cross-prompt, all pairs without a label are alike.
    """
    kinds = (SamePrompt, CrossPrompt, MixedPrompt)
    if not isinstance(design, kinds) or design.replacement:
        return None
    prompts, past = made.prompts, made.prompts_of(made.past)
    _, distinct = np.unique(pair_keys(made.past, len(made.pool)), return_index=True)
    is_cross = prompts[:, 0] != prompts[:, 1]
    past_cross = (past[:, 0] != past[:, 1])[distinct]
    chance = np.ones(len(made))
    for kind, of_kind in ((SamePrompt(), False), (CrossPrompt(), True)):
        rows = is_cross == of_kind
        n_open = kind.max_pairs(made.pool) - int((past_cross == of_kind).sum())
        chance[rows] = rows.sum() / max(1, n_open)
    return chance


def _pair_cost(
    item_cost: ArrayLike | None, pool: CandidatePool, ids: IntArray
) -> FloatArray | None:
    if item_cost is None:
        return None
    return np.asarray(_check_cost(item_cost, len(pool))[ids].sum(axis=1))


def _check_distinct(ids: IntArray, keys: IntArray) -> None:
    selfish = int((ids[:, 0] == ids[:, 1]).sum())
    repeated = len(keys) - len(np.unique(keys))
    if selfish or repeated:
        raise invalid_input(
            "distinct pairs of two different items",
            f"{selfish} of an item with itself, {repeated} repeated (in either order)",
            "leave these out; draw_candidates draws none",
        )


def _check_cost(cost: ArrayLike, n: int) -> FloatArray:
    costs = as_numbers(cost, "cost")
    if costs.shape != (n,) or not (np.isfinite(costs) & (costs > 0)).all():
        raise invalid_input(
            f"{n} finite costs > 0",
            f"shape {costs.shape}, least {costs.min(initial=np.inf):g}",
            "pass e.g. the seconds that reading takes",
        )
    return costs


def draw_on_policy(
    pool: CandidatePool,
    reward: FloatArray,
    n: int,
    *,
    eta: float,
    past: ArrayLike | None = None,
    item_cost: ArrayLike | None = None,
    per_prompt: int | None = None,
    random_state: RandomState = None,
) -> Candidates:
    r"""Draw same-prompt pairs of a policy tilted towards reward, as online RLHF does.

    For each pair a prompt is drawn uniformly, and two of its responses without
    replacement in proportion to :math:`\exp(r / \eta)`: the policy that is optimal for
    reward r with a KL penalty :math:`\eta` against the one that drew the pool.

    Parameters
    ----------
    pool : CandidatePool
    reward : ndarray of shape (n_items,)
        In nats.
    n : int >= 1
        Draws; repeated pairs and those labelled already are left out.
    eta : float > 0
        In nats; large is nearly off-policy.
    past, item_cost, per_prompt, random_state
        As for `draw_candidates`.

    Returns
    -------
    Candidates
        Without `inclusion`: pairs are not equally likely.
    """
    n, eta = check_count(n, "n"), check_positive(eta, "eta")
    rng = check_random_state(random_state)
    layout = PromptLayout.of(pool)
    prompts = rng.choice(np.flatnonzero(layout.sizes > 1), size=n)
    ids = np.empty((n, 2), dtype=np.intp)
    for size in np.unique(layout.sizes[prompts]):
        at = np.flatnonzero(layout.sizes[prompts] == size)
        rows = layout.order[layout.starts[prompts[at], None] + np.arange(size)]
        # The two largest of r / eta + Gumbel noise are such a draw.
        tilted = reward[rows] / eta + rng.gumbel(size=rows.shape)
        best = np.argsort(-tilted, axis=1)[:, :2]
        ids[at] = np.take_along_axis(rows, best, axis=1)
    _, first = np.unique(pair_keys(ids, len(pool)), return_index=True)
    labelled = np.empty((0, 2), dtype=np.intp) if past is None else np.asarray(past)
    ids = ids[np.sort(first)]
    cost = _pair_cost(item_cost, pool, ids)
    return Candidates(pool, ids, labelled, cost, per_prompt)
