"""RewardEnsemble: many heads, one reward, and how far the heads agree about it."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
from joblib import cpu_count, effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from embrm._typing import AnyArray, FloatArray, IntArray, RandomState
from embrm._validation import (
    Constraints,
    Integer,
    Real,
    check_count,
    check_random_state,
)
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.classification import seed_estimator
from embrm.heads.comparisons import Comparisons
from embrm.heads.state import Stored
from embrm.heads.uncertain_reward import UncertainRewardHead, spread, spread_of_deltas
from embrm.heads.validation_split import split_units
from embrm.heads.wrappers._nested import (
    STORED_MEMBERS,
    ask_inner,
    delta_of,
    has_randomness,
    mean_and_spread,
    name_annotators_of,
    unfitted_head,
)

Bagging = Literal["prompt", "pair", "seed"]
Aggregate = Literal["mean", "min", "lower", "quantile"]


class RewardEnsemble(UncertainRewardHead):
    r"""Reward from many heads, with the spread among them as uncertainty.

    Member m has reward :math:`r_m`, shifted to mean 0 over the distinct training
    items, so that the arbitrary constants of rewards do not count as disagreement.
    The reward of the ensemble is one of

    .. math:: \bar r = \tfrac{1}{M} \sum_m r_m, \quad \min_m r_m, \quad
              \bar r - k\,s, \quad Q_q(r_1, \dots, r_M)

    with s the standard deviation (divisor M) of the members' rewards and :math:`Q_q`
    their quantile.

    Parameters
    ----------
    heads : str, RewardHead, or list of these, default="linear"
        A single head is fitted `n_members` times. A list has one member for each
        entry. Where its heads are of different kinds, each member's rewards are also
        scaled to standard deviation 1 over the training items: the reward is then in
        standard deviations, not in nats (`CalibratedReward` converts it back).
    n_members : int >= 1, default=10
        Members made of a single head; a list of heads has its own length.
    bagging : {"prompt", "pair", "seed"} or None, default="prompt"
        In what members differ. "prompt": each is fitted on a bootstrap resample of
        the prompt groups, given as weights; a pair across two prompts counts the
        product of their counts [1]_. "pair": the same with pairs of items;
        overconfident if label errors of one prompt are correlated. "seed": all data,
        other seeds. None: all data; only seeds that are None are set.
    aggregate : {"mean", "min", "lower", "quantile"}, default="mean"
        "min" and "lower" are conservative, for selecting among many responses [2]_.
    k : float >= 0, default=1.0
        Standard deviations that "lower" subtracts.
    quantile : float in [0, 1), default=0.1
        Of "quantile".
    uncertainty_weighted : bool, default=False
        Whether to fit all members a second time, with the weight of each win
        multiplied by :math:`1 / (1 + s_w^2 + s_l^2)`, where :math:`s_w^2, s_l^2` are
        the first fit's variances at winner and loser.
    random_state : int, Generator or None, default=None
        Draws resamples and the members' seeds.
    n_jobs : int or None, default=None
        Members fitted at a time, in threads that share the items; each has its part of
        the cores.
    preprocessor : scikit-learn transformer, optional
        Acts on items, once for all members.

    Attributes
    ----------
    members_ : list of RewardHead
        Fitted.
    center_, scale_ : ndarray of shape (n_members,)
        By which members' rewards are shifted, and then divided.

    Notes
    -----
    The standard deviation of a single reward includes disagreement of members between
    prompts; for a comparison use that of delta.

    References
    ----------
    .. [1] Owen (2007). The pigeonhole bootstrap. Annals of Applied Statistics 1(2).
    .. [2] Coste, Anwar, Kirk, Krueger (2024). Reward model ensembles help mitigate
       overoptimization. ICLR. arXiv:2310.02743.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.wrappers.ensemble import RewardEnsemble
    >>> items = np.random.default_rng(0).normal(size=(60, 3))
    >>> pairs = Pairs(items, np.arange(60).reshape(30, 2))
    >>> y = items[pairs.first, 0] > items[pairs.second, 0]
    >>> head = RewardEnsemble(n_members=5, random_state=0).fit(pairs, y)
    >>> delta, std = head.decision_function(pairs, return_std=True)
    >>> bool((std > 0).all()), head.score(pairs, y) > 0.9
    (True, True)
    """

    _constraints: ClassVar[Constraints] = {
        "n_members": [Integer(1)],
        "bagging": [*get_args(Bagging), None],
        "aggregate": [*get_args(Aggregate)],
        "k": [Real()],
        "quantile": [Real(0, 1)],
        "uncertainty_weighted": [bool],
    }
    _stored: ClassVar[Sequence[Stored]] = STORED_MEMBERS

    def __init__(
        self,
        heads: Any = "linear",
        n_members: int = 10,
        *,
        bagging: Bagging | None = "prompt",
        aggregate: Aggregate = "mean",
        k: float = 1.0,
        quantile: float = 0.1,
        uncertainty_weighted: bool = False,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.heads = heads
        self.n_members = n_members
        self.bagging = bagging
        self.aggregate = aggregate
        self.k = k
        self.quantile = quantile
        self.uncertainty_weighted = uncertainty_weighted
        self.random_state = random_state
        self.n_jobs = n_jobs

    learns_from = ask_inner("learns_from", next, "What the members are fitted on.")
    is_transitive = ask_inner(
        "is_transitive",
        all,
        "Whether the sign of every member's delta follows from its rewards.",
    )
    accepts_margin = ask_inner(
        "accepts_margin", all, "Whether every member takes a positive `margin`."
    )
    estimates_noise = ask_inner(
        "estimates_noise", any, "Whether a member estimates flip rates."
    )

    def _name_annotators(self, names: AnyArray) -> None:
        name_annotators_of(self.members_, names)

    def _fit(self, comparisons: Comparisons) -> None:
        rng = check_random_state(self.random_state)
        unfitted = self._make_members(rng)
        self._check_cycles(unfitted)
        samples = self._draw_samples(comparisons, len(unfitted), rng)
        self._fit_members(unfitted, comparisons, samples)
        if self.uncertainty_weighted:
            variance = spread(self._member_rewards(comparisons.items)) ** 2
            doubt = variance[comparisons.winner] + variance[comparisons.loser]
            samples = [counts / (1.0 + doubt) for counts in samples]
            self._fit_members(unfitted, comparisons, samples)

    def _fit_members(
        self,
        unfitted: list[RewardHead],
        comparisons: Comparisons,
        samples: list[FloatArray],
    ) -> None:
        """Fit copies of the members, and say how to shift and scale their rewards."""
        # Threads share the items; they also share the filters of warnings, which some
        # heads change for a moment, and which are put back here.
        with warnings.catch_warnings(), _cores_shared(self.n_jobs) as of_one:
            members = Parallel(self.n_jobs, prefer="threads")(
                delayed(_fit_member)(head, comparisons, counts, of_one)
                for head, counts in zip(unfitted, samples, strict=True)
            )
        self.members_: list[RewardHead] = list(members)
        moments = [mean_and_spread(m.reward(comparisons.items)) for m in self.members_]
        self.center_ = np.array([mean for mean, _ in moments])
        mixed = len({_kind(head) for head in unfitted}) > 1
        self.scale_ = np.array([spread if mixed else 1.0 for _, spread in moments])

    def _list_heads(self) -> list[RewardHead]:
        """Make the unfitted heads that the parameters name, one for each member."""
        if isinstance(self.heads, Sequence) and not isinstance(self.heads, str):
            if len(self.heads) == 0:
                raise invalid_input(
                    "heads: at least one", "an empty list", "pass for instance 'linear'"
                )
            return [unfitted_head(head) for head in self.heads]
        n_members = check_count(self.n_members, "n_members")
        return [unfitted_head(self.heads) for _ in range(n_members)]

    def _make_members(self, rng: np.random.Generator) -> list[RewardHead]:
        members = self._list_heads()
        if self.bagging == "seed" and not all(map(has_randomness, members)):
            fixed = next(m for m in members if not has_randomness(m))
            raise invalid_input(
                expected="heads with a random_state for bagging='seed'",
                got=f"{type(fixed).__name__}, which is the same for every seed",
                fix="use bagging='prompt', or a list of heads with bagging=None",
            )
        for member in members:
            seed_estimator(member, rng, replace=self.bagging is not None)
        return members

    def _draw_samples(
        self, comparisons: Comparisons, n_members: int, rng: np.random.Generator
    ) -> list[FloatArray]:
        """Draw how often each win counts for each member."""
        if self.bagging in ("prompt", "pair"):
            unit = self.bagging
            return [draw_counts(comparisons, unit, rng) for _ in range(n_members)]
        return [np.ones(len(comparisons))] * n_members

    def _check_cycles(self, members: list[RewardHead]) -> None:
        """Refuse to be a pessimist about rewards that do not make up delta."""
        cyclic = [type(head).__name__ for head in members if not head.is_transitive]
        if cyclic and self.aggregate != "mean":
            raise invalid_input(
                expected=f"heads whose delta follows from their rewards for "
                f"aggregate={self.aggregate!r}",
                got=f"{cyclic[0]}, whose preferences may be cyclic",
                fix="use aggregate='mean', which averages the members' deltas",
            )

    def _member_rewards(self, items: FloatArray) -> FloatArray:
        """Score preprocessed items by every member, shape (n_members, n_items)."""
        parts = zip(self.members_, self.center_, self.scale_, strict=True)
        return np.stack([(m.reward(items) - c) / s for m, c, s in parts])

    def _reward(self, items: FloatArray) -> FloatArray:
        return self._aggregate(self._member_rewards(items))

    def _aggregate(self, rewards: FloatArray) -> FloatArray:
        if self.aggregate == "min":
            return np.asarray(rewards.min(axis=0))
        if self.aggregate == "quantile":
            return np.asarray(np.quantile(rewards, self.quantile, axis=0))
        mean = _mean(rewards)
        return mean - self.k * spread(rewards) if self.aggregate == "lower" else mean

    def member_rewards(self, X: Any) -> FloatArray:
        """Compute the reward of items by every member.

        Parameters
        ----------
        X : array-like of shape (n_items, d)

        Returns
        -------
        ndarray of shape (n_members, n_items), float64
            Shifted to mean 0 over the training items, and scaled if members are of
            different kinds.
        """
        items = self._preprocessed(X)
        if len(items) == 0:
            return np.empty((len(self.members_), 0))
        return self._member_rewards(items)

    def _reward_and_std(self, items: FloatArray) -> tuple[FloatArray, FloatArray]:
        rewards = self._member_rewards(items)
        return self._aggregate(rewards), spread(rewards)

    def _reward_and_delta_std(
        self, items: FloatArray, ids: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        rewards = self._member_rewards(items)
        return self._aggregate(rewards), spread_of_deltas(rewards, ids)

    def decision_function(self, pairs: Any, *, return_std: bool = False) -> Any:
        """Compute delta, and on demand its standard deviation among the members.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        return_std : bool, default=False

        Returns
        -------
        delta : ndarray of shape (n_pairs,)
            Difference of two rewards; the mean of the members' deltas where those are
            more than that. Changes sign exactly on a swap.
        std : ndarray of shape (n_pairs,), >= 0
            Only with `return_std`.
        """
        check_is_fitted(self)
        if all(head.is_transitive for head in self.members_):
            if return_std:
                return super().decision_function(pairs, return_std=True)
            return super().decision_function(pairs)
        X, ids = self._items_of(pairs)
        items = self._preprocessed(X)
        parts = zip(self.members_, self.scale_, strict=True)
        deltas = np.stack([delta_of(head, items, ids) / s for head, s in parts])
        return (_mean(deltas), spread(deltas)) if return_std else _mean(deltas)


@contextmanager
def _cores_shared(n_jobs: int | None) -> Iterator[int | None]:
    """Divide the cores among members fitted at a time; give each one's, None for all.

    BLAS and torch have one number of threads for the process, OpenMP one for each
    thread that calls it.
    """
    at_a_time = effective_n_jobs(n_jobs)
    if at_a_time == 1:
        yield None
        return
    of_one = max(1, cpu_count() // at_a_time)
    torch: Any = sys.modules.get("torch")
    of_torch = torch and torch.get_num_threads()
    try:
        if torch:
            torch.set_num_threads(min(of_torch, of_one))
        with threadpool_limits(of_one, user_api="blas"):
            yield of_one
    finally:
        if torch:
            torch.set_num_threads(of_torch)


def _fit_member(
    head: RewardHead, comparisons: Comparisons, counts: FloatArray, threads: int | None
) -> RewardHead:
    """Fit a fresh copy of a member on the wins that count for it."""
    kept = counts > 0
    wins = comparisons.take(kept)
    with threadpool_limits(threads, user_api="openmp"):
        return unfitted_head(head).fit_comparisons(
            replace(wins, weight=wins.weight * counts[kept])
        )


def _kind(head: RewardHead) -> tuple[str, str]:
    """Name what decides the unit of a head's reward: its class and its estimator."""
    estimator = getattr(head, "estimator", None)
    word = estimator if isinstance(estimator, str) else type(estimator).__name__
    return type(head).__name__, word


