r"""Label noise: flip rates of annotators, given or estimated.

A win labelled by annotator a has probability

.. math:: P = e_a + (1 - 2 e_a)\, F(s u)

where u is the reward difference of winner and loser, by a head that was not fitted to
this pair, and F the link [1]_. (Margins are constraints on a head, not part of the
label model.) The common scale s is unknown: a penalised head shrinks differences. The
rates have a hierarchical prior, Beta on :math:`2 e_a` with unknown mean and strength,
which shrinks annotators with few labels towards the others. Reported are posterior
means over rates, scale, mean and strength, by summing over grids.

Differences of training pairs are of no use: in high dimension the head fits their
labels, flipped ones included, and finds almost none flipped.
`benchmarks/annotators.py` measures the accuracy of the rates.

References
----------
.. [1] Chen, Bennett, Collins-Thompson, Horvitz (2013). Pairwise ranking aggregation
   in a crowdsourced setting. WSDM. With one rate for each annotator, as here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, ndtr

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import Constraint, Real
from embrm.exceptions import warn
from embrm.heads.comparisons import Comparisons
from embrm.heads.state import StoredArray, StoredValue

HIGHEST_RATE = 0.49
"""Above one half the flipped label would be the more likely one."""

_RATES = np.linspace(0.0, HIGHEST_RATE, 25)
_SIZES = np.geomspace(0.05, 30.0, 33)
"""Root mean square of the true logits, in nats."""

_PRIOR_MEANS = np.linspace(0.05, 0.95, 10)
_PRIOR_STRENGTHS = np.array([2.0, 5.0, 15.0, 50.0, 150.0])

_LIKELY = 1.92
"""Half the 95% point of chi square with one degree of freedom, in nats."""

_N_FOLDS = 5
_N_ROUNDS = 2
"""The second uses logits of heads fitted with the rates of the first."""

_TOLERANCE = 1e-4
"""Of heads that are only used to estimate flip rates."""

_TOO_WIDE = 0.3

NOISE: Sequence[Constraint] = (Real(0, 0.5), "estimate", None)
"""What the parameter `noise` of a head may be."""

STORED_NOISE = (
    # Heads stored before they modelled label noise had none.
    StoredValue("flip_rate_", float, default=lambda _: 0.0),
    StoredArray("flip_rates_", "known", default=lambda _: np.empty(0)),
    StoredValue("annotators_", list, default=lambda _: np.empty(0), decode=np.array),
)
"""How heads store their label noise."""


@dataclass(frozen=True, eq=False)
class LabelNoise:
    r"""Labels with :math:`P = e + (1 - 2e) F(\delta)`, e the rate of flips.

    Attributes
    ----------
    comparisons : Comparisons
        With the flip rate of each win.
    flip_rate : float
        Given or estimated; the mean over wins where annotators differ.
    flip_rates : ndarray of shape (n_annotators,)
        The rate of each annotator; NaN if none of their pairs counted. Empty where
        annotators are unknown.
    """

    comparisons: Comparisons
    flip_rate: float
    flip_rates: FloatArray

    @property
    def annotators(self) -> AnyArray:
        """Numbers of the annotators."""
        return np.arange(len(self.flip_rates))


def model_label_noise(
    comparisons: Comparisons, noise: float | str | None, make_linear: Callable[[], Any]
) -> LabelNoise:
    """Set the flip rate of every win.

    Parameters
    ----------
    comparisons : Comparisons
    noise : float in [0, 0.5), "estimate" or None
        The rate, one for all; or to be estimated, one for each annotator that the
        comparisons know; or None for the rates that they know.
    make_linear : callable
        Makes the unfitted `LinearBradleyTerry` by which rates are estimated.

    Returns
    -------
    LabelNoise
    """
    rates: FloatArray = np.empty(0)
    if isinstance(noise, str):
        comparisons, rates = _estimate(comparisons, make_linear())
    elif noise is not None:
        comparisons = with_flip_rates(comparisons, noise)
    rate, mean = comparisons.flip_rate, 0.0
    if rate is not None:
        mean = float(np.average(rate, weights=comparisons.weight))
    return LabelNoise(comparisons, mean, rates)


def with_flip_rates(
    comparisons: Comparisons,
    rate: float,
    names: AnyArray | None = None,
    known: Mapping[Any, float] | None = None,
) -> Comparisons:
    """Set the flip rates of all wins.

    Parameters
    ----------
    comparisons : Comparisons
    rate : float in [0, 0.5)
        Of wins whose annotator is unknown or has no rate.
    names : ndarray of shape (n_annotators,), optional
        Of the annotators that the comparisons number.
    known : mapping of name to float, optional
        The rate of an annotator; NaN is none.
    """
    if names is None or comparisons.annotator is None:
        same = np.full(len(comparisons), float(rate)) if rate > 0 else None
        return replace(comparisons, flip_rate=same)
    rates = np.array([(known or {}).get(name, np.nan) for name in names.tolist()])
    rates[np.isnan(rates)] = rate
    return replace(comparisons, flip_rate=rates[comparisons.annotator])


@dataclass(frozen=True, eq=False)
class AnnotatedLogits:
    """Wins, their logits by a head that was not fitted to them, and their annotators.

    Attributes
    ----------
    logit, weight : ndarray of shape (n_wins,)
        Logits in any unit.
    annotator : ndarray of int of shape (n_wins,)
    probability : callable
        The link F, of logits in nats.
    """

    logit: FloatArray
    weight: FloatArray
    annotator: IntArray
    probability: Callable[[FloatArray], FloatArray]

    @cached_property
    def log_likelihoods(self) -> FloatArray:
        """Of each annotator's wins, (n_scales, n_annotators, n_rates)."""
        size = np.sqrt(np.average(self.logit**2, weights=self.weight)) or 1.0
        return np.stack([self._log_likelihood(s) for s in _SIZES / size])

    def _log_likelihood(self, scale: float) -> FloatArray:
        right = self.probability(scale * self.logit)
        found = np.empty((int(self.annotator.max()) + 1, len(_RATES)))
        for k, rate in enumerate(_RATES):
            log = np.log(np.maximum(rate + (1 - 2 * rate) * right, 1e-300))
            found[:, k] = np.bincount(self.annotator, self.weight * log, len(found))
        return found


