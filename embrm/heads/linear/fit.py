"""Fit the linear head: prior, parameters of the label model, weights, posterior."""

import warnings
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.exceptions import ConvergenceWarning

from embrm._typing import FloatArray
from embrm.exceptions import EmbrmWarning
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.alpha_search import AlphaSearch, search_alpha
from embrm.heads.linear.column_scale import has_ruling_column, mean_and_deviation
from embrm.heads.linear.in_place_problem import (
    InPlaceProblem,
    make_frugal_problem,
    stay_in_place,
)
from embrm.heads.linear.label_model import (
    first_tie_loss,
    fit_common_rate,
    fit_rates,
    fit_tie_parameter,
)
from embrm.heads.linear.large_fit import LARGEST_FACTOR, minimise_in_place
from embrm.heads.linear.posterior import Posterior, posterior_at
from embrm.heads.linear.prior_shape import whiten_prior
from embrm.heads.linear.some_wins import some_wins
from embrm.heads.linear.training import LinearProblem, minimise
from embrm.heads.linear.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
    WinLoss,
)

Link: TypeAlias = Literal["logit", "probit"]
Ties: TypeAlias = Literal["rao-kupper", "davidson"]

LARGEST_POSTERIOR = 4096
"""Dimensions above which no covariance is kept: it would take over 128 MiB."""

_ENOUGH_TO_CHOOSE = 50_000
"""Wins by which a penalty is chosen where there are many more."""

_FEWEST_TO_SCALE = 50
"""Items below which the variance of a column says little."""

_FIRST_RATE = 0.1


@dataclass(frozen=True, eq=False)
class LabelModel:
    """How labels come about, given differences of reward.

    Attributes
    ----------
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    tie_parameter : float
        Rao and Kupper's theta >= 1 or Davidson's nu >= 0; NaN where ties is None.
    rate : float in [0, 1/2)
        Flip rate; the mean over wins where annotators have their own.
    rates : ndarray of shape (n_annotators,)
        NaN for those without a win; empty where all have the same.
    """

    link: Link
    ties: Ties | None
    tie_parameter: float
    rate: float
    rates: FloatArray

    def loss(self, comparisons: Comparisons) -> WinLoss:
        """Make the loss of wins under these parameters."""
        if self.ties is not None:
            tied = comparisons.tied
            never = np.zeros(len(comparisons))
            return self.tie_loss(never if tied is None else tied) or LogisticLoss()
        clean = clean_loss(self.link)
        if self.rates.size and comparisons.annotator is not None:
            return FlippedLoss(clean, self.rates[comparisons.annotator])
        return FlippedLoss(clean, self.rate) if self.rate > 0 else clean

    def tie_loss(self, tied: FloatArray) -> RaoKupperLoss | DavidsonLoss | None:
        """Make the tie model of wins, None where there never is a tie."""
        if self.ties == "rao-kupper" and self.tie_parameter > 1:
            return RaoKupperLoss(tied, float(np.log(self.tie_parameter)))
        if self.ties == "davidson" and self.tie_parameter > 0:
            return DavidsonLoss(tied, float(np.log(self.tie_parameter)))
        return None


