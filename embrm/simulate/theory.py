r"""Why cross-prompt pairs are easier to annotate: Proposition 15 and Theorem 16.

Of "Rethinking Bradley-Terry Models in Preference-Based Reward Modeling"
(arXiv:2411.04991). The gold of a response to prompt x is drawn from a location-scale
family, :math:`r = \mu_x + \sigma_x z`. Pairs within a prompt have smaller expected
:math:`|\Delta|` than pairs across prompts (Proposition 15, Gaussian z), and smaller
expected annotation quality :math:`\xi(|\Delta|)` (Theorem 16, z unimodal and symmetric,
:math:`\xi` increasing and concave). Both are computed here in closed form (for Gaussian
z) and by Monte Carlo.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, owens_t

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_random_state, invalid_input
from embrm.simulate.annotation import Annotator
from embrm.simulate.annotators import ThurstoneAnnotator

Family: TypeAlias = Literal["gaussian", "laplace", "logistic", "uniform"]
"""Distribution of z; each is unimodal, symmetric around 0."""


@dataclass(frozen=True)
class SameAndCross:
    """An expectation over pairs of one prompt, and over pairs of two different ones.

    Attributes
    ----------
    same, cross : float
    same_error, cross_error : float >= 0
        Standard errors; 0 where the expectation was computed and not sampled.
    """

    same: float
    cross: float
    same_error: float = 0.0
    cross_error: float = 0.0


@dataclass(frozen=True)
class TheoryCheck:
    """A statement of the theory, computed twice.

    Attributes
    ----------
    closed_form : SameAndCross
        By formula, or by quadrature where there is none.
    monte_carlo : SameAndCross
        By sampling, with standard errors.
    """

    closed_form: SameAndCross
    monte_carlo: SameAndCross

    @property
    def holds(self) -> bool:
        """Whether the expectation is at least as large across prompts."""
        # Equal prompts have equal expectations, up to rounding.
        return self.closed_form.cross >= self.closed_form.same - 1e-12


def proposition_15(
    means: ArrayLike,
    stds: ArrayLike,
    *,
    n_draws: int = 100_000,
    random_state: RandomState = None,
) -> TheoryCheck:
    r"""Compare expected :math:`|\Delta|` within and across prompts.

    Parameters
    ----------
    means, stds : array-like of shape (n_prompts,)
        Mean and standard deviation (> 0) of the gold of each prompt's responses, which
        are Gaussian; prompts are equally likely.
    n_draws : int >= 2, default=100_000
        For the Monte-Carlo figures.
    random_state : int, Generator, RandomState or None, default=None

    Returns
    -------
    TheoryCheck
        In units of gold.

    Notes
    -----
    Within x, :math:`E|\Delta| = 2 \sigma_x / \sqrt\pi`. Across x and x',
    :math:`\Delta \sim N(m, s^2)` with :math:`m = \mu_x - \mu_{x'}` and
    :math:`s^2 = \sigma_x^2 + \sigma_{x'}^2`, so that
    :math:`E|\Delta| = s \sqrt{2/\pi}\, e^{-m^2/2s^2} + m\,(1 - 2 \Phi(-m/s))`,
    averaged over all pairs of different prompts.

    Examples
    --------
    >>> check = proposition_15([0.0, 2.0], [1.0, 1.0], random_state=0)
    >>> round(check.closed_form.same, 4), round(check.closed_form.cross, 4)
    (1.1284, 2.1005)
    >>> check.holds
    True
    """
    mean, std = _check_prompts(means, stds)

    def folded_normal(m: FloatArray, s: FloatArray) -> FloatArray:
        z = m / s
        bulk = s * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)
        mean_abs: FloatArray = bulk + m * (1 - 2 * ndtr(-z))
        return mean_abs

    return TheoryCheck(
        _expectations(mean, std, folded_normal),
        sample_contrast(mean, std, np.abs, n_draws=n_draws, random_state=random_state),
    )


def theorem_16(
    means: ArrayLike,
    stds: ArrayLike,
    annotator: Annotator,
    *,
    n_draws: int = 100_000,
    random_state: RandomState = None,
) -> TheoryCheck:
    r"""Compare expected annotation quality :math:`\xi(|\Delta|)` likewise.

    Parameters
    ----------
    means, stds : array-like of shape (n_prompts,)
        Mean and standard deviation (> 0) of the *scaled* gold of each prompt's
        responses, which are Gaussian; prompts are equally likely.
    annotator : Annotator
        Its :math:`\xi(\delta)` is P(first preferred) at :math:`\Delta = \delta \ge 0`.
        The theorem asks that it be increasing and concave.
    n_draws : int >= 2, default=100_000
        For the Monte-Carlo figures.
    random_state : int, Generator, RandomState or None, default=None

    Returns
    -------
    TheoryCheck
        Expected P(correct), in [1/2, 1].

    Notes
    -----
    For a Thurstone annotator, with :math:`c = \sigma \sqrt 2` and m, s as in
    `proposition_15`, :math:`E\,\xi = 1 - 2\,T(m / \sqrt{s^2 + c^2},\; c / s)`, T being
    Owen's function: a label is wrong where :math:`\Delta` and :math:`\Delta` plus the
    annotator's noise differ in sign. For others, Gauss-Legendre quadrature with 256
    nodes.

    Examples
    --------
    >>> annotator = ThurstoneAnnotator(sigma=1.0)
    >>> check = theorem_16([0.0, 2.0], [1.0, 1.0], annotator, random_state=0)
    >>> round(check.closed_form.same, 4), round(check.closed_form.cross, 4)
    (0.75, 0.8665)
    """
    mean, std = _check_prompts(means, stds)

    def quality(delta: FloatArray) -> FloatArray:
        return annotator.probabilities(np.abs(delta))

    if isinstance(annotator, ThurstoneAnnotator):
        noise = annotator.sigma * np.sqrt(2)

        def expected(m: FloatArray, s: FloatArray) -> FloatArray:
            right: FloatArray = 1 - 2 * owens_t(m / np.hypot(s, noise), noise / s)
            return right
    else:

        def expected(m: FloatArray, s: FloatArray) -> FloatArray:
            return _quadrature(quality, np.abs(m), s)

    return TheoryCheck(
        _expectations(mean, std, expected),
        sample_contrast(mean, std, quality, n_draws=n_draws, random_state=random_state),
    )


def sample_contrast(
    means: ArrayLike,
    stds: ArrayLike,
    value: Callable[[FloatArray], FloatArray],
    *,
    family: Family = "gaussian",
    n_draws: int = 100_000,
    random_state: RandomState = None,
) -> SameAndCross:
    r"""Estimate :math:`E\,f(\Delta)` within and across prompts by Monte Carlo.

    Parameters
    ----------
    means, stds : array-like of shape (n_prompts,)
        Location and scale (> 0) of the gold of each prompt's responses.
    value : callable
        f, taking and returning an array of shape (n_draws,).
    family : {"gaussian", "laplace", "logistic", "uniform"}, default="gaussian"
        Distribution of :math:`z = (r - \mu_x) / \sigma_x`, of unit variance.
    n_draws : int >= 2, default=100_000
    random_state : int, Generator, RandomState or None, default=None

    Returns
    -------
    SameAndCross
        With standard errors.

    Examples
    --------
    >>> found = sample_contrast(
    ...     [0.0, 3.0], [1.0, 1.0], np.abs, family="laplace", random_state=0
    ... )
    >>> found.same < found.cross
    True
    """
    mean, std = _check_prompts(means, stds)
    n_draws = check_count(n_draws, "n_draws", low=2)
    rng = check_random_state(random_state)
    one = rng.integers(len(mean), size=n_draws)
    other = (one + rng.integers(1, len(mean), size=n_draws)) % len(mean)

    def gold(prompt: IntArray) -> FloatArray:
        return mean[prompt] + std[prompt] * _standardised(family, n_draws, rng)

    same = value(gold(one) - gold(one))
    cross = value(gold(one) - gold(other))
    root = np.sqrt(n_draws)
    return SameAndCross(
        float(same.mean()),
        float(cross.mean()),
        float(same.std(ddof=1) / root),
        float(cross.std(ddof=1) / root),
    )


def _standardised(family: str, n: int, rng: np.random.Generator) -> FloatArray:
    """Draw z with mean 0 and variance 1."""
    if family == "gaussian":
        return rng.standard_normal(n)
    if family == "laplace":
        return rng.laplace(scale=np.sqrt(0.5), size=n)
    if family == "logistic":
        return rng.logistic(scale=np.sqrt(3) / np.pi, size=n)
    if family == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), size=n)
    raise invalid_input(
        "family 'gaussian', 'laplace', 'logistic' or 'uniform'",
        repr(family)[:60],
        "choose one of these unimodal, symmetric families",
    )


def _expectations(
    mean: FloatArray,
    std: FloatArray,
    expected: Callable[[FloatArray, FloatArray], FloatArray],
) -> SameAndCross:
    """Average an expectation over prompts, and over ordered pairs of different ones."""
    same = expected(np.zeros(len(mean)), std * np.sqrt(2))
    cross = 0.0
    for x in range(len(mean)):
        others = np.arange(len(mean)) != x
        s = np.hypot(std[x], std[others])
        cross += float(expected(mean[x] - mean[others], s).mean())
    return SameAndCross(float(same.mean()), cross / len(mean))


def _quadrature(
    value: Callable[[FloatArray], FloatArray], m: FloatArray, s: FloatArray
) -> FloatArray:
    """Integrate value(|delta|) over delta of N(m, s^2), m >= 0, pair by pair."""
    nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
    low = np.maximum(m - _REACH * s, 0.0)
    half = (m + _REACH * s - low) / 2
    at = (low + half)[:, None] + half[:, None] * nodes
    density = np.exp(-(((at - m[:, None]) / s[:, None]) ** 2) / 2)
    density += np.exp(-(((at + m[:, None]) / s[:, None]) ** 2) / 2)
    mass = density * weights
    average: FloatArray = (mass * value(at)).sum(axis=1) / mass.sum(axis=1)
    return average


def _check_prompts(means: ArrayLike, stds: ArrayLike) -> tuple[FloatArray, FloatArray]:
    mean, std = np.asarray(means, dtype=float), np.asarray(stds, dtype=float)
    right = mean.ndim == 1 and mean.shape == std.shape and len(mean) > 1
    if not right or not (np.isfinite(mean) & np.isfinite(std) & (std > 0)).all():
        raise invalid_input(
            "means and stds > 0, finite, of shape (n_prompts,) for two prompts or more",
            f"shapes {mean.shape} and {std.shape}",
            "pass one mean and one standard deviation per prompt",
        )
    return mean, std


_N_NODES = 256
_REACH = 9.0
