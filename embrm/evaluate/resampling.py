"""Resampling of prompts, and the intervals it gives.

Pairs of one prompt stand or fall together, so prompts are drawn with replacement and a
pair counts as often as its prompt was drawn. A pair across two prompts counts the
product of their two counts: the pigeonhole bootstrap (Owen 2007, "The pigeonhole
bootstrap", Annals of Applied Statistics 1(2), doi:10.1214/07-AOAS122), with prompts as
the factor at both ends. In simulations of 60 prompts its 95% intervals covered 94 to
98% where prompts differ, and are 1.8 times too wide where they do not, because the
noise of a pair is then counted three times: safe, and not sharp.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_level, check_random_state
from embrm.evaluate.inputs import group_codes

SAME_PROMPT = "prompt bootstrap"
CROSS_PROMPT = "prompt bootstrap, two-way (pigeonhole)"
NO_PROMPTS = "pair bootstrap (prompts unknown)"
ONE_PROMPT = "pair bootstrap (only one prompt)"


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
    """Resamples of prompts, the same ones for every statistic asked of it.

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
        return Interval(
            estimate,
            float(low[0]),
            float(high[0]),
            self.level,
            self.n_groups,
            self.method,
        )

    def percentiles(self, replicates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Take the two percentiles of each column of (n_resamples, m) replicates."""
        low, high = np.full((2, replicates.shape[1]), np.nan)
        if self.n_groups < 2:
            return low, high
        tail = (1 - self.level) / 2
        for column, values in enumerate(replicates.T):
            defined = values[np.isfinite(values)]
            if len(defined):
                low[column], high[column] = np.quantile(defined, [tail, 1 - tail])
        return low, high

    def pair_weights(self) -> Iterator[FloatArray]:
        """Yield, resample by resample, how often each pair counts, shape (n_pairs,)."""
        for counts in self._cell_counts():
            yield from counts[self._cell_of_pair].T

    def _cell_counts(self) -> Iterator[FloatArray]:
        """Yield blocks (n_cells, resamples): how often each set of prompts counts."""
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
            yield by_cell


# Largest block of counts held at once: 2 million doubles are 16 MB.
_MAX_ENTRIES = 2_000_000


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