@dataclass(frozen=True, eq=False)
class FitPlan:
    """What to fit, checked.

    Attributes
    ----------
    alpha : float or None
        None to choose it.
    whitening : float in [0, 1]
    standardise : bool or None
        Whether the prior is that of weights on columns of unit variance; None to
        choose that with the penalty.
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    noise : float or None
        None to estimate it.
    start : ndarray of shape (d,) or None
        Weights to start from.
    posterior : bool
    tol : float
    max_iter : int
    """

    alpha: float | None
    whitening: float
    standardise: bool | None
    link: Link
    ties: Ties | None
    noise: float | None
    start: FloatArray | None
    posterior: bool
    tol: float
    max_iter: int


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
    """

    coef: FloatArray
    mean: FloatArray
    scale: FloatArray | None
    search: AlphaSearch
    labels: LabelModel
    n_iter: int
    posterior: Posterior | None


def clean_loss(link: Link) -> LogisticLoss | ProbitLoss:
    """Return the loss of labels without ties or flips."""
    return ProbitLoss() if link == "probit" else LogisticLoss()


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
    labels, loss = _first_labels(comparisons, plan)
    scale, search = _find_prior(comparisons, plan)
    large = _large_problem(comparisons, scale, plan)
    if large is not None:
        return _fit_large(replace(large, loss=loss), search, plan, labels)
    d = comparisons.items.shape[1]
    plain = make_frugal_problem(comparisons, scale)
    problem = replace(whiten_prior(plain, plan.whitening, d), loss=loss)
    search = replace(search, start=_to_coordinates(problem, search.start))
    labels, problem, start = _fit_labels(comparisons, plan, labels, problem, search)
    if plan.alpha is None and problem.loss is not loss:
        # The penalty was chosen under the first guess of the label model.
        search = search_alpha(comparisons, problem, cautious=_is_cautious(plan))
        labels, problem, start = _fit_labels(comparisons, plan, labels, problem, search)
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
    needs_basis = plan.whitening > 0 or plan.ties is not None or plan.noise is None
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


def _first_labels(
    comparisons: Comparisons, plan: FitPlan
) -> tuple[LabelModel, WinLoss]:
    """Guess the label model, so that a penalty can be chosen."""
    none = np.empty(0)
    rate = plan.noise or 0.0
    if plan.ties is None:
        labels = LabelModel(plan.link, None, np.nan, rate, none)
        if plan.noise is None and comparisons.annotator is not None:
            n_annotators = int(comparisons.annotator.max()) + 1
            labels = replace(labels, rates=np.full(n_annotators, _FIRST_RATE))
        return labels, labels.loss(comparisons)
    never = 1.0 if plan.ties == "rao-kupper" else 0.0
    labels = LabelModel(plan.link, plan.ties, never, rate, none)
    if comparisons.tied is None:
        return labels, LogisticLoss()
    return labels, first_tie_loss(plan.ties, comparisons.tied, comparisons.weight)


def _find_prior(
    comparisons: Comparisons, plan: FitPlan
) -> tuple[FloatArray | None, AlphaSearch]:
    """Choose scale and penalty, unless given; start in the user's scaled coordinates.

    Columns are standardised unless one of them varies more than all others together,
    or weights on the columns as they are do better by more than one standard error of
    the held-out loss.
    """
    items, scale = comparisons.items, None
    if plan.standardise is not False and len(items) >= _FEWEST_TO_SCALE:
        deviation = mean_and_deviation(items)[1]
        if plan.standardise or not has_ruling_column(deviation):
            scale = np.where(deviation == 0, 1.0, deviation)
    if plan.alpha is not None:
        start: FloatArray = np.zeros(items.shape[1])
        if plan.start is not None and len(plan.start) == len(start):
            start = plan.start if scale is None else plan.start * scale
        return scale, AlphaSearch(plan.alpha, np.empty(0), np.empty(0), start)
    few = some_wins(comparisons, _ENOUGH_TO_CHOOSE)
    search = _search(few, plan, scale)
    if plan.standardise is None and scale is not None:
        bare = _search(few, plan, None)
        if search.is_clearly_worse(bare):
            return None, bare
    return scale, search


def _search(
    comparisons: Comparisons, plan: FitPlan, scale: FloatArray | None
) -> AlphaSearch:
    """Choose the penalty on columns divided by `scale`."""
    plain = make_frugal_problem(comparisons, scale)
    shaped = whiten_prior(plain, plan.whitening, comparisons.items.shape[1])
    problem = replace(shaped, loss=_first_labels(comparisons, plan)[1])
    search = search_alpha(comparisons, problem, cautious=_is_cautious(plan))
    basis = problem.basis
    return search if basis is None else replace(search, start=basis @ search.start)


def _is_cautious(plan: FitPlan) -> bool:
    # An estimated flip rate accounts for wrong labels already, and is drowned by more
    # shrinkage than the held-out loss asks for.
    return plan.noise is not None


def _fit_labels(
    comparisons: Comparisons,
    plan: FitPlan,
    labels: LabelModel,
    problem: LinearProblem,
    search: AlphaSearch,
) -> tuple[LabelModel, LinearProblem, FloatArray]:
    """Fit what is open of the label model, with the weights, at a given penalty."""
    alpha, start = search.alpha, search.start
    if isinstance(problem.loss, RaoKupperLoss | DavidsonLoss):
        tie_loss, w = fit_tie_parameter(problem, problem.loss, alpha, start)
        log_parameter = (
            tie_loss.eta if isinstance(tie_loss, RaoKupperLoss) else tie_loss.kappa
        )
        labels = replace(labels, tie_parameter=float(np.exp(log_parameter)))
        loss: WinLoss = tie_loss
    elif plan.noise is not None or plan.ties is not None:
        return labels, problem, start
    else:
        clean, who = clean_loss(plan.link), comparisons.annotator
        if who is None:
            rate, w = fit_common_rate(problem, alpha, start, clean)
            labels = replace(labels, rate=rate)
        else:
            rates, w = fit_rates(problem, alpha, start, clean, who, labels.rates)
            rate = float(np.average(rates[who], weights=comparisons.weight))
            has_wins = np.bincount(who, minlength=len(rates)) > 0
            rates = np.where(has_wins, rates, np.nan)
            labels = replace(labels, rate=rate, rates=rates)
        loss = labels.loss(comparisons)
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