def _mean(values: FloatArray) -> FloatArray:
    # From the first member on, so that equal members have exactly their own mean.
    return np.asarray(values[0] + (values - values[0]).mean(axis=0))


ResampleUnit: TypeAlias = Literal["prompt", "pair"]

_MOST_DRAWS = 100


def draw_counts(
    comparisons: Comparisons, unit: ResampleUnit, rng: np.random.Generator
) -> FloatArray:
    r"""Draw how often each win counts in a bootstrap resample.

    Parameters
    ----------
    comparisons : Comparisons
    unit : {"prompt", "pair"}
        What is drawn with replacement, as often as there are units. "prompt" draws
        prompt groups (connected components where prompts are unknown, items where
        one of these holds most of the data); a win across two prompts counts the
        product of their two counts [1]_. "pair" draws pairs of items, with all the
        wins between the two.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_wins,), float64
        Whole numbers >= 0, to multiply weights by; not all zero. Drawn again where
        they would be, which only happens with a handful of units.

    References
    ----------
    .. [1] Owen (2007). The pigeonhole bootstrap. Annals of Applied Statistics 1(2).

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> wins = make_comparisons(Pairs(np.eye(8), np.arange(8).reshape(4, 2)))
    >>> int(draw_counts(wins, "pair", np.random.default_rng(0)).sum())
    4
    """
    ends = (
        np.stack([comparisons.pair_numbers()] * 2)
        if unit == "pair"
        else _prompt_ends(comparisons)
    )
    n_units = int(ends.max()) + 1
    for _ in range(_MOST_DRAWS):
        drawn = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        first, second = drawn[ends]
        counts = np.where(ends[0] == ends[1], first, first * second)
        if counts.any():
            return np.asarray(counts, dtype=np.float64)
    return np.ones(len(comparisons))


def _prompt_ends(comparisons: Comparisons) -> IntArray:
    """Give the numbers of the units at both ends of each win, shape (2, n_wins)."""
    units = split_units(comparisons)
    ends = np.stack([units[comparisons.winner], units[comparisons.loser]])
    number: IntArray = np.unique(ends, return_inverse=True)[1]
    return number.reshape(ends.shape)
