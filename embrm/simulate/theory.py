r"""Why cross-prompt pairs are easier to annotate, and what a learned order is worth.

Propositions 14 and 15 and Theorem 16 of "Rethinking Bradley-Terry Models in
Preference-Based Reward Modeling" (arXiv:2411.04991).

The paper draws the gold of a response to prompt x from a location-scale family,
:math:`r = \mu_x + \sigma_x z`: pairs within a prompt have smaller expected
:math:`|\Delta|` than pairs across prompts (Proposition 15, Gaussian z), and smaller
expected annotation quality :math:`\xi(|\Delta|)` (Theorem 16, z unimodal and symmetric,
:math:`\xi` increasing and concave). More is true than that:

- Proposition 15 holds for any laws of gold that have means, a different one for each
  prompt: :math:`2 E|X - Y| - E|X - X'| - E|Y - Y'|` is their energy distance, which is
  never negative [1]_. Neither unimodality nor symmetry is needed.
- Theorem 16 holds for the same laws wherever :math:`\xi` is concave on :math:`[0,
  \infty)` and does not fall: then :math:`\xi(|x - y|)` is of negative type, and the
  same inequality holds for it [2]_.
- A :math:`\xi` that is not concave breaks it, also for Gaussian gold: with prompts of
  mean 0 and standard deviations 0.01 and 0.5, and an annotator who is right beyond
  a distance of one and guesses below, pairs within prompts are labelled better (0.539
  against 0.523).

Both are computed here in closed form or by quadrature with a bound on its error (for
Gaussian z), and by Monte Carlo (for any law).

References
----------
.. [1] Szekely, Rizzo (2013). Energy statistics: a class of statistics based on
   distances. Journal of Statistical Planning and Inference 143.
.. [2] Lyons (2013). Distance covariance in metric spaces. Annals of Probability 41.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, owens_t

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_random_state
from embrm.exceptions import invalid_input
from embrm.simulate.annotation import Annotator
from embrm.simulate.annotators import ThurstoneAnnotator

Family: TypeAlias = Literal["gaussian", "laplace", "logistic", "uniform"]
"""Distribution of z; each is unimodal, symmetric around 0."""

Sampler: TypeAlias = Callable[[np.random.Generator, int], FloatArray]
"""Draws so many independent z, of any law."""


@dataclass(frozen=True)
class SameAndCross:
    """An expectation over pairs of one prompt, and over pairs of two different ones.

    Attributes
    ----------
    same, cross : float
    same_error, cross_error : float >= 0
        Standard errors where the expectation was sampled, a bound on the error where it
        is a quadrature, 0 where it is a formula.
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
        """Whether the expectation is at least as large across prompts, up to errors."""
        found = self.closed_form
        # Equal prompts have equal expectations, up to rounding.
        doubt = found.same_error + found.cross_error + 1e-12
        return found.cross >= found.same - doubt


@dataclass(frozen=True)
class OrderBound:
    """How often, at least, a learned order is the true one.

    Attributes
    ----------
    paper : float in [0, 1]
        Proposition 14's bound at its best epsilon; 0 where it says nothing.
    direct : float in [0, 1]
        The bound that follows from what a wrong order costs.
    """

    paper: float
    direct: float


def proposition_14(agreement: float, quality: ArrayLike) -> OrderBound:
    r"""Bound how often a learned order is the true one, by its agreement with labels.

    Parameters
    ----------
    agreement : float in [0, 1]
        Share of held-out annotations that the learned order agrees with.
    quality : array-like of shape (n_pairs,), in [1/2, 1]
        :math:`\xi`, the probability that an annotation is right, of each pair, or of a
        sample of pairs of the same kind.

    Returns
    -------
    OrderBound

    Notes
    -----
    The paper: if the disagreement is at most :math:`\delta \epsilon` with
    :math:`\epsilon < 3/20`, and :math:`\xi \ge \epsilon + \sqrt{\epsilon^2 + 1 -
    3 \epsilon}` but for a share :math:`\kappa` of pairs, then the order is right for
    :math:`1 - 4 \epsilon - \kappa - \delta` of them at least. That asks for annotations
    which are hardly ever wrong.

    Directly: an order that is wrong about a pair disagrees with its annotation with
    probability :math:`\xi` in place of :math:`1 - \xi`. With w = 1 where it is wrong,

    .. math:: P(\text{disagree}) - E[1 - \xi] = E[w\,(2 \xi - 1)]
              \ge (2 \xi_0 - 1)\,\bigl(E[w] - P(\xi < \xi_0)\bigr)

    for every :math:`\xi_0 > 1/2`, whatever share of annotations is wrong. Both are
    about expectations: of a finite sample, take the lower end of an interval of
    agreement.

    Examples
    --------
    >>> bound = proposition_14(0.78, np.full(1000, 0.8))
    >>> bound.paper, round(bound.direct, 3)
    (0.0, 0.967)
    """
    xi = np.sort(np.asarray(quality, dtype=np.float64).ravel())
    if not (0 <= agreement <= 1 and len(xi) and xi[0] >= 0.5 and xi[-1] <= 1):
        raise invalid_input(
            "agreement in [0, 1], and quality of one pair or more in [1/2, 1]",
            f"agreement {agreement:g}, {len(xi)} values of quality",
            "pass annotator.probabilities of |delta| as quality",
        )
    disagreement = 1.0 - float(agreement)
    epsilon = np.linspace(1e-4, 0.15, 1500)
    needed = epsilon + np.sqrt(epsilon**2 + 1 - 3 * epsilon)
    kappa = np.searchsorted(xi, needed) / len(xi)
    paper = 1 - 4 * epsilon - kappa - disagreement / epsilon
    excess = max(disagreement - float(np.mean(1 - xi)), 0.0)
    # Nearer to 1/2 the quotient below is of rounding errors; without these pairs the
    # bound is lower, and one still.
    usable = 2 * xi - 1 > 1e-6
    below = np.searchsorted(xi, xi[usable]) / len(xi)
    direct = 1 - below - excess / (2 * xi[usable] - 1)
    return OrderBound(
        float(np.clip(paper.max(), 0.0, 1.0)),
        float(np.clip(direct.max(initial=0.0), 0.0, 1.0)),
    )


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

    def folded_normal(m: FloatArray, s: FloatArray) -> _Bounded:
        z = m / s
        bulk = s * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)
        mean_abs: FloatArray = bulk + m * (1 - 2 * ndtr(-z))
        return mean_abs, np.zeros_like(mean_abs)

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
    nodes. Since :math:`\xi` increases, its values at the ends of 1,024 cells of equal
    probability bound it within: their sums bound the error, which `closed_form` holds.

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

        def expected(m: FloatArray, s: FloatArray) -> _Bounded:
            right: FloatArray = 1 - 2 * owens_t(m / np.hypot(s, noise), noise / s)
            return right, np.zeros_like(right)
    else:

        def expected(m: FloatArray, s: FloatArray) -> _Bounded:
            return _quadrature(quality, m, s)

    return TheoryCheck(
        _expectations(mean, std, expected),
        sample_contrast(mean, std, quality, n_draws=n_draws, random_state=random_state),
    )


