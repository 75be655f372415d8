r"""Select responses of a candidate pool by reward: pairs to prefer, items to imitate.

The names of RLHFlow's Online-RLHF (its `choose_type`) are understood too: `max_min`,
`max_random`, `max_max`, `random`, and `max_min_p`, which is `best-vs-worst` with a
length penalty.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import (
    as_numbers,
    check_choice,
    check_count,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.evaluate.inputs import check_scores, item_codes, prompts_by_size
from embrm.exceptions import invalid_input

PAIR_STRATEGIES = ("best-vs-worst", "best-vs-random", "best-vs-second", "random")
"""How the two responses of a pair are chosen among those to one prompt."""

ITEM_STRATEGIES = ("best-of-n", "worst-of-n", "top-p", "rejection-sampling")
"""How single responses are chosen."""

CHOOSE_TYPES = {
    "max_min": "best-vs-worst",
    "max_min_p": "best-vs-worst",
    "max_random": "best-vs-random",
    "max_max": "best-vs-second",
}
"""Names of RLHFlow's Online-RLHF (dpo_iteration/run_dpo.py)."""

_MAX_ENTRIES = 8_000_000


@dataclass(frozen=True, eq=False)
class Candidates:
    """What responses are selected by.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
        In nats.
    prompt_ids : array-like of shape (n_items,)
        Which prompt each item answers; items of a prompt need not be adjacent.
    std : array-like of shape (n_items,), >= 0, optional
        Standard deviations of the rewards.
    caution : float >= 0, default=0
        How many of them a reward is lowered by before it counts as good, and raised by
        before it counts as bad: both ends of a confidence interval.
    length : array-like of shape (n_items,), optional
        Lengths of the responses, in any unit.
    length_penalty : float, default=0
        Nats that a unit of length costs.
    vectors : array-like of shape (n_items, d), optional
        May be a memory map: a few prompts' vectors are read at a time.
    diversity : float >= 0, default=0
        Nats that a cosine similarity of 1 to what was selected before costs.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, or where std, length or vectors are needed and
        missing.

    Examples
    --------
    >>> reward, std = [1.0, 0.8], [0.5, 0.1]
    >>> pool = Candidates(reward, ["a", "a"], std=std, caution=1.0)
    >>> select_items(pool, "best-of-n").tolist()
    [1]
    """

    reward: FloatArray
    prompt_ids: ArrayLike
    std: ArrayLike | None = None
    caution: float = 0.0
    length: ArrayLike | None = None
    length_penalty: float = 0.0
    vectors: ArrayLike | None = None
    diversity: float = 0.0
    codes: IntArray = field(init=False, repr=False)
    good: FloatArray = field(init=False, repr=False)
    bad: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        reward = check_scores(self.reward, "reward")
        caution = check_positive(self.caution, "caution", zero=True)
        diversity = check_positive(self.diversity, "diversity", zero=True)
        score = reward
        if self.length_penalty:
            lengths = _needed(self.length, "length", "length_penalty")
            score = reward - self.length_penalty * check_scores(
                lengths, "length", len(reward)
            )
        spread: FloatArray = np.zeros(len(reward))
        if caution:
            std = check_scores(_needed(self.std, "std", "caution"), "std", len(reward))
            if std.min() < 0:
                raise invalid_input("std >= 0", f"{std.min():g}", "pass deviations")
            spread = caution * std
        vectors = None
        if diversity:
            vectors = _rows(_needed(self.vectors, "vectors", "diversity"), reward)
        for name, value in {
            "reward": reward,
            "codes": item_codes(self.prompt_ids, len(reward))[0],
            "good": score - spread,
            "bad": score + spread,
            "vectors": vectors,
        }.items():
            object.__setattr__(self, name, value)

    def groups(self) -> "list[IntArray]":
        """List rows of items (m, K), all prompts of one size K together."""
        # Vectors are copied a few times on the way to their similarities.
        width = 1 if self.vectors is None else 8 * np.shape(self.vectors)[1]
        parts: list[IntArray] = []
        for _, rows in prompts_by_size(self.codes):
            at_once = max(1, _MAX_ENTRIES // (rows.shape[1] * width))
            parts += [rows[s : s + at_once] for s in range(0, len(rows), at_once)]
        return parts

    def similarity_cost(self, rows: IntArray, picked: IntArray) -> FloatArray:
        """Compute what similarity to one picked item costs each other, (m, K)."""
        if self.vectors is None:
            return np.zeros(rows.shape)
        similar = np.einsum("mkd,md->mk", self._units(rows), self._units(picked))
        return np.asarray(self.diversity * similar)

    def _units(self, rows: IntArray) -> FloatArray:
        vectors = np.asarray(np.asanyarray(self.vectors)[rows], dtype=np.float64)
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-12))