def estimate_flip_rates(wins: AnnotatedLogits) -> FloatArray:
    """Compute posterior means of the flip rates of annotators.

    Parameters
    ----------
    wins : AnnotatedLogits
        With logits of a head that was not fitted to these pairs.

    Returns
    -------
    ndarray of shape (n_annotators,), in [0, 0.49]

    Examples
    --------
    >>> from scipy.special import expit
    >>> rng = np.random.default_rng(0)
    >>> logit, who = 4 * rng.normal(size=5000), rng.integers(2, size=5000)
    >>> right = np.where(rng.random(5000) < expit(logit), 1, -1)
    >>> said = np.where(rng.random(5000) < np.array([0.05, 0.3])[who], -right, right)
    >>> wins = AnnotatedLogits(said * logit, np.ones(5000), who, expit)
    >>> estimate_flip_rates(wins).round(1)
    array([0. , 0.3])
    """
    priors = _priors()
    by_scale = wins.log_likelihoods
    evidence = np.array([_log_evidence(log, priors) for log in by_scale])
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    parts = zip(by_scale, share, strict=True)
    rates = sum(_posterior_means(log, priors) @ weight for log, weight in parts)
    return np.asarray(np.minimum(rates, HIGHEST_RATE))


def likely_rates(wins: AnnotatedLogits) -> tuple[float, float]:
    """Compute a likelihood interval of a common flip rate.

    Parameters
    ----------
    wins : AnnotatedLogits

    Returns
    -------
    low, high : float
        95% interval, with the scale profiled out, up to the grid.
    """
    profile = wins.log_likelihoods.sum(axis=1).max(axis=0)
    likely = _RATES[profile > profile.max() - _LIKELY]
    return float(likely.min()), float(likely.max())


def _estimate(comparisons: Comparisons, linear: Any) -> tuple[Comparisons, FloatArray]:
    """Alternate between rates and logits of heads fitted with the last rates."""
    who = comparisons.annotator
    known = replace(comparisons, flip_rate=None)
    codes = np.zeros(len(comparisons), dtype=np.intp) if who is None else who
    for turn in range(_N_ROUNDS):
        wins = _held_out_logits(known, codes, linear)
        rates = estimate_flip_rates(wins)
        if who is None and turn == 0:
            _warn_if_unknown(*likely_rates(wins))
        known = replace(comparisons, flip_rate=rates[codes])
    if who is None:
        return known, np.empty(0)
    has_wins = np.bincount(who, minlength=len(rates)) > 0
    return known, np.where(has_wins, rates, np.nan)


def _held_out_logits(
    comparisons: Comparisons, annotator: IntArray, linear: Any
) -> AnnotatedLogits:
    """Score wins by heads that were fitted to other pairs."""
    logit = np.zeros(len(comparisons))
    pair = comparisons.pair_numbers()
    n_folds = min(_N_FOLDS, int(pair.max()) + 1)
    if n_folds > 1:
        fitted = linear.fit_comparisons(comparisons)
        head = fitted.with_selected_params(posterior=False, tol=_TOLERANCE)
        for fold in range(n_folds):
            held_out = pair % n_folds == fold
            head.fit_comparisons(comparisons.take(~held_out))
            wins = comparisons.take(held_out)
            ends = np.stack([wins.winner, wins.loser])
            winner, loser = head.reward_in_training(comparisons, ends)
            logit[held_out] = winner - loser
    probability = ndtr if linear.link == "probit" else expit
    return AnnotatedLogits(logit, comparisons.weight, annotator, probability)


def _warn_if_unknown(low: float, high: float) -> None:
    if high - low >= _TOO_WIDE:
        warn(
            f"the flip rate is not identified by these pairs: rates from {low:g} to "
            f"{high:g} fit about as well, with rewards of another scale; pass "
            "noise=<rate> if you know it"
        )


def _priors() -> FloatArray:
    """List priors of a rate, all as likely, (n_priors, n_rates)."""
    # The ends of the grid stand for the intervals next to them: a density may be
    # infinite there.
    twice = np.clip(2 * _RATES, 0.01, 0.99)
    mean = np.repeat(_PRIOR_MEANS, len(_PRIOR_STRENGTHS))
    strength = np.tile(_PRIOR_STRENGTHS, len(_PRIOR_MEANS))
    log = np.outer(mean * strength - 1, np.log(twice))
    log += np.outer((1 - mean) * strength - 1, np.log1p(-twice))
    density = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(density / density.sum(axis=1, keepdims=True))


def _log_evidence(log_likelihood: FloatArray, priors: FloatArray) -> FloatArray:
    """Integrate over every annotator's rate, under each prior; sum over annotators."""
    highest = log_likelihood.max(axis=1, keepdims=True)
    mean = np.exp(log_likelihood - highest) @ priors.T
    return np.asarray((np.log(mean) + highest).sum(axis=0))


def _posterior_means(log_likelihood: FloatArray, priors: FloatArray) -> FloatArray:
    """Compute the mean rate of each annotator under each prior."""
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    return np.asarray((likelihood * _RATES) @ priors.T / (likelihood @ priors.T))
