"""Resampling of prompts, and the intervals and bands it gives."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import ndtr
from scipy.stats import t as student_t
from sklearn.utils import gen_batches

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    check_count,
    check_level,
    check_random_state,
    check_sample_weight,
)
from embrm.evaluate.inputs import check_scores, group_codes

SAME_PROMPT = "prompt bootstrap"
CROSS_PROMPT = "prompt bootstrap, two-way (pigeonhole)"
NO_PROMPTS = "pair bootstrap (prompts unknown)"
ONE_PROMPT = "pair bootstrap (only one prompt)"
# Largest block of counts held at once: 2 million doubles are 16 MB.
_MAX_ENTRIES = 2_000_000
_FEW_GROUPS, _POINTS_AT_ONCE = 40, 512


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate : float
        The statistic on the data as it is.
    low, high : float
        Percentiles of the resamples; NaN where there was only one thing to resample.
    level : float in (0, 1)
        Confidence level.
    n_groups : int
        How many things were resampled: prompts, or pairs where `method` says so.
    method : str
        How they were resampled.

    Examples
    --------
    >>> print(Interval(0.7134, 0.69, 0.7312, 0.95, 600, "prompt bootstrap"))
    0.713 [0.690, 0.731]
    """

    estimate: float
    low: float
    high: float
    level: float
    n_groups: int
    method: str

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and strings; NaN, which JSON lacks, becomes None."""
        return {
            name: None if value != value else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


class PromptResampler:
    """Resamples of prompts, the same ones for every statistic.

    Statistics of several heads on the same resamples are paired: their differences
    are resampled too.

    Parameters
    ----------
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        Prompt id of each pair, or of both its ends (`Pairs.groups`). If None, or if
        all pairs have the same prompt, pairs are resampled and `method` says so.
    n_pairs : int, optional
        Needed if `groups` is None.
    n_resamples : int >= 1, default=2000
    level : float in (0, 1), default=0.95
    random_state : int, Generator, RandomState or None, default=0

    Attributes
    ----------
    n_pairs : int
    n_groups : int
        Number of prompts, or of pairs where they are what is resampled.
    method : str

    Examples
    --------
    >>> import numpy as np
    >>> resampler = PromptResampler(["a", "a", "b", "c"])
    >>> resampler.totals(np.ones((4, 1))).shape, resampler.n_groups
    ((2000, 1), 3)
    """

    def __init__(
        self,
        groups: ArrayLike | None,
        n_pairs: int | None = None,
        *,
        n_resamples: int = 2000,
        level: float = 0.95,
        random_state: RandomState = 0,
    ) -> None:
        self.n_resamples = check_count(n_resamples, "n_resamples", 1)
        self.level = check_level(level)
        # One seed, drawn now: every call then sees the same resamples.
        self._seed = int(check_random_state(random_state).integers(2**63))
        codes, self.n_groups, self.method = _units(groups, n_pairs)
        self.n_pairs = len(codes)
        low, high = codes.min(axis=1), codes.max(axis=1)
        cells, self._cell_of_pair = np.unique(
            low * self.n_groups + high, return_inverse=True
        )
        self._first, self._second = np.divmod(cells, self.n_groups)
        self._cross = np.flatnonzero(self._first != self._second)
        self._kept: list[FloatArray] = []

    def totals(self, features: FloatArray) -> FloatArray:
        """Sum features over each resample.

        Parameters
        ----------
        features : ndarray of shape (n_pairs, m)

        Returns
        -------
        ndarray of shape (n_resamples, m)
        """
        membership = csr_array(
            (np.ones(self.n_pairs), (self._cell_of_pair, np.arange(self.n_pairs))),
            shape=(len(self._first), self.n_pairs),
        )
        by_cell = membership @ features
        return np.concatenate([counts.T @ by_cell for counts in self._cell_counts()])

    def interval(self, estimate: float, replicates: FloatArray) -> Interval:
        """Make the percentile interval of replicates of shape (n_resamples,).

        Replicates that are not finite (an empty denominator) are left out.
        """
        low, high = self.percentiles(replicates[:, None])
        bounds = float(low[0]), float(high[0])
        return Interval(estimate, *bounds, self.level, self.n_groups, self.method)

    def share_interval(self, estimate: float, replicates: FloatArray) -> Interval:
        """Make the interval of a share, whose replicates have shape (n_resamples,).

        With fewer than 40 groups, percentiles alone are too narrow near 0 and 1: what
        was not observed is in no resample. So the interval reaches as far as the wider
        of them and Wilson's [1]_ does, on either side.

        References
        ----------
        .. [1] Wilson (1927). Probable inference, the law of succession, and statistical
           inference. Journal of the American Statistical Association 22(158).
        """
        plain = self.interval(estimate, replicates)
        few = self.n_groups < _FEW_GROUPS or estimate in (0.0, 1.0)
        if self.n_groups < 2 or not few:
            return plain
        # Resamples vary as a population does, and not as the sample of one.
        variance = float(np.nanvar(replicates)) * self.n_groups / (self.n_groups - 1)
        low, high = wilson_bounds(estimate, variance, self.n_groups, self.level)
        return replace(plain, low=min(low, plain.low), high=max(high, plain.high))

    def percentiles(self, replicates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Take the two percentiles of each column of (n_resamples, m) replicates.

        With fewer than 40 groups they lie further out [1]_: resamples of few groups
        vary less than samples of them do. Being percentiles, those of a share stay in
        [0, 1].

        References
        ----------
        .. [1] Hesterberg (2015). What teachers should know about the bootstrap. The
           American Statistician 69: the expanded percentile interval.
        """
        low, high = np.full((2, replicates.shape[1]), np.nan)
        if self.n_groups < 2:
            return low, high
        tail = _tail(self.level, self.n_groups)
        for column, values in enumerate(replicates.T):
            defined = values[np.isfinite(values)]
            if len(defined):
                low[column], high[column] = np.quantile(defined, [tail, 1 - tail])
        return low, high

    def sign_flips(self, differences: FloatArray) -> FloatArray:
        """Test by permutation whether differences of pairs are 0 on average.

        Parameters
        ----------
        differences : ndarray of shape (n_pairs, m)

        Returns
        -------
        ndarray of shape (m,)
            Two-sided p value of each column's sum, against the sums after the sign of
            each prompt's sum is flipped at random; NaN where pairs go across prompts,
            which have no sign of their own.
        """
        if len(self._cross):
            return np.full(differences.shape[1], np.nan)
        by_prompt = np.zeros((self.n_groups, differences.shape[1]))
        np.add.at(by_prompt, self._first[self._cell_of_pair], differences)
        observed = np.abs(by_prompt.sum(axis=0))
        generator = np.random.default_rng(self._seed)
        exceeded = np.zeros(differences.shape[1])
        block = max(1, _MAX_ENTRIES // self.n_groups)
        for start in range(0, self.n_resamples, block):
            size = min(block, self.n_resamples - start)
            flips = generator.integers(2, size=(size, self.n_groups)) * 2.0 - 1
            sums = np.abs(flips @ by_prompt)
            # Sums of equal terms in another order differ by rounding.
            exceeded += (sums >= observed * (1 - 1e-12) - 1e-12).sum(axis=0)
        return np.asarray((1 + exceeded) / (1 + self.n_resamples))

    def pair_weights(self) -> Iterator[FloatArray]:
        """Yield, resample by resample, how often each pair counts, shape (n_pairs,)."""
        for counts in self._cell_counts():
            yield from counts[self._cell_of_pair].T

    def _cell_counts(self) -> Iterator[FloatArray]:
        """Yield blocks (n_cells, resamples): how often each set of prompts counts."""
        if self._kept:
            yield from self._kept
            return
        generator = np.random.default_rng(self._seed)
        block = max(1, _MAX_ENTRIES // max(self.n_groups, len(self._first)))
        for start in range(0, self.n_resamples, block):
            size = min(block, self.n_resamples - start)
            drawn = generator.integers(self.n_groups, size=(self.n_groups, size))
            drawn = drawn * size + np.arange(size)
            counts = np.bincount(drawn.ravel(), minlength=self.n_groups * size)
            counts = counts.reshape(self.n_groups, size)
            by_cell = counts[self._first].astype(np.float64)
            by_cell[self._cross] *= counts[self._second[self._cross]]
            if size == self.n_resamples:
                # All in one block: it is kept, since drawing takes longer than use.
                by_cell.flags.writeable = False
                self._kept = [by_cell]
            yield by_cell


def resampled_prompts(
    n_prompts: int, n_resamples: int, level: float, random_state: RandomState
) -> PromptResampler:
    """Resample prompts of which there is one row each, such as curves."""
    return PromptResampler(
        np.arange(n_prompts),
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )


def _tail(level: float, n_groups: int) -> float:
    """Return the share of resamples outside each end of an interval."""
    tail = (1 - level) / 2
    if n_groups >= _FEW_GROUPS:
        return tail
    reach = student_t.ppf(1 - tail, n_groups - 1) * np.sqrt(n_groups / (n_groups - 1))
    return float(ndtr(-reach))


def _units(groups: ArrayLike | None, n_pairs: int | None) -> tuple[IntArray, int, str]:
    """Say which units are resampled: their codes (n_pairs, 2), number and method."""
    if groups is None:
        size = check_count(n_pairs, "n_pairs", 1)
        return _each_its_own(size), size, NO_PROMPTS
    if n_pairs is not None:
        check_count(n_pairs, "n_pairs", 0)
    codes, n_prompts = group_codes(groups, n_pairs)
    check_count(len(codes), "number of pairs", 1)
    if n_prompts == 1:
        return _each_its_own(len(codes)), len(codes), ONE_PROMPT
    crosses = bool((codes[:, 0] != codes[:, 1]).any())
    return codes, n_prompts, CROSS_PROMPT if crosses else SAME_PROMPT


def _each_its_own(size: int) -> IntArray:
    return np.column_stack([np.arange(size), np.arange(size)])


def prompt_bootstrap(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> Interval:
    """Estimate a weighted mean over pairs, with its interval from resampled prompts.

    Parameters
    ----------
    values : array-like of shape (n_pairs,)
        One value per pair: right or wrong, squared error, loss.
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        Prompt id of each pair, or of both its ends (`Pairs.groups`). If None, or if
        there is only one prompt, pairs are resampled and `method` says so.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Interval
        Of the percentile bootstrap; of values 0, 1/2 and 1 alone, right or wrong, as
        `PromptResampler.share_interval` makes it. If all other values are equal the
        interval is a point: resampling cannot show what was never observed.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    References
    ----------
    Owen (2007), The pigeonhole bootstrap, doi:10.1214/07-AOAS122, for pairs across
    prompts.

    Examples
    --------
    >>> interval = prompt_bootstrap([1, 1, 0, 1, 0, 1], ["a", "a", "b", "b", "c", "c"])
    >>> print(interval, interval.method)
    0.667 [0.135, 1.000] prompt bootstrap
    """
    checked = check_scores(values, "values")
    weights = check_sample_weight(sample_weight, n_pairs=len(checked))
    resampler = PromptResampler(
        groups,
        len(checked),
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    features = np.column_stack([weights * checked, weights])
    estimate = float(np.average(checked, weights=weights))
    replicates = ratio_from_totals(resampler.totals(features))
    is_share = np.isin(checked, (0.0, 0.5, 1.0)).all() and (checked != 0.5).any()
    make = resampler.share_interval if is_share else resampler.interval
    return make(estimate, replicates)


def prompt_bootstrap_statistic(
    statistic: Callable[[FloatArray], float],
    groups: ArrayLike | None = None,
    *,
    n_pairs: int | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> Interval:
    """Estimate any statistic of weighted pairs, with its interval.

    Parameters
    ----------
    statistic : callable
        Takes weights of shape (n_pairs,), how often each pair counts, and returns a
        float. Weight k must act as k copies of the pair.
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        As in `prompt_bootstrap`.
    n_pairs : int, optional
        Needed if `groups` is None.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Interval

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([1.0, 4.0, 2.0, 8.0])
    >>> def largest(weights):
    ...     return values[weights > 0].max()
    >>> prompt_bootstrap_statistic(largest, ["a", "a", "b", "b"]).low
    4.0
    """
    resampler = PromptResampler(
        groups,
        n_pairs,
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    # Two prompts joined by pairs across them alone can leave a resample empty.
    replicates = np.array(
        [statistic(w) if w.any() else np.nan for w in resampler.pair_weights()]
    )
    estimate = float(statistic(np.ones(resampler.n_pairs)))
    return resampler.interval(estimate, replicates)


def wilson_bounds(
    share: float, variance: float, n_units: int, level: float = 0.95
) -> tuple[float, float]:
    r"""Compute Wilson's interval of a share whose variance resampling gave.

    Parameters
    ----------
    share : float in [0, 1]
    variance : float >= 0
        Of the resampled shares; 0 where resampling cannot show any.
    n_units : int
        Units that were resampled: the sample size where `variance` is 0, and never
        less than one.
    level : float in (0, 1), default=0.95

    Returns
    -------
    low, high : float in [0, 1]
        At the sample size :math:`p (1 - p) / v` of independent units that has the
        resampled variance v: Wilson (1927), JASA 22(158), with Student's quantile for
        the number of units. Unlike percentiles, it has width at 12 right of 12.

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson_bounds(1.0, 0.0, 12)]
    [0.712, 1.0]
    """
    n = float(n_units) if variance <= 0 else max(1.0, share * (1 - share) / variance)
    if share in (0.0, 1.0):
        n = float(n_units)
    z2 = float(student_t.ppf((1 + level) / 2, max(1, n_units - 1))) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def ratio_from_totals(totals: FloatArray) -> FloatArray:
    """Divide sums of weighted values by sums of weights, row by row of (n, 2)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(totals[:, 0] / totals[:, 1])


class Band(NamedTuple):
    """Mean curve and its pointwise percentile band, each of shape (m,).

    `n_prompts` counts the prompts that are defined at each point.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n_prompts: IntArray


def band_of_curves(curves: FloatArray, resampler: PromptResampler) -> Band:
    """Average curves (n_prompts, m) over prompts, NaN where undefined.

    The band is NaN where fewer than two prompts are defined.
    """
    defined = np.isfinite(curves)
    n_prompts = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(defined, curves, 0.0).sum(axis=0) / n_prompts
    # Some points at a time, so that memory stays small.
    bounds = np.hstack(
        [
            resampler.percentiles(resampled_means(curves[:, points], resampler))
            for points in gen_batches(curves.shape[1], _POINTS_AT_ONCE)
        ]
    )
    low, high = np.where(n_prompts > 1, bounds, np.nan)
    return Band(mean, low, high, n_prompts)


def resampled_means(curves: FloatArray, resampler: PromptResampler) -> FloatArray:
    """Average curves (n_prompts, m) over each resample, shape (n_resamples, m)."""
    defined = np.isfinite(curves)
    # Neighbouring points mostly have the same prompts: count those once.
    new = np.ones(curves.shape[1], dtype=bool)
    new[1:] = (defined[:, 1:] != defined[:, :-1]).any(axis=0)
    features = np.hstack([np.where(defined, curves, 0.0), defined[:, new]])
    totals = resampler.totals(features)
    counts = totals[:, curves.shape[1] :][:, np.cumsum(new) - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(totals[:, : curves.shape[1]] / counts)
