r"""Likelihoods of one game with and without a parameter for ties.

Each model gives, for delta = s(first) - s(second) in nats and its tie parameter t, the
loss -log P(outcome) of each game and its first and second derivatives; the loss is
jointly convex in delta and t. Parameters are published as in the literature.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, logsumexp, softmax

from embrm._typing import FloatArray


@dataclass(frozen=True, eq=False)
class GameLoss:
    """Loss of each game and its derivatives, arrays of shape (n_games,).

    Attributes
    ----------
    value : ndarray
    by_delta, by_tie : ndarray
        First derivatives.
    delta_delta, delta_tie, tie_tie : ndarray
        Second derivatives.
    """

    value: FloatArray
    by_delta: FloatArray
    by_tie: FloatArray
    delta_delta: FloatArray
    delta_tie: FloatArray
    tie_tie: FloatArray


class TieModel(Protocol):
    """A likelihood of wins, losses and ties."""

    has_parameter: bool
    """Whether t is estimated."""

    without_ties: float
    """The published parameter under which there are no ties."""

    def start(self, share: float) -> float:
        """Compute the t under which equals tie in this share of games, in (0, 1)."""

    def is_valid(self, t: float) -> bool:
        """Whether t lies in the domain of the loss."""

    def loss(self, delta: FloatArray, t: float, y: FloatArray) -> GameLoss:
        """Compute the loss of games with outcome y."""

    def probabilities(self, delta: FloatArray, parameter: float) -> FloatArray:
        """Compute P of second, tie, first, shape (n_games, 3), from `public(t)`."""

    def public(self, t: float) -> float:
        """Return the parameter as it is written in the literature."""


class HalfWins:
    """Bradley-Terry; a tie is half a win and half a loss, and y may be soft."""

    has_parameter = False
    without_ties = np.nan

    def start(self, share: float) -> float:  # noqa: ARG002
        """Return 0: there is no parameter."""
        return 0.0

    def is_valid(self, t: float) -> bool:
        """Take only 0."""
        return t == 0.0

    def loss(self, delta: FloatArray, t: float, y: FloatArray) -> GameLoss:  # noqa: ARG002
        """Compute softplus(delta) - y delta."""
        win, none = expit(delta), np.zeros_like(delta)
        value = np.logaddexp(0.0, delta) - y * delta
        return GameLoss(value, win - y, none, win * expit(-delta), none, none)

    def probabilities(
        self,
        delta: FloatArray,
        parameter: float,  # noqa: ARG002
    ) -> FloatArray:
        """Give ties no probability."""
        return np.column_stack([expit(-delta), np.zeros_like(delta), expit(delta)])

    def public(self, t: float) -> float:  # noqa: ARG002
        """Return NaN: there is no parameter."""
        return np.nan


class RaoKupper:
    r"""P(first) = sigma(delta - t), P(second) = sigma(-delta - t), t > 0 in nats.

    The tie has what is left, :math:`(e^{2t} - 1) P(\text{first}) P(\text{second})`.

    References
    ----------
    .. [1] Rao, Kupper (1967). Ties in paired-comparison experiments: a generalization
       of the Bradley-Terry model. Journal of the American Statistical Association 62.
    """

    has_parameter = True
    without_ties = 1.0

    def start(self, share: float) -> float:
        """Solve tanh(t / 2) = share."""
        return float(2.0 * np.arctanh(share))

    def is_valid(self, t: float) -> bool:
        """Take t > 0."""
        return t > 0.0

    def loss(self, delta: FloatArray, t: float, y: FloatArray) -> GameLoss:
        """Compute -log P; y is 0, 0.5 or 1."""
        # A tie has the factors of a win and of a loss.
        win, lose, tie = (1.0 * is_so for is_so in (y >= 0.5, y <= 0.5, y == 0.5))
        above, below = delta - t, -delta - t
        not_win, not_lose = win * expit(-above), lose * expit(-below)
        of_win, of_lose = not_win * expit(above), not_lose * expit(below)
        value = win * np.logaddexp(0.0, -above) + lose * np.logaddexp(0.0, -below)
        # log(e^2t - 1), without overflow.
        log_factor = 2.0 * t + np.log(-np.expm1(-2.0 * t))
        rest = -np.expm1(-2.0 * t)
        return GameLoss(
            value - tie * log_factor,
            not_lose - not_win,
            not_lose + not_win - tie * (2.0 / rest),
            of_win + of_lose,
            of_lose - of_win,
            of_win + of_lose + tie * (4.0 * np.exp(-2.0 * t) / rest**2),
        )

    def probabilities(self, delta: FloatArray, parameter: float) -> FloatArray:
        """Compute P of second, tie, first."""
        threshold, factor = np.log(parameter), parameter**2 - 1.0
        first, second = expit(delta - threshold), expit(-delta - threshold)
        return np.column_stack([second, factor * first * second, first])

    def public(self, t: float) -> float:
        """Return theta = e^t >= 1; 1 has no ties."""
        return float(np.exp(t))


class Davidson:
    r"""P(first) : P(tie) : P(second) as e^(delta/2) : nu : e^(-delta/2), t = log nu.

    References
    ----------
    .. [1] Davidson (1970). On extending the Bradley-Terry model to accommodate ties in
       paired comparison experiments. Journal of the American Statistical Association
       65.
    """

    has_parameter = True
    without_ties = 0.0

    def start(self, share: float) -> float:
        """Solve nu / (2 + nu) = share."""
        return float(np.log(2.0 * share / (1.0 - share)))

    def is_valid(self, t: float) -> bool:
        """Take every number."""
        return bool(np.isfinite(t))

    def loss(self, delta: FloatArray, t: float, y: FloatArray) -> GameLoss:
        """Compute -log P; y is 0, 0.5 or 1."""
        logits = self._logits(delta, t)
        second, tied, first = softmax(logits, axis=1).T
        mean, tie = (first - second) / 2.0, 1.0 * (y == 0.5)
        return GameLoss(
            logsumexp(logits, axis=1) - (y - 0.5) * delta - tie * t,
            mean - (y - 0.5),
            tied - tie,
            (first + second) / 4.0 - mean**2,
            -mean * tied,
            tied * (1.0 - tied),
        )

    def probabilities(self, delta: FloatArray, parameter: float) -> FloatArray:
        """Compute P of second, tie, first."""
        loser = np.exp(-np.abs(delta))
        tied = parameter * np.sqrt(loser)
        total = 1.0 + loser + tied
        first, second = np.where(delta > 0, 1.0, loser), np.where(delta > 0, loser, 1.0)
        return np.column_stack([second, tied, first]) / total[:, None]

    def public(self, t: float) -> float:
        """Return nu >= 0; 0 has no ties."""
        return float(np.exp(t))

    def _logits(self, delta: FloatArray, t: float) -> FloatArray:
        return np.column_stack([-delta / 2, np.full_like(delta, t), delta / 2])


TIE_MODELS: dict[str, TieModel] = {
    "half": HalfWins(),
    "rao-kupper": RaoKupper(),
    "davidson": Davidson(),
}