@dataclass(frozen=True, eq=False)
class SelectedPairs:
    """Pairs that were selected, at most one for each prompt.

    Attributes
    ----------
    ids : ndarray of int of shape (n_pairs, 2)
        Rows of the chosen and of the rejected item.
    margin : ndarray of shape (n_pairs,), > 0
        Difference in what the pair is ordered by, in nats.
    left_out : dict of str to int
        Prompts without a pair, by reason.
    """

    ids: IntArray
    margin: FloatArray
    left_out: dict[str, int]


def select_pairs(
    candidates: Candidates,
    strategy: str = "best-vs-worst",
    *,
    ordered_by: str = "score",
    min_margin: float = 0.0,
    random_state: RandomState = 0,
) -> SelectedPairs:
    r"""Select for each prompt a response to prefer and one to reject.

    Parameters
    ----------
    candidates : Candidates
    strategy : str, default="best-vs-worst"
        `"best-vs-worst"`, `"best-vs-random"` (of the others), `"best-vs-second"`,
        `"random"` (any two), or a name of RLHFlow.
    ordered_by : {"score", "reward"}, default="score"
        Which of the two is chosen: by the score that includes the length penalty, or by
        the reward alone. RLHFlow's `max_min_p` does the latter, by which a long answer
        that the penalty made the worst may come out as the chosen one.
    min_margin : float >= 0, default=0
        Pairs that are not farther apart are left out: ties always are.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    SelectedPairs
        In order of the prompt ids.

    Raises
    ------
    InvalidInputError
        On an unknown strategy or a wrong range.

    Notes
    -----
    The best is :math:`\arg\max r - c s - \lambda \ell`, a lower confidence bound net of
    length, the worst :math:`\arg\min r + c s - \lambda \ell` plus the diversity's cost
    of similarity to the best. Of equal scores the first item wins.

    Examples
    --------
    >>> pool = Candidates([0.1, 2.0, -1.0, 0.3, 0.3], ["a", "a", "a", "b", "b"])
    >>> selected = select_pairs(pool)
    >>> selected.ids.tolist(), selected.margin, selected.left_out
    ([[1, 2]], array([3.]), {'margin too small': 1})
    """
    strategy = CHOOSE_TYPES.get(strategy, strategy)
    check_choice(strategy, "strategy", PAIR_STRATEGIES)
    check_choice(ordered_by, "ordered_by", ("score", "reward"))
    least = check_positive(min_margin, "min_margin", zero=True)
    generator = check_random_state(random_state)
    found: list[IntArray] = [np.empty((0, 2), dtype=np.intp)]
    single = 0
    for rows in candidates.groups():
        if rows.shape[1] < 2:
            single += len(rows)
        else:
            found.append(_pairs_of(candidates, rows, strategy, generator))
    ids = np.concatenate(found)
    value = (
        candidates.reward
        if ordered_by == "reward"
        else (candidates.good + candidates.bad) / 2
    )
    difference = value[ids[:, 0]] - value[ids[:, 1]]
    ids = np.where(difference[:, None] < 0, ids[:, ::-1], ids)
    margin = np.abs(difference)
    kept = margin > least
    reasons = {"single response": single, "margin too small": int((~kept).sum())}
    order = np.flatnonzero(kept)
    order = order[np.argsort(candidates.codes[ids[order, 0]], kind="stable")]
    return SelectedPairs(
        ids[order], margin[order], {why: n for why, n in reasons.items() if n}
    )


def _pairs_of(
    candidates: Candidates,
    rows: IntArray,
    strategy: str,
    generator: np.random.Generator,
) -> IntArray:
    at = np.arange(len(rows))
    if strategy == "random":
        first, second = generator.random(rows.shape).argsort(axis=1)[:, :2].T
        return np.stack([rows[at, first], rows[at, second]], axis=1)
    best = candidates.good[rows].argmax(axis=1)
    picked = rows[at, best]
    if strategy == "best-vs-random":
        cost = generator.random(rows.shape)
    else:
        towards = 1.0 if strategy == "best-vs-worst" else -1.0
        by = candidates.bad if strategy == "best-vs-worst" else candidates.good
        cost = towards * by[rows] + candidates.similarity_cost(rows, picked)
    cost[at, best] = np.inf
    return np.stack([picked, rows[at, cost.argmin(axis=1)]], axis=1)


