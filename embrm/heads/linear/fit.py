"""Fit the linear head: prior, parameters of the label model, weights, posterior."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.exceptions import ConvergenceWarning

from embrm._typing import FloatArray
from embrm.exceptions import EmbrmWarning
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.alpha_search import AlphaSearch, search_alpha
from embrm.heads.linear.in_place_problem import (
    InPlaceProblem,
    make_frugal_problem,
    stay_in_place,
)
from embrm.heads.linear.large_fit import LARGEST_FACTOR, minimise_in_place
from embrm.heads.linear.plan import FitPlan, LabelModel, first_labels
from embrm.heads.linear.posterior import Posterior, posterior_at
from embrm.heads.linear.prior_search import Prior, find_prior
from embrm.heads.linear.prior_shape import whiten_prior
from embrm.heads.linear.prompt_effects import PromptEffects
from embrm.heads.linear.tie_parameter import fit_tie_parameter
from embrm.heads.linear.training import (
    LinearProblem,
    mean_square_difference,
    minimise,
)
from embrm.heads.linear.win_loss import DavidsonLoss, RaoKupperLoss
from embrm.heads.validation_split import held_out_by_item

LARGEST_POSTERIOR = 4096
"""Dimensions above which no covariance is kept: it would take over 128 MiB."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A fitted linear reward.

    Attributes
    ----------
    coef, mean : ndarray of shape (d,)
    scale : ndarray of shape (d,) or None
        Columns of the items divided by it are what the prior speaks of.
    search : AlphaSearch
    labels : LabelModel
    n_iter : int
    posterior : Posterior or None
        Of weights on the scaled columns.
    prompt_values : ndarray of shape (n_prompts,) or None
        Effects of the prompts, in nats.
    """

    coef: FloatArray
    mean: FloatArray
    scale: FloatArray | None
    search: AlphaSearch
    labels: LabelModel
    n_iter: int
    posterior: Posterior | None
    prompt_values: FloatArray | None = None

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
        )


def fit_linear(comparisons: Comparisons, plan: FitPlan) -> LinearFit:
    """Fit everything that a plan leaves open.

    Parameters
    ----------
    comparisons : Comparisons
    plan : FitPlan

    Returns
    -------
    LinearFit
    """
    if plan.alpha == 0.0:
        _warn_of_components(comparisons)
    prior = find_prior(comparisons, plan)
    if prior.effects is None:
        return _fit_with(held_out_by_item(comparisons), prior, plan)
    joint = held_out_by_item(prior.effects.append_to(comparisons))
    found = _fit_with(joint, replace(prior, scale=prior.effects.pad(prior.scale)), plan)
    return found.without(prior.effects)


def _fit_with(comparisons: Comparisons, prior: Prior, plan: FitPlan) -> LinearFit:
    """Fit weights of all columns, those of prompt effects included."""
    labels, loss = first_labels(comparisons, plan)
    scale, search = prior.scale, prior.search
    large = _large_problem(comparisons, scale, plan)
    if large is not None:
        return _fit_large(replace(large, loss=loss), search, plan, labels)
    d = comparisons.items.shape[1]
    plain = make_frugal_problem(comparisons, scale)
    problem = replace(whiten_prior(plain, plan.whitening, d), loss=loss)
    search = replace(search, start=_to_coordinates(problem, search.start))
    labels, problem, start = _fit_ties(labels, problem, search)
    if plan.alpha is None and problem.loss is not loss:
        # The penalty was chosen under the first guess of the label model.
        square = mean_square_difference(problem) - prior.square_of_effects
        search = search_alpha(comparisons, problem, square=square)
        labels, problem, start = _fit_ties(labels, problem, search)
    w, n_iter, converged = minimise(
        problem, search.alpha, start, tol=plan.tol, max_iter=plan.max_iter
    )
    if not converged:
        _warn_of_steps(plan)
    basis = problem.basis
    keep = plan.posterior and d <= LARGEST_POSTERIOR
    return LinearFit(
        coef=_unscaled(w if basis is None else basis @ w, scale),
        mean=comparisons.items.mean(axis=0, dtype=np.float64),
        scale=scale,
        search=search,
        labels=labels,
        n_iter=n_iter,
        posterior=posterior_at(problem, w, search.alpha) if keep else None,
    )


def _unscaled(coef: FloatArray, scale: FloatArray | None) -> FloatArray:
    return coef if scale is None else coef / scale


def _large_problem(
    comparisons: Comparisons, scale: FloatArray | None, plan: FitPlan
) -> InPlaceProblem | None:
    """Make the problem for `minimise_in_place`, None where another way is needed."""
    needs_basis = plan.whitening > 0 or plan.ties is not None
    if needs_basis or comparisons.items.shape[1] > LARGEST_FACTOR:
        return None
    return stay_in_place(comparisons, scale)


def _fit_large(
    problem: InPlaceProblem, search: AlphaSearch, plan: FitPlan, labels: LabelModel
) -> LinearFit:
    found = minimise_in_place(
        problem,
        search.alpha,
        search.start,
        tol=plan.tol,
        max_iter=plan.max_iter,
        keep_hessian=plan.posterior,
        coordinates=search.coordinates,
    )
    if not found.converged:
        _warn_of_steps(plan)
    posterior = None
    if found.hessian is not None:
        precision = found.hessian
        precision[np.diag_indices_from(precision)] += search.alpha
        posterior = Posterior(precision, None, search.alpha)
    return LinearFit(
        coef=_unscaled(found.w, problem.scale),
        mean=problem.mean,
        scale=problem.scale,
        search=search,
        labels=labels,
        n_iter=found.n_iter,
        posterior=posterior,
    )


def _warn_of_steps(plan: FitPlan) -> None:
    warnings.warn(
        f"the linear head did not converge in {plan.max_iter} steps; raise max_iter "
        "or alpha",
        ConvergenceWarning,
        stacklevel=6,
    )


def _fit_ties(
    labels: LabelModel, problem: LinearProblem, search: AlphaSearch
) -> tuple[LabelModel, LinearProblem, FloatArray]:
    """Fit the parameter of a tie model, with the weights, at a given penalty."""
    if not isinstance(problem.loss, RaoKupperLoss | DavidsonLoss):
        return labels, problem, search.start
    loss, w = fit_tie_parameter(problem, problem.loss, search.alpha, search.start)
    log_parameter = loss.eta if isinstance(loss, RaoKupperLoss) else loss.kappa
    labels = replace(labels, tie_parameter=float(np.exp(log_parameter)))
    return labels, replace(problem, loss=loss), w


def _to_coordinates(problem: LinearProblem, coef: FloatArray) -> FloatArray:
    """Write the user's weights, of scaled columns, in those of the problem."""
    if problem.basis is None:
        return coef
    stretch = 1.0 if problem.stretch is None else problem.stretch
    return np.asarray(problem.basis.T @ coef / stretch**2)


def _warn_of_components(comparisons: Comparisons) -> None:
    n_items = len(comparisons.items)
    edges = coo_array(
        (np.ones(len(comparisons)), (comparisons.winner, comparisons.loser)),
        shape=(n_items, n_items),
    )
    n_components = int(connected_components(edges, directed=False)[0])
    if n_components > 1:
        warnings.warn(
            f"the comparison graph has {n_components} components, and alpha is 0: no "
            "pair compares items of different components, the vectors alone do; use "
            "alpha='auto', or add pairs between them",
            EmbrmWarning,
            stacklevel=6,
        )
