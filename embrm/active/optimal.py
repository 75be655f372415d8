r"""Pairs that together tell most, chosen one after another: designs, BatchBALD.

In an experimental design a label of pair g adds :math:`v g g^\top` to the precision of
the weights. In the coordinates of `RewardPosterior` the covariance begins as I, and
stays :math:`C = I - \sum_t a_t a_t^\top` after rank-one updates with :math:`a = C g /
\sqrt{1 / v + g^\top C g}`. Only the vectors a are kept: memory is O(n d), whatever the
number of candidates.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import cholesky
from scipy.special import entr, expit, xlogy

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_choice, check_count
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import Strategy, Taker
from embrm.simulate.design import PromptLayout

_FIRST_LOOK = 4096
_ROWS_AT_A_TIME = 16
_PAIRS_AT_A_TIME = 1 << 14


@dataclass(frozen=True)
class DOptimal(Strategy):
    r"""Greedy D-optimal design: each pair adds most to the log determinant.

    The gain of a pair is :math:`\log(1 + v g^\top C g)`, with C the posterior
    covariance given the labels so far *and* the pairs proposed before it, so that
    proposals do not repeat one another. Gains only fall as pairs are added (the log
    determinant is submodular), so that first gains bound later ones: only pairs that
    could be the best are followed, and the choice is still exactly the greedy one.

    Parameters
    ----------
    past_aware : bool, default=True
        Whether what past labels have taught counts. Without, the covariance begins
        at the prior, as in a one-shot design; predicted deltas count either way.

    References
    ----------
    Shen et al. 2025, Active Reward Modeling, arXiv:2502.04354 (D-opt, PA D-opt, there
    top-n at once); Minoux 1978, Accelerated greedy algorithms (lazy evaluation).

    Examples
    --------
    >>> from embrm.pool import CandidatePool
    >>> pool = CandidatePool(np.array([[0.0, 0], [5, 0], [5, 0.1], [0, 3]]), [0] * 4)
    >>> posterior = RewardPosterior(np.zeros(4), pool.items)
    >>> candidates = Candidates(pool, [[0, 1], [0, 2], [0, 3]])
    >>> DOptimal().propose(candidates, posterior, 2).tolist()
    [[0, 2], [0, 3]]
    """

    past_aware: bool = True

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        del rng
        return _LazyGreedy(candidates, _belief(candidates, posterior, self), n).run()


def _belief(
    candidates: Candidates, posterior: RewardPosterior, strategy: DOptimal
) -> RewardPosterior:
    if strategy.past_aware:
        return posterior
    prior = RewardPosterior.from_prior(candidates.pool.items)
    return RewardPosterior(posterior.reward, prior.coordinates, posterior.flip_rate)


class _Covariance:
    """The matrix I - A'A, by the rows of A."""

    def __init__(self, n: int, k: int) -> None:
        self._rows, self._n = np.empty((n, k)), 0

    def times(self, g: FloatArray) -> FloatArray:
        """Multiply a vector (k,)."""
        return np.asarray(g - (self.rows @ g) @ self.rows)

    @property
    def rows(self) -> FloatArray:
        """A, of shape (labels so far, k)."""
        return self._rows[: self._n]

    def update(self, g: FloatArray, curvature: float) -> FloatArray:
        """Learn a label of direction g; return the new row."""
        product = self.times(g)
        # A label that tells nothing changes nothing.
        factor = np.sqrt(curvature / (1 + curvature * float(g @ product)))
        self._rows[self._n] = factor * product
        self._n += 1
        return np.asarray(self._rows[self._n - 1])


