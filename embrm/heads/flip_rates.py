r"""Flip rates of annotators, estimated from wins that a linear head did not see.

A win labelled by annotator a turns out as it did with probability

.. math:: P = e_a + (1 - 2 e_a)\, F(s u)

where u is by how much the winner leads, by a head that was not fitted to this pair, and
F the link [1]_. (Margins are demands on a head, and no part of how labels come about.)
The scale s, common to all, is unknown: a penalised head states leads too small. The
rates have a prior, Beta on :math:`2 e_a` with unknown mean and strength, so that who
labelled little is taken to be like the others. What is reported are posterior means
over rates, scale, mean and strength, by summing over grids.

Leads of pairs that were fitted to are of no use: the head has gone some way towards
their labels, wrong ones included, and takes next to none for flipped where vectors
have many dimensions. `benchmarks/annotators.py` says what the rates are worth.

References
----------
.. [1] Chen, Bennett, Collins-Thompson, Horvitz (2013). Pairwise ranking aggregation
   in a crowdsourced setting. WSDM. With one rate for each annotator, as here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embrm._typing import FloatArray, IntArray

HIGHEST_RATE = 0.49
"""Above one half a flipped label is the truer one."""

_RATES = np.linspace(0.0, HIGHEST_RATE, 25)
_SIZES = np.geomspace(0.05, 30.0, 33)
"""Root mean square of the true leads, in nats."""

_PRIOR_MEANS = np.linspace(0.05, 0.95, 10)
_PRIOR_STRENGTHS = np.array([2.0, 5.0, 15.0, 50.0, 150.0])

_LIKELY = 1.92
"""Half the 95% point of chi square with one degree of freedom, in nats."""


@dataclass(frozen=True, eq=False)
class AnnotatedLeads:
    """Wins, by how much a head that did not see them has them lead, and who said so.

    Attributes
    ----------
    lead, weight : ndarray of shape (n_wins,)
        Leads in any unit.
    annotator : ndarray of int of shape (n_wins,)
    probability : callable
        The link F, of leads in nats.
    """

    lead: FloatArray
    weight: FloatArray
    annotator: IntArray
    probability: Callable[[FloatArray], FloatArray]

    @cached_property
    def log_likelihoods(self) -> FloatArray:
        """Of each annotator's wins, (n_scales, n_annotators, n_rates)."""
        size = np.sqrt(np.average(self.lead**2, weights=self.weight)) or 1.0
        return np.stack([self._log_likelihood(s) for s in _SIZES / size])

    def _log_likelihood(self, scale: float) -> FloatArray:
        right = self.probability(scale * self.lead)
        found = np.empty((int(self.annotator.max()) + 1, len(_RATES)))
        for k, rate in enumerate(_RATES):
            log = np.log(np.maximum(rate + (1 - 2 * rate) * right, 1e-300))
            found[:, k] = np.bincount(self.annotator, self.weight * log, len(found))
        return found


def estimate_flip_rates(wins: AnnotatedLeads) -> FloatArray:
    """Compute posterior means of the flip rates of annotators.

    Parameters
    ----------
    wins : AnnotatedLeads
        Of pairs that the head which made the leads was not fitted to.

    Returns
    -------
    ndarray of shape (n_annotators,), in [0, 0.49]

    Examples
    --------
    >>> from scipy.special import expit
    >>> rng = np.random.default_rng(0)
    >>> lead, who = 4 * rng.normal(size=5000), rng.integers(2, size=5000)
    >>> right = np.where(rng.random(5000) < expit(lead), 1, -1)
    >>> said = np.where(rng.random(5000) < np.array([0.05, 0.3])[who], -right, right)
    >>> wins = AnnotatedLeads(said * lead, np.ones(5000), who, expit)
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


def likely_rates(wins: AnnotatedLeads) -> tuple[float, float]:
    """Tell between which rates a rate common to all may lie, by likelihood.

    Parameters
    ----------
    wins : AnnotatedLeads

    Returns
    -------
    low, high : float
        At the scale that suits each rate best: a 95% interval, up to the grid.
    """
    profile = wins.log_likelihoods.sum(axis=1).max(axis=0)
    likely = _RATES[profile > profile.max() - _LIKELY]
    return float(likely.min()), float(likely.max())


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
