r"""Losses of a win: negative log likelihoods of its label, given its logit.

The logit of a win is :math:`t = r(\text{winner}) - r(\text{loser}) - m`, with m the
margin. A loss returns its value, its slope and its curvature in t; curvatures are never
negative, so that every Newton step descends. `minimise_smooth` minimises what is no
sum of these, by L-BFGS in coordinates where it is well conditioned.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_ndtr
from sklearn.exceptions import ConvergenceWarning

from embrm._typing import AnyArray, FloatArray
from embrm.exceptions import warn
from embrm.heads.comparisons import Comparisons

Link: TypeAlias = Literal["logit", "probit"]

Losses: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""Value, slope and curvature, each of shape (n_wins,)."""

_LEAST_SHARE = 0.05
_LOG_ROOT_TWO_PI = 0.5 * np.log(2 * np.pi)

Objective: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]
"""Takes parameters of shape (n,); returns the value and the gradient of shape (n,)."""

_MEMORY = 20


class WinLoss(Protocol):
    """The loss of each of a table of wins."""

    def evaluate(self, logit: FloatArray) -> Losses:
        """Compute value, slope and curvature at logits of shape (n_wins,), in nats."""

    def take(self, wins: AnyArray | slice) -> Self:
        """Keep some wins."""


@dataclass(frozen=True, eq=False)
class LogisticLoss:
    r"""Gumbel noise: :math:`\mathrm{softplus}(-t)`, i.e. Bradley and Terry's model."""

    def evaluate(self, logit: FloatArray) -> Losses:
        """Compute value, slope and curvature, from one exponential."""
        small = np.exp(-np.abs(logit))
        likelier = 1.0 / (1.0 + small)
        other = small * likelier
        value = np.log1p(small) + np.maximum(-logit, 0.0)
        return value, -np.where(logit > 0, other, likelier), other * likelier

    def take(self, wins: AnyArray | slice) -> Self:  # noqa: ARG002
        """Return itself: all wins have the same loss."""
        return self


@dataclass(frozen=True, eq=False)
class ProbitLoss:
    r"""Gaussian noise: :math:`-\log \Phi(t)`, i.e. Thurstone's model, case V."""

    def evaluate(self, logit: FloatArray) -> Losses:
        """Compute value, slope and curvature; exact far out in both tails."""
        value = -log_ndtr(logit)
        with np.errstate(under="ignore"):
            # The inverse Mills ratio phi / Phi, which tends to -t as t falls.
            mills = np.exp(-0.5 * logit**2 - _LOG_ROOT_TWO_PI + value)
        return value, -mills, np.clip(mills * (mills + logit), 0.0, 1.0)

    def take(self, wins: AnyArray | slice) -> Self:  # noqa: ARG002
        """Return itself: all wins have the same loss."""
        return self


@dataclass(frozen=True, eq=False)
class FlippedLoss:
    r"""Labels that are flipped at a rate: :math:`-\log(e + (1 - 2e) F(t))`.

    F is the probability under `clean`. The curvature is negative where a flip is
    likely, and is replaced by a twentieth of the expected one (Fisher's information)
    where that is more. By the expected one alone Newton's method takes more steps.

    Attributes
    ----------
    clean : WinLoss
        Of labels that are not flipped.
    rate : ndarray of shape (n_wins,), in [0, 1/2)
        The flip rate e of each win.
    """

    clean: LogisticLoss | ProbitLoss
    rate: FloatArray

    def evaluate(self, logit: FloatArray) -> Losses:
        """Compute value, slope and curvature, the latter never negative."""
        value, slope, curvature = self.clean.evaluate(logit)
        right = np.exp(-value)
        probability = self.rate + (1 - 2 * self.rate) * right
        # The density f = F' is -slope * F; F(-t) = 1 - F(t) for both links.
        density = (1 - 2 * self.rate) * -slope * right
        # f' = F (s^2 - c), with s and c slope and curvature of -log F.
        steepening = (1 - 2 * self.rate) * right * (slope**2 - curvature)
        other = np.exp(-self.clean.evaluate(-logit)[0])
        lose = self.rate + (1 - 2 * self.rate) * other
        with np.errstate(divide="ignore", invalid="ignore"):
            noisy = np.where(probability > 0, -np.log(probability), value)
            gradient = np.where(probability > 0, -density / probability, slope)
            expected = np.where(lose > 0, density**2 / (probability * lose), 0.0)
            observed = gradient**2 - steepening / probability
        floor = _LEAST_SHARE * np.nan_to_num(expected)
        return noisy, gradient, np.maximum(np.nan_to_num(observed), floor)

    def take(self, wins: AnyArray | slice) -> Self:
        """Keep the rates of some wins."""
        return replace(self, rate=self.rate[wins])