class _LazyGreedy:
    """Greedy choice among the candidates in sight, whose gains are exact.

    In sight are those of the highest first gains. As gains only fall, no other can be
    best as long as the best in sight gains more than the first that is not.
    """

    def __init__(
        self, candidates: Candidates, posterior: RewardPosterior, n: int
    ) -> None:
        curvature = posterior.curvature(candidates.ids)
        variance = posterior.std(candidates.ids) ** 2
        bound = candidates.per_cost(np.log1p(curvature * variance))
        self._order = np.argsort(-bound, kind="stable")
        self._candidates = candidates.take(self._order)
        self._curvature, self._variance = curvature[self._order], variance[self._order]
        self._out_of_sight = np.append(bound[self._order], -np.inf)
        self._posterior, self._n = posterior, n
        self._covariance = _Covariance(n, posterior.coordinates.shape[1])
        self._taker = Taker(self._candidates, n)
        self._n_seen = 0
        self._look(min(_FIRST_LOOK, len(candidates)))

    def run(self) -> IntArray:
        """Choose n candidates."""
        for _ in range(self._n):
            at = self._take_best()
            gap = self._posterior.gap(self._candidates.ids[at : at + 1])[0]
            row = self._covariance.update(gap, float(self._curvature[at]))
            self._forget(slice(self._n_seen), self._ids, row[None])
        return self._order[self._taker.taken]

    def _take_best(self) -> int:
        while True:
            seen = slice(self._n_seen)
            gain = np.log1p(self._curvature[seen] * self._variance[seen])
            if self._candidates.cost is not None:
                gain /= self._candidates.cost[seen]
            gain[~self._taker.open[seen]] = -np.inf
            at = int(np.argmax(gain))
            if gain[at] >= self._out_of_sight[self._n_seen]:
                self._taker.take(at)
                return at
            self._look(min(2 * self._n_seen, len(self._order)))

    def _look(self, n_seen: int) -> None:
        """Bring more candidates into sight, with what the labels so far have taught."""
        new = slice(self._n_seen, n_seen)
        self._n_seen = n_seen
        items, ids = np.unique(self._candidates.ids[:n_seen], return_inverse=True)
        self._ids = ids.reshape(-1, 2)
        z = self._posterior.coordinates
        self._z = z if len(items) == len(z) else z[items]
        self._forget(new, self._ids[new], self._covariance.rows)

    def _forget(self, part: slice, ids: IntArray, rows: FloatArray) -> None:
        """Take from the variances what rows of the covariance have made certain."""
        for some in np.array_split(rows, max(1, len(rows) // _ROWS_AT_A_TIME)):
            along = self._z @ some.T.astype(self._z.dtype)
            for row in along.T.astype(np.float64):
                self._variance[part] -= (row[ids[:, 0]] - row[ids[:, 1]]) ** 2
        np.maximum(self._variance[part], 0.0, out=self._variance[part])


@dataclass(frozen=True)
class VOptimal(Strategy):
    r"""Greedy A-optimal design for the pool's own deltas (V-optimal).

    Each pair takes most from the mean posterior variance of the target deltas t:
    :math:`g^\top C T C g / (1 / v + g^\top C g)` with :math:`T` the mean of
    :math:`t t^\top`.

    Parameters
    ----------
    targets : {"same", "all"}, default="same"
        Deltas that should become certain: of every two responses to a prompt of the
        pool, or of every two of its items.

    References
    ----------
    Chaloner, Verdinelli 1995, Bayesian experimental design: a review.
    """

    targets: Literal["same", "all"] = "same"

    def __post_init__(self) -> None:
        check_choice(self.targets, "targets", ("same", "all"))

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        del rng
        ids = candidates.ids
        inverse_curvature = 1 / np.maximum(posterior.curvature(ids), 1e-300)
        z, scatter = posterior.coordinates, self.scatter(candidates, posterior)
        variance = posterior.std(ids) ** 2
        root = _root(scatter).astype(z.dtype)
        useful = RewardPosterior(posterior.reward, z @ root).std(ids) ** 2
        covariance, taker = _Covariance(n, z.shape[1]), Taker(candidates, n)
        first, second = np.ascontiguousarray(ids.T)
        for _ in range(n):
            gain = candidates.per_cost(useful / (inverse_curvature + variance))
            row = taker.take_best(gain)
            gap = posterior.gap(ids[row : row + 1])[0]
            before = covariance.times
            a = covariance.update(gap, 1 / float(inverse_curvature[row]))
            # C T a with the C before this label, which is C + a a' now.
            spread = scatter @ a
            b = before(spread) + a * float(a @ spread)
            # One by one: a product with two columns takes longer than two with one.
            on_a, on_b = (
                along[first] - along[second]
                for along in (_product(z, vector) for vector in (a, b))
            )
            variance -= on_a**2
            on_b *= -2
            on_b += on_a * float(a @ spread)
            useful += on_a * on_b
            np.maximum(variance, 0.0, out=variance)
            np.maximum(useful, 0.0, out=useful)
        return np.array(taker.taken)

    def scatter(self, candidates: Candidates, posterior: RewardPosterior) -> FloatArray:
        """Compute T, the mean of t t' over the targets, shape (k, k)."""
        z, pool = posterior.coordinates, candidates.pool
        if self.targets == "all":
            centred = z - z.mean(axis=0)
            gram = (centred.T @ centred).astype(np.float64)
            return np.asarray(gram * 2 / max(1, len(z) - 1))
        layout = PromptLayout.of(pool)
        total, n_pairs = np.zeros((z.shape[1],) * 2), 0
        for size in np.unique(layout.sizes[layout.sizes > 1]):
            starts = layout.starts[:-1][layout.sizes == size]
            rows = layout.order[starts[:, None] + np.arange(size)]
            for part in np.array_split(rows, max(1, rows.size // _ROWS)):
                block = z[part]
                block = (block - block.mean(axis=1, keepdims=True)).reshape(
                    -1, z.shape[1]
                )
                # The sum over pairs of K items is K times that over items.
                total += size * (block.T @ block)
            n_pairs += len(rows) * size * (size - 1) // 2
        return total / max(1, n_pairs)


def _product(z: FloatArray, vector: FloatArray) -> FloatArray:
    """Multiply coordinates by a vector, in their precision; give float64."""
    return np.asarray((z @ vector.astype(z.dtype)).astype(np.float64))


def _root(scatter: FloatArray) -> FloatArray:
    """Find R with R R' = T, for a T that may be singular."""
    jitter = 1e-12 * (float(np.trace(scatter)) / len(scatter) + 1e-300)
    return np.asarray(cholesky(scatter + jitter * np.eye(len(scatter)), lower=True))


_ROWS = 8192


@dataclass(frozen=True)
class BatchBALD(Strategy):
    r"""Greedily most mutual information between the labels of a batch and rewards.

    :math:`I(y_{1:B}; r) = H[y_{1:B}] - E_r \sum_i H[y_i \mid r]` over samples of the
    posterior. The joint entropy is exact while the label configurations are few, then
    estimated from configurations drawn from the samples.

    Parameters
    ----------
    n_samples : int >= 2, default=64
        Of the posterior.
    n_configurations : int >= 2, default=256
        Of labels.
    shortlist : int >= 1, default=2000
        Candidates that are looked at: those with the most information alone.

    References
    ----------
    Kirsch, van Amersfoort, Gal 2019, BatchBALD, arXiv:1906.08158, sections 3 and 4.
    """

    n_samples: int = 64
    n_configurations: int = 256
    shortlist: int = 2000

    def __post_init__(self) -> None:
        check_count(self.n_samples, "n_samples", 2)
        check_count(self.n_configurations, "n_configurations", 2)
        check_count(self.shortlist, "shortlist")

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        rewards = posterior.sample(self.n_samples, rng)
        alone = candidates.per_cost(_information(candidates.ids, rewards))
        alone[alone < 0] = 0.0
        size = max(n, self.shortlist)
        # A cap may close many of them: then all stay in view.
        rows = np.argsort(-alone, kind="stable")
        rows = rows if candidates.per_prompt is not None else rows[:size]
        chance = _chances(candidates.ids[rows], rewards)
        known = (entr(chance) + entr(1 - chance)).mean(axis=1)
        few = candidates.take(rows)
        joint = _Configurations(self.n_samples, self.n_configurations, rng)
        taker = Taker(few, n)
        for _ in range(n):
            gain = few.per_cost(joint.entropy_with(chance) - joint.entropy - known)
            joint.add(chance[taker.take_best(gain)])
        return rows[taker.taken]


class _Configurations:
    """Labels that the pairs chosen so far may get, with their chance by each sample."""

    def __init__(self, n_samples: int, most: int, rng: np.random.Generator) -> None:
        self._most, self._rng = most, rng
        self._taken: list[FloatArray] = []
        self._chance = np.ones((1, n_samples))
        self._weight = np.ones(1)
        self.entropy = 0.0

    def add(self, chance: FloatArray) -> None:
        """Take a pair whose label is first with a chance (n_samples,)."""
        self.entropy = float(self.entropy_with(chance[None])[0])
        self._taken.append(chance)
        if 2 * len(self._chance) <= self._most and (self._weight == 1).all():
            self._chance = np.concatenate(
                [self._chance * chance, self._chance * (1 - chance)]
            )
            self._weight = np.ones(len(self._chance))
        else:
            self._draw()
            # Of the same configurations as what it is compared with.
            mean = self._chance.mean(axis=1)
            self.entropy = float(-(self._weight @ xlogy(mean, mean)))

    def entropy_with(self, chance: FloatArray) -> FloatArray:
        """Compute the joint entropy with each further pair (m, n_samples): (m,)."""
        total = np.zeros(len(chance))
        for outcome in (chance, 1 - chance):
            # Mean over samples of P(configuration) P(outcome).
            joint = self._chance @ outcome.T / chance.shape[1]
            total -= self._weight @ xlogy(joint, joint)
        return total

    def _draw(self) -> None:
        """Draw configurations, and weigh them by 1 / (their number x chance)."""
        chances = np.stack(self._taken)
        from_sample = self._rng.integers(chances.shape[1], size=self._most)
        labels = self._rng.random((self._most, len(chances))) < chances.T[from_sample]
        log_chance = labels @ np.log(chances) + ~labels @ np.log1p(-chances)
        self._chance = np.exp(log_chance)
        self._weight = 1 / (self._most * self._chance.mean(axis=1))


def _chances(ids: IntArray, rewards: FloatArray) -> FloatArray:
    """Compute P(first preferred) by every sample, shape (n_pairs, n_samples)."""
    delta = rewards[:, ids[:, 0]] - rewards[:, ids[:, 1]]
    # Bounded: no label is impossible, and configurations have finite logarithms.
    return np.asarray(expit(np.clip(delta, -30.0, 30.0)).T)


def _information(ids: IntArray, rewards: FloatArray) -> FloatArray:
    """Compute the information of each label alone, shape (n_pairs,)."""
    found = np.empty(len(ids))
    for start in range(0, len(ids), _PAIRS_AT_A_TIME):
        part = slice(start, start + _PAIRS_AT_A_TIME)
        chance = _chances(ids[part], rewards)
        known = (entr(chance) + entr(1 - chance)).mean(axis=1)
        mean = chance.mean(axis=1)
        found[part] = entr(mean) + entr(1 - mean) - known
    return found