def sample_contrast(
    means: ArrayLike,
    stds: ArrayLike,
    value: Callable[[FloatArray], FloatArray],
    *,
    family: Family | Sampler = "gaussian",
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
    family : str or callable, default="gaussian"
        Distribution of :math:`z = (r - \mu_x) / \sigma_x`: "gaussian", "laplace",
        "logistic" or "uniform", of unit variance; or a function of a
        `numpy.random.Generator` and a number that draws so many z, of any law.
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


def _standardised(
    family: Family | Sampler, n: int, rng: np.random.Generator
) -> FloatArray:
    """Draw z, with mean 0 and variance 1 where the family is known by name."""
    if callable(family):
        drawn = np.asarray(family(rng, n), dtype=np.float64)
        if drawn.shape != (n,) or not np.isfinite(drawn).all():
            raise invalid_input(
                f"a sampler that draws {n} finite numbers",
                f"shape {drawn.shape}",
                "return an array of shape (n,) from family(rng, n)",
            )
        return drawn
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
        "choose one of these, or pass a function of a generator and a number",
    )


_Bounded: TypeAlias = tuple[FloatArray, FloatArray]
"""Expectations, and a bound on the error of each."""


def _expectations(
    mean: FloatArray,
    std: FloatArray,
    expected: Callable[[FloatArray, FloatArray], _Bounded],
) -> SameAndCross:
    """Average an expectation over prompts, and over ordered pairs of different ones."""
    same, same_error = expected(np.zeros(len(mean)), std * np.sqrt(2))
    cross = cross_error = 0.0
    for x in range(len(mean)):
        others = np.arange(len(mean)) != x
        s = np.hypot(std[x], std[others])
        found, error = expected(mean[x] - mean[others], s)
        cross += float(found.mean()) / len(mean)
        cross_error += float(error.mean()) / len(mean)
    return SameAndCross(
        float(same.mean()), cross, float(same_error.mean()), cross_error
    )


def _quadrature(
    value: Callable[[FloatArray], FloatArray], m: FloatArray, s: FloatArray
) -> _Bounded:
    """Integrate an increasing value(|delta|) over delta of N(m, s^2), pair by pair.

    Gauss and Legendre's rule is exact to rounding where the value is smooth. Cells of
    equal probability bound it where it is not: within one, the value lies between those
    at its ends, or that at zero where it is inside.
    """
    at = m[:, None] + s[:, None] * _QUANTILES
    found = value(np.abs(at).ravel()).reshape(at.shape)
    first, last = found[:, :-1], found[:, 1:]
    inside = (at[:, :-1] < 0) & (at[:, 1:] > 0)
    at_zero = value(np.zeros(1))[0]
    low = np.where(inside, at_zero, np.minimum(first, last)).mean(axis=1)
    high = np.maximum(first, last).mean(axis=1)
    average = np.clip(_gauss_legendre(value, np.abs(m), s), low, high)
    return average, np.maximum(high - average, average - low)


def _gauss_legendre(
    value: Callable[[FloatArray], FloatArray], m: FloatArray, s: FloatArray
) -> FloatArray:
    """Integrate value(|delta|) over delta of N(m, s^2), m >= 0, with 256 nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
    low = np.maximum(m - _REACH * s, 0.0)
    half = (m + _REACH * s - low) / 2
    at = (low + half)[:, None] + half[:, None] * nodes
    density = np.exp(-(((at - m[:, None]) / s[:, None]) ** 2) / 2)
    density += np.exp(-(((at + m[:, None]) / s[:, None]) ** 2) / 2)
    mass = density * weights
    return np.asarray((mass * value(at)).sum(axis=1) / mass.sum(axis=1))


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


_N_NODES, _N_CELLS = 256, 1024
_REACH = 9.0
_QUANTILES = np.clip(ndtri(np.linspace(0, 1, _N_CELLS + 1)), -_REACH, _REACH)
"""Ends of cells of equal probability under a standard Gaussian."""