@dataclass(frozen=True, eq=False)
class RaoKupperLoss:
    r"""Ties by a threshold that a difference must pass [1]_.

    .. math:: P(\text{win}) = \sigma(t - \eta), \quad P(\text{tie}) = (e^{2\eta} - 1)\,
              \sigma(t - \eta)\, \sigma(-t - \eta)

    Attributes
    ----------
    tied : ndarray of shape (n_wins,) in [0, 1]
        Share of each win that is a tie.
    eta : float > 0, in nats

    References
    ----------
    .. [1] Rao, Kupper (1967). Ties in paired-comparison experiments: a generalization
       of the Bradley-Terry model. Journal of the American Statistical Association 62.
    """

    tied: FloatArray
    eta: float

    def evaluate(self, logit: FloatArray) -> Losses:
        """Compute value, slope and curvature."""
        ahead, behind = logit - self.eta, -logit - self.eta
        lose, win = expit(-ahead), expit(-behind)
        value = np.logaddexp(0.0, -ahead)
        tie = np.logaddexp(0.0, -behind) - np.log(np.expm1(2 * self.eta))
        curvature = lose * expit(ahead) + self.tied * win * expit(behind)
        return value + self.tied * tie, -lose + self.tied * win, curvature

    def slope_in_parameter(self, logit: FloatArray) -> FloatArray:
        """Differentiate the value by eta."""
        tie = expit(logit + self.eta) + 2.0 / np.expm1(-2 * self.eta)
        return np.asarray(expit(self.eta - logit) + self.tied * tie)

    def tie_probability(self, delta: FloatArray) -> FloatArray:
        """Compute P(tie) at differences of reward."""
        both = expit(delta - self.eta) * expit(-delta - self.eta)
        return np.asarray(np.expm1(2 * self.eta) * both)

    def take(self, wins: AnyArray | slice) -> Self:
        """Keep some wins."""
        return replace(self, tied=self.tied[wins])

    def with_parameter(self, eta: float) -> Self:
        """Return the same wins under another eta."""
        return replace(self, eta=eta)


@dataclass(frozen=True, eq=False)
class DavidsonLoss:
    r"""Ties likelier the closer two items are [1]_; their odds come out of the middle.

    .. math:: P(\text{win}) : P(\text{loss}) : P(\text{tie})
              = e^{t/2} : e^{-t/2} : e^{\kappa}

    Attributes
    ----------
    tied : ndarray of shape (n_wins,) in [0, 1]
        Share of each win that is a tie.
    kappa : float
        Log of Davidson's nu.

    References
    ----------
    .. [1] Davidson (1970). On extending the Bradley-Terry model to accommodate ties in
       paired comparison experiments. Journal of the American Statistical Association
       65.
    """

    tied: FloatArray
    kappa: float

    def evaluate(self, logit: FloatArray) -> Losses:
        """Compute value, slope and curvature."""
        total = self._log_total(logit)
        win, lose = np.exp(logit / 2 - total), np.exp(-logit / 2 - total)
        middle = (win - lose) / 2
        value = total - (1 - self.tied) * logit / 2 - self.tied * self.kappa
        slope = middle - (1 - self.tied) / 2
        return value, slope, np.maximum((win + lose) / 4 - middle**2, 0.0)

    def slope_in_parameter(self, logit: FloatArray) -> FloatArray:
        """Differentiate the value by kappa."""
        return np.asarray(np.exp(self.kappa - self._log_total(logit)) - self.tied)

    def tie_probability(self, delta: FloatArray) -> FloatArray:
        """Compute P(tie) at differences of reward."""
        return np.asarray(np.exp(self.kappa - self._log_total(delta)))

    def take(self, wins: AnyArray | slice) -> Self:
        """Keep some wins."""
        return replace(self, tied=self.tied[wins])

    def with_parameter(self, kappa: float) -> Self:
        """Return the same wins under another kappa."""
        return replace(self, kappa=kappa)

    def _log_total(self, logit: FloatArray) -> FloatArray:
        wins = np.logaddexp(logit / 2, -logit / 2)
        return np.asarray(np.logaddexp(wins, self.kappa))


TieLoss: TypeAlias = RaoKupperLoss | DavidsonLoss


class HeldOut(NamedTuple):
    """What is known of wins, the items aside.

    Attributes
    ----------
    margin, weight : ndarray of shape (n_wins,)
    flip_rate : ndarray of shape (n_wins,) in [0, 0.5), or None
        How likely it is that a win is none.
    """

    margin: FloatArray
    weight: FloatArray
    flip_rate: FloatArray | None