def select_items(
    candidates: Candidates,
    strategy: str = "best-of-n",
    *,
    n: int = 1,
    p: float = 0.25,
    eta: float = 1.0,
    random_state: RandomState = 0,
) -> IntArray:
    r"""Select responses to imitate, or to look at.

    Parameters
    ----------
    candidates : Candidates
    strategy : str, default="best-of-n"
        `"best-of-n"` and `"worst-of-n"` take the best or worst `n` of each prompt,
        `"top-p"` the best share `p` of each prompt (at least one), and
        `"rejection-sampling"` accepts each with probability
        :math:`q / (M q_0) = \exp((s - \max s) / \eta)`, so that what is accepted is
        distributed as the policy tilted by the score.
    n : int >= 1, default=1
        Of a prompt with fewer responses all are taken.
    p : float in (0, 1], default=0.25
    eta : float > 0, default=1
        Temperature of the tilted policy, in nats of reward.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    ndarray of int of shape (n_selected,)
        Rows, ascending.

    Raises
    ------
    InvalidInputError
        On an unknown strategy or a wrong range.

    Examples
    --------
    >>> pool = Candidates([0.1, 2.0, -1.0, 0.3, 0.3], ["a", "a", "a", "b", "b"])
    >>> select_items(pool).tolist(), select_items(pool, "top-p", p=0.5).tolist()
    ([1, 3], [0, 1, 3])
    """
    check_choice(strategy, "strategy", ITEM_STRATEGIES)
    check_count(n, "n")
    check_positive(eta, "eta")
    share = check_share(p, "p")
    if share == 0:
        raise invalid_input("p in (0, 1]", "0", "pass the share to keep, e.g. 0.25")
    generator = check_random_state(random_state)
    selected: list[IntArray] = [np.empty(0, dtype=np.intp)]
    for rows in candidates.groups():
        size = rows.shape[1]
        if strategy == "rejection-sampling":
            score = candidates.good[rows]
            chance = np.exp((score - score.max(axis=1, keepdims=True)) / eta)
            selected.append(rows[generator.random(rows.shape) < chance])
            continue
        count = int(np.ceil(share * size - 1e-9)) if strategy == "top-p" else n
        worst = strategy == "worst-of-n"
        score = -candidates.bad[rows] if worst else candidates.good[rows]
        taken = _take_best(candidates, rows, score, min(count, size))
        selected.append(rows[taken])
    return np.sort(np.concatenate(selected))


def _take_best(
    candidates: Candidates, rows: IntArray, score: FloatArray, count: int
) -> BoolArray:
    """Mark the best `count` of each row; each pick makes what is like it cost more."""
    taken = np.zeros(rows.shape, dtype=bool)
    at = np.arange(len(rows))
    cost = np.zeros(rows.shape)
    for _ in range(count):
        left = np.where(taken, -np.inf, score - cost)
        best = left.argmax(axis=1)
        taken[at, best] = True
        if candidates.vectors is not None:
            picked = rows[at, best]
            cost = np.maximum(cost, candidates.similarity_cost(rows, picked))
    return taken


def acceptance_rate(
    reward: ArrayLike, prompt_ids: ArrayLike, *, eta: float = 1.0
) -> float:
    r"""Compute the expected share that rejection sampling accepts.

    It is :math:`E[e^{(r - \max r) / \eta}]` over the pool's items: of one prompt,
    :math:`1 / M` with M the largest density ratio of the tilted policy to the pool.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    eta : float > 0, default=1

    Returns
    -------
    float in (0, 1]

    Examples
    --------
    >>> round(acceptance_rate([0.0, 0.0, 1.0], ["a", "a", "a"]), 3)
    0.579
    """
    check_positive(eta, "eta")
    pool = Candidates(np.asarray(reward), prompt_ids)
    total = 0.0
    for rows in pool.groups():
        score = pool.reward[rows]
        total += float(np.exp((score - score.max(axis=1, keepdims=True)) / eta).sum())
    return total / len(pool.reward)


def _needed(values: ArrayLike | None, name: str, by: str) -> ArrayLike:
    if values is None:
        raise invalid_input(
            f"{name} of the items, which {by} needs", "none", f"pass {name}="
        )
    return values


def _rows(vectors: ArrayLike, reward: FloatArray) -> FloatArray:
    """Check vectors without a copy of them all."""
    rows = vectors if isinstance(vectors, np.memmap) else as_numbers(vectors, "vectors")
    if rows.ndim != 2 or len(rows) != len(reward):
        raise invalid_input(
            f"vectors of shape ({len(reward)}, d)",
            f"shape {rows.shape}",
            "pass the vector of each item",
        )
    return rows
