"""Fit the linear head: prior, parameters of the label model, weights, posterior."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve

from embrm._typing import FloatArray
from embrm._validation import widened
from embrm.exceptions import EmbrmWarning, warn
from embrm.heads.comparisons import Comparisons, graph_components
from embrm.heads.linear._label_model import LabelModel, fit_ties
from embrm.heads.linear._operators import DenseOperator
from embrm.heads.linear.design import FitSettings, PromptEffects
from embrm.heads.linear.newton import (
    Coordinates,
    DiagonalCoordinates,
    FactoredCoordinates,
    descend,
    minimise,
)
from embrm.heads.linear.posterior import Posterior, posterior_at
from embrm.heads.linear.problem import LARGEST_ROTATION, SAMPLED_ROWS, LinearProblem
from embrm.heads.linear.row_problem import RowProblem
from embrm.heads.linear.search import PenaltySearch, Prior, choose_prior
from embrm.heads.win_loss import WinLoss, warn_unless

LARGEST_POSTERIOR = 4096
"""Dimensions above which no covariance is kept: it would take over 128 MiB."""

_SAMPLED_WINS = 500
"""Wins over which the variance of a delta is averaged."""

_FEWEST_PRODUCTS = 5
"""What a fit takes at least: with fewer at hand it is no use to begin."""

_PER_BYTE = 3.0
"""Operations of a matrix product while a byte is read from memory, about."""

_FEW_STEPS = 3
_ROUNDING = 1e-7
"""Relative error of sums of losses in float32."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A fitted linear reward.

    Attributes
    ----------
    coef, mean : ndarray of shape (d,)
    scale : ndarray of shape (d,) or None
        Columns of the items divided by it are what the prior speaks of.
    search : PenaltySearch
    labels : LabelModel
    n_iter : int
    posterior : Posterior or None
        Of weights on the scaled columns.
    prompt_values : ndarray of shape (n_prompts,) or None
        Effects of the prompts, in nats.
    prompt_std : float
        Their prior standard deviation in nats, 0 without them.
    reward_scale : float > 0
        Factor by which weights, effects and posterior were multiplied.
    """

    coef: FloatArray
    mean: FloatArray
    scale: FloatArray | None
    search: PenaltySearch
    labels: LabelModel
    n_iter: int
    posterior: Posterior | None
    prompt_values: FloatArray | None = None
    prompt_std: float = 0.0
    reward_scale: float = 1.0

    def scaled(self, factor: float, labels: LabelModel) -> "LinearFit":
        """Multiply the weights by a factor, under the labels that go with it."""
        return replace(
            self,
            coef=factor * self.coef,
            labels=labels,
            posterior=self.posterior and self.posterior.scaled(factor),
            reward_scale=factor,
        )

    def without(self, effects: PromptEffects) -> "LinearFit":
        """Take the weights of prompt effects out of the others."""
        d = len(self.coef) - effects.n_prompts
        return replace(
            self,
            coef=self.coef[:d],
            mean=self.mean[:d],
            scale=None if self.scale is None else self.scale[:d],
            posterior=self.posterior and self.posterior.marginal(d),
            prompt_values=effects.size * self.coef[d:],
            prompt_std=self.reward_scale * effects.std(self.search.alpha),
        )


def fit_linear(comparisons: Comparisons, settings: FitSettings) -> LinearFit:
    """Fit everything that the settings leave open.

    Parameters
    ----------
    comparisons : Comparisons
    settings : FitSettings

    Returns
    -------
    LinearFit
    """
    if settings.alpha == 0.0:
        _warn_of_components(comparisons)
    prior = choose_prior(comparisons, settings)
    rows = prior.design.row_problem(prior.scale)
    problem = rows or prior.design.bare_problem(prior.scale)
    fit = (
        _fit_in_eigenbasis(prior, settings)
        if problem is None
        else _fit_iteratively(problem, prior, settings)
    )
    fit = _widened(fit, prior)
    effects = prior.design.effects
    return fit if effects is None else fit.without(effects)


def _widened(fit: LinearFit, prior: Prior) -> LinearFit:
    """Let the posterior know that penalty and scale were chosen by the same wins.

    Rewards differ over the likely penalties. Held-out wins tell the scale up to an
    error of its own. And what has the least loss is the scale of predictions that
    average over the posterior: with a deviation s of a delta it is below that of the
    deltas by the factor 1 / sqrt(1 + pi s^2 / 8) [1]_, and so are deviations.

    References
    ----------
    .. [1] MacKay (1992). The evidence framework applied to classification networks.
       Neural Computation 4, eq. 10.
    """
    error = prior.search.scale_error
    if fit.posterior is None or error == 0.0:
        return fit
    wins = prior.design.comparisons
    some = np.arange(0, len(wins), max(1, len(wins) // _SAMPLED_WINS))
    gap = widened(wins.items[wins.winner[some]]) - wins.items[wins.loser[some]]
    scale = 1.0 if fit.scale is None else fit.scale
    variance = float(np.mean(fit.posterior.variance(gap / scale)))
    below = np.sqrt(1 + np.pi * variance / 8) - 1
    along = np.sqrt(error**2 + below**2) * fit.coef * scale
    directions = np.column_stack([along, prior.search.doubt])
    return replace(fit, posterior=fit.posterior.scaled(1 + below).widened(directions))


def _fit_in_eigenbasis(prior: Prior, settings: FitSettings) -> LinearFit:
    """Fit weights, and the parameter of a tie model, in the eigenbasis."""
    design, search = prior.design, prior.search
    problem = design.problem(prior.scale)
    search = replace(search, start=problem.from_user(search.start))
    labels, fitted, start = fit_ties(design.labels, problem, search.alpha, search.start)
    w, n_iter, converged = minimise(
        fitted, search.alpha, start, tol=settings.tol, max_iter=settings.max_iter
    )
    warn_unless(converged, "the linear head", settings.max_iter)
    coef = fitted.to_user(w)
    keep = settings.posterior and design.n_columns <= LARGEST_POSTERIOR
    fit = LinearFit(
        coef=coef if prior.scale is None else coef / prior.scale,
        mean=design.mean,
        scale=prior.scale,
        search=search,
        labels=labels,
        n_iter=n_iter,
        posterior=posterior_at(fitted, w, search.alpha) if keep else None,
    )
    factor = _reward_scale(fitted, w, search, settings)
    if factor == 1.0:
        return fit
    labels, _, _ = fit_ties(labels, fitted, search.alpha, factor * w, weights_too=False)
    return fit.scaled(factor, labels)


def _reward_scale(
    problem: LinearProblem | RowProblem,
    w: FloatArray,
    search: PenaltySearch,
    settings: FitSettings,
) -> float:
    """Scale the fit to all wins as its folds are best scaled on what they held out.

    Fits to more wins have longer weights under a strong penalty, and shorter ones
    under a weak one: the mean of the folds' fits says how much.
    """
    if settings.reward_scale is not None:
        return settings.reward_scale
    if isinstance(problem, RowProblem):
        return 1.0
    of_folds = problem.delta(search.start)
    square = float(problem.weight @ of_folds**2)
    longer = float(problem.weight @ (problem.delta(w) * of_folds))
    if settings.alpha is not None or longer <= 0:
        return 1.0
    return search.scale * square / longer


def _fit_iteratively(
    problem: LinearProblem | RowProblem, prior: Prior, settings: FitSettings
) -> LinearFit:
    """Fit weights of items that are too large to copy, or to be fitted but once.

    Newton's method in the precision of the items comes close to the minimum; a few
    steps in float64 finish it. The only whole Hessian is that of the posterior, and it
    conditions these last steps.
    """
    search, tol, max_iter = prior.search, settings.tol, settings.max_iter
    w, n_fast, converged, coordinates = _come_close(problem.fast(), search, settings)
    hessian, posterior, n_last = None, None, 0
    if settings.posterior and isinstance(problem, LinearProblem):
        hessian = problem.hessian_of_losses(w)
        coordinates = FactoredCoordinates.of(hessian, search.alpha)
    if tol < problem.first_tolerance or not converged:
        w, n_last, converged = minimise(
            problem,
            search.alpha,
            w,
            tol=tol,
            max_iter=max_iter,
            coordinates=coordinates,
        )
    warn_unless(converged, "the linear head", max_iter)
    if hessian is not None and isinstance(problem, LinearProblem):
        if n_last > _FEW_STEPS:
            hessian = problem.hessian_of_losses(w)
        hessian[np.diag_indices_from(hessian)] += search.alpha
        posterior = Posterior(hessian, None, search.alpha)
    fit = LinearFit(
        coef=w if prior.scale is None else w / prior.scale,
        mean=problem.mean if isinstance(problem, RowProblem) else prior.design.mean,
        scale=prior.scale,
        search=search,
        labels=prior.design.labels,
        n_iter=n_fast + n_last,
        posterior=posterior,
    )
    factor = _reward_scale(problem, w, search, settings)
    return fit if factor == 1.0 else fit.scaled(factor, fit.labels)


def _come_close(
    fast: LinearProblem | RowProblem, search: PenaltySearch, settings: FitSettings
) -> tuple[FloatArray, int, bool, Coordinates]:
    """Minimise about; return as `minimise`, and in what coordinates that went well.

    Best are those that a search for the penalty left behind. Else the scale of each
    column will often do. Once that has cost as much as a Hessian that is summed from
    some of the wins, and its factor, these are made.
    """
    alpha, max_iter = search.alpha, settings.max_iter
    tol = max(fast.first_tolerance, settings.tol)
    coordinates: Coordinates | None = search.coordinates
    w, n_iter = search.start, 0
    budget = _products_instead(fast, len(w))
    if coordinates is None and budget >= _FEWEST_PRODUCTS:
        coordinates = DiagonalCoordinates.of(fast.diagonal(), alpha)
        w, n_iter, converged = descend(
            fast,
            alpha,
            w,
            tol=tol,
            max_iter=int(min(max_iter, budget)),
            coordinates=coordinates,
            rounding=_ROUNDING,
        )
        if converged:
            return w, n_iter, True, coordinates
        if budget < np.inf:
            coordinates = None
    if coordinates is None:
        coordinates = FactoredCoordinates.of(fast.sampled_hessian(), alpha)
    w, further, converged = minimise(
        fast,
        alpha,
        w,
        tol=tol,
        max_iter=max_iter,
        coordinates=coordinates,
        rounding=_ROUNDING,
    )
    return w, n_iter + further, converged, coordinates


def _products_instead(problem: LinearProblem | RowProblem, d: int) -> float:
    """Count the products with Hessians that take as long as to make and factor one.

    Infinitely many where it is too large to be made.
    """
    if d > LARGEST_ROTATION:
        return np.inf
    n_sampled = max(SAMPLED_ROWS, 4 * d)
    operations = 2.0 * min(n_sampled, len(problem.weight)) * d**2 + 4 / 3 * d**3
    return operations / _PER_BYTE / problem.bytes_read


@dataclass(frozen=True, eq=False)
class Update:
    """What further wins make of weights and their posterior.

    Attributes
    ----------
    coef : ndarray of shape (d,)
        On the scaled columns.
    posterior : Posterior
    n_iter : int
    """

    coef: FloatArray
    posterior: Posterior
    n_iter: int


def update_linear(
    posterior: Posterior,
    coef: FloatArray,
    wins: Comparisons,
    loss: WinLoss,
    prompt_std: float,
    settings: FitSettings,
) -> Update:
    """Learn from further wins, with the posterior so far as their prior.

    In whitened coordinates of the posterior the prior is a plain ridge of penalty one.
    Prompts are taken to be new ones: their effects are fitted along, and integrated
    out of the posterior again.

    Parameters
    ----------
    posterior : Posterior
    coef : ndarray of shape (d,)
        The mode so far, on the scaled columns.
    wins : Comparisons
        With centred items on the scaled columns.
    loss : WinLoss
    prompt_std : float
        Prior standard deviation of the effect of a prompt, in nats; 0 for none.
    settings : FitSettings
        Of which `tol` and `max_iter` count.

    Returns
    -------
    Update
    """
    posterior = posterior.spanning(wins.items)
    k = len(posterior.precision)
    columns = posterior.project(wins.items)
    if prompt_std > 0 and wins.groups is not None:
        effects = PromptEffects(prompt_std, int(wins.groups.max()) + 1)
        columns = np.hstack([columns, effects.columns(wins.groups, columns.dtype)])
    problem = LinearProblem.of(DenseOperator(columns), wins)
    so_far = wins.items @ coef
    problem = replace(
        problem,
        margin=wins.margin - (so_far[wins.winner] - so_far[wins.loser]),
        loss=loss,
    )
    curvature = np.diagonal(problem.gram(wins.weight)) / 4
    problem = replace(problem, curvature=np.maximum(curvature, 0.0))
    start = np.zeros(columns.shape[1])
    v, n_iter, converged = minimise(
        problem, 1.0, start, tol=settings.tol, max_iter=settings.max_iter
    )
    warn_unless(converged, "the linear head", settings.max_iter)
    added = problem.hessian_of_losses(v)
    known, cross, unknown = added[:k, :k], added[:k, k:], added[k:, k:]
    if cross.size:
        ridge = unknown + np.eye(len(unknown))
        known = known - cross @ solve(ridge, cross.T, assume_a="pos")
    return Update(coef + posterior.unproject(v[:k]), posterior.plus(known), n_iter)


def _warn_of_components(comparisons: Comparisons) -> None:
    labels = graph_components(
        len(comparisons.items), comparisons.winner, comparisons.loser
    )
    n_components = len(np.unique(labels))
    if n_components > 1:
        warn(
            f"the comparison graph has {n_components} components, and alpha is 0: no "
            "pair compares items of different components, the vectors alone do; use "
            "alpha='auto', or add pairs between them",
            EmbrmWarning,
        )