def loss_of_wins(wins: Comparisons | HeldOut, link: Link = "logit") -> WinLoss:
    """Return the loss of wins without a tie model, given their flip rates if any."""
    clean = ProbitLoss() if link == "probit" else LogisticLoss()
    return clean if wins.flip_rate is None else FlippedLoss(clean, wins.flip_rate)


def best_scale(
    delta: FloatArray,
    wins: Comparisons | HeldOut,
    log_scales: tuple[float, float],
    *,
    doubt: float = 0.0,
    shrinkage: float = 0.0,
) -> float:
    r"""Find the factor s on deltas that gives the least log loss.

    Minimises :math:`\sum_i c_i [(1 - d)\,l(s u_i - m_i) + d\,l(m_i - s u_i)]
    + \tfrac{h}{2} (s - 1)^2`. Without d or h separable wins have an infinite factor.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,)
        u, the winner's reward less the loser's.
    wins : Comparisons or HeldOut
    log_scales : tuple of two floats
        Bounds of log s.
    doubt : float in [0, 1), default=0.0
        d, which is 1 / (n + 2) if wins count as labels of (n + 1) / (n + 2) [1]_.
    shrinkage : float >= 0, default=0.0
        h.

    Returns
    -------
    float > 0

    References
    ----------
    .. [1] Platt (1999). Probabilistic outputs for support vector machines, section
       2.2, with the factor for its slope.

    Examples
    --------
    >>> wins = HeldOut(np.zeros(4), np.full(4, 1000.0), None)
    >>> delta = np.array([0.1, 0.1, 0.1, -0.1])  # right 3 times in 4: log(3) nats
    >>> round(best_scale(delta, wins, (-5.0, 5.0)), 1)
    11.0
    """
    losses = loss_of_wins(wins)

    def cost(log_scale: float) -> float:
        scale = np.exp(log_scale)
        logit = scale * delta - wins.margin
        loss = losses.evaluate(logit)[0]
        if doubt:
            loss = (1 - doubt) * loss + doubt * losses.evaluate(-logit)[0]
        return float(wins.weight @ loss + shrinkage / 2 * (scale - 1) ** 2)

    # In one dimension this takes a tenth of the time of a quasi-Newton method.
    found = minimize_scalar(cost, bounds=log_scales, method="bounded")
    return float(np.exp(found.x))


def log_loss(logit: FloatArray, weight: FloatArray) -> float:
    """Sum weight * softplus(-logit) over wins; finite for any finite logit."""
    return float(weight @ np.logaddexp(0.0, -logit))


def warn_unless(
    converged: bool, what: str, max_iter: int, remedy: str = "alpha"
) -> None:
    """Warn of a fit that has not converged."""
    if not converged:
        warn(
            f"{what} did not converge in {max_iter} steps; raise max_iter or {remedy}",
            ConvergenceWarning,
        )


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the minimiser ended.

    Attributes
    ----------
    parameters : ndarray of shape (n,)
    n_iter : int
    converged : bool
        False if `max_iter` steps were not enough.
    """

    parameters: FloatArray
    n_iter: int
    converged: bool


def minimise_smooth(
    objective: Objective,
    start: FloatArray,
    scale: FloatArray,
    *,
    small: float,
    max_iter: int,
    least_gain: float = 0.0,
) -> Minimum:
    """Minimise `objective` from `start`, in coordinates u = parameters / scale.

    Parameters
    ----------
    objective : callable
    start : ndarray of shape (n,)
    scale : ndarray of shape (n,), > 0
        About one over the square root of the curvature in each direction.
    small : float
        The fit ends when no entry of the gradient in u exceeds this.
    max_iter : int
    least_gain : float, default=0.0
        The fit also ends when a step lowers the value by less than this share of it.

    Returns
    -------
    Minimum

    Examples
    --------
    >>> import numpy as np
    >>> bowl = lambda w: (float(np.sum((w - 1) ** 2)), 2 * (w - 1))
    >>> found = minimise_smooth(bowl, np.zeros(2), np.ones(2), small=1e-9, max_iter=50)
    >>> found.parameters.round(6), found.converged
    (array([1., 1.]), True)
    """

    def scaled(u: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(scale * u)
        return value, scale * gradient

    found = minimize(
        scaled,
        start / scale,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iter,
            "maxfun": 20 * max_iter,
            "maxcor": _MEMORY,
            "gtol": small,
            "ftol": least_gain,
        },
    )
    # Status 1 is the limit of iterations. Status 2 is a line search that rounding has
    # stopped: with no gain left to see, that is the minimum.
    return Minimum(scale * np.asarray(found.x), int(found.nit), found.status != 1)
