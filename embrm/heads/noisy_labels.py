"""NoisyLabelHead: base of heads that allow for labels that are flipped at times."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from scipy.special import expit, ndtr

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm.exceptions import EmbrmWarning
from embrm.heads.annotated_head import AnnotatedHead
from embrm.heads.comparisons import Comparisons
from embrm.heads.flip_rates import AnnotatedLeads, estimate_flip_rates, likely_rates
from embrm.heads.parameters import check_number_or
from embrm.heads.state import HeadState

_N_FOLDS = 5
_TURNS = 2
"""The second has leads of heads that trust annotators as the first says."""

_TOLERANCE = 1e-4
"""Of heads that only tell how much to trust labels."""

_TOO_WIDE = 0.3
_TO_THE_USER = 5


class NoisyLabelHead(AnnotatedHead):
    r"""Base of heads with :math:`P = e + (1 - 2e) F(\delta)`, e the rate of flips.

    Parameters
    ----------
    noise : float in [0, 0.5), "estimate" or None
        The rate, one for all; or to be estimated, one for each annotator that `fit`
        is told of (see `embrm.heads.flip_rates`); or what comparisons say.

    Attributes
    ----------
    flip_rate_ : float
        Flip rate, given or estimated; the mean over wins where annotators differ.
    annotators_, flip_rates_ : ndarray of shape (n_annotators,)
        The annotators, sorted, and the rate of each; NaN if none of their pairs
        counted. Empty where annotators were not told.
    """

    noise: float | Literal["estimate"] | None
    flip_rate_: float
    flip_rates_: FloatArray
    annotators_: AnyArray

    @property
    def estimates_noise(self) -> bool:
        """Whether flip rates are to be estimated."""
        return isinstance(self.noise, str)

    def _name_annotators(self, names: AnyArray) -> None:
        rates = np.full(len(names), np.nan)
        rates[: len(self.flip_rates_)] = self.flip_rates_
        self.annotators_, self.flip_rates_ = names, rates

    def _allow_for_flips(
        self, comparisons: Comparisons, linear: Callable[[], Any]
    ) -> Comparisons:
        """Say of every win how likely it is flipped, and set what says so of all.

        Parameters
        ----------
        comparisons : Comparisons
        linear : callable
            Makes the unfitted `LinearBradleyTerry` by which rates are estimated.

        Returns
        -------
        Comparisons
        """
        word = 0.0 if self.noise is None else self.noise
        noise = check_number_or(word, "noise", "estimate", 0.5)
        self.flip_rates_ = np.empty(0)
        if noise is None:
            comparisons = self._estimate_flips(comparisons, linear())
        elif self.noise is not None:
            comparisons = self._noisy(comparisons, noise)
        self.annotators_ = np.arange(len(self.flip_rates_))
        rate, weight = comparisons.flip_rate, comparisons.weight
        self.flip_rate_ = 0.0
        if rate is not None:
            self.flip_rate_ = float(np.average(rate, weights=weight))
        return comparisons

    def _estimate_flips(self, comparisons: Comparisons, linear: Any) -> Comparisons:
        """Estimate rates in turn with leads of heads that know the last ones."""
        who = comparisons.annotator
        known = replace(comparisons, flip_rate=None)
        one = np.zeros(len(comparisons), dtype=np.intp) if who is None else who
        for turn in range(_TURNS):
            wins = _unseen_leads(known, one, linear)
            rates = estimate_flip_rates(wins)
            if who is None and turn == 0:
                _warn_if_unknown(*likely_rates(wins))
            known = replace(comparisons, flip_rate=rates[one])
        if who is not None:
            has_wins = np.bincount(who, minlength=len(rates)) > 0
            self.flip_rates_ = np.where(has_wins, rates, np.nan)
        return known

    @staticmethod
    def _noisy(comparisons: Comparisons, rate: float) -> Comparisons:
        """Give all wins one rate."""
        same = np.full(len(comparisons), rate) if rate > 0 else None
        return replace(comparisons, flip_rate=same)

    def _get_flips(self) -> HeadState:
        """Return what is known of flips in storable form."""
        values = {"flip_rate": self.flip_rate_, "annotators": self.annotators_.tolist()}
        return HeadState({"flip_rates": self.flip_rates_}, values)

    def _set_flips(self, state: HeadState) -> None:
        """Restore it; heads stored before they allowed for flips had none."""
        self.flip_rate_, self.flip_rates_ = 0.0, np.empty(0)
        self.annotators_ = np.empty(0)
        if "flip_rate" in state.values:
            self.flip_rate_ = state.value("flip_rate", float)
            self.flip_rates_ = state.array("flip_rates", ndim=1)
            self.annotators_ = np.array(state.value("annotators", list))


def _unseen_leads(
    comparisons: Comparisons, annotator: IntArray, linear: Any
) -> AnnotatedLeads:
    """Score wins by heads that were fitted to other pairs."""
    lead = np.zeros(len(comparisons))
    pair = comparisons.pair_numbers()
    n_folds = min(_N_FOLDS, int(pair.max()) + 1)
    if n_folds > 1:
        fitted = linear.fit_comparisons(comparisons)
        head = fitted.as_chosen(posterior=False, tol=_TOLERANCE)
        for fold in range(n_folds):
            held_out = pair % n_folds == fold
            head.fit_comparisons(comparisons.take(~held_out))
            wins = comparisons.take(held_out)
            ends = np.stack([wins.winner, wins.loser])
            winner, loser = head.reward_in_training(comparisons, ends)
            lead[held_out] = winner - loser
    probability = ndtr if linear.link == "probit" else expit
    return AnnotatedLeads(lead, comparisons.weight, annotator, probability)


def _warn_if_unknown(low: float, high: float) -> None:
    if high - low < _TOO_WIDE:
        return
    warnings.warn(
        f"the flip rate is not identified by these pairs: rates from {low:g} to "
        f"{high:g} explain them about as well, with rewards of another scale; pass "
        "noise=<rate> if you know it",
        EmbrmWarning,
        stacklevel=_TO_THE_USER,
    )
