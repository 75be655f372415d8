"""Choose the prior of the linear head: its strength, and the scale of columns."""

from dataclasses import dataclass, replace

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.alpha_search import AlphaSearch, search_alpha
from embrm.heads.linear.column_scale import has_ruling_column, mean_and_deviation
from embrm.heads.linear.coordinates import RotatedCoordinates, ScaledCoordinates
from embrm.heads.linear.in_place_problem import (
    make_frugal_problem,
    rotated_roughly,
    stay_in_place,
)
from embrm.heads.linear.plan import FitPlan, first_labels
from embrm.heads.linear.prior_shape import whiten_prior
from embrm.heads.linear.prompt_effects import MOST_COLUMNS, PromptEffects, effects_for
from embrm.heads.linear.some_wins import some_wins
from embrm.heads.linear.training import (
    LARGEST_ROTATION,
    LinearProblem,
    mean_square_difference,
)
from embrm.heads.validation_split import held_out_by_item, share_across_prompts

_ENOUGH_TO_CHOOSE = 50_000
"""Wins by which a penalty is chosen where there are many more."""

_FEWEST_TO_SCALE = 50
"""Items below which the variance of a column says little."""

_ENOUGH_WITHIN, _ENOUGH_ACROSS = 1_500, 4_000
"""Held-out wins to choose by; across prompts they decide about effects, too."""

_ALIKE = 1.1
"""Ratio of columns' deviations up to which it does not matter to standardise."""


@dataclass(frozen=True, eq=False)
class Prior:
    """The prior of a fit.

    Attributes
    ----------
    scale : ndarray of shape (d,) or None
        By which columns are divided.
    effects : PromptEffects or None
    search : AlphaSearch
        Its start is in the user's coordinates, on scaled columns, with those of
        effects.
    square_of_effects : float, default=0.0
        Their part of the mean squared difference of winner and loser.
    """

    scale: FloatArray | None
    effects: PromptEffects | None
    search: AlphaSearch
    square_of_effects: float = 0.0


def find_prior(comparisons: Comparisons, plan: FitPlan) -> Prior:
    """Choose scale, prompt effects and penalty, unless given.

    Columns are standardised unless one of them varies more than all others together,
    or weights on the columns as they are do better by more than one standard error of
    the held-out loss. Prompts have effects where that lowers the held-out loss.

    Parameters
    ----------
    comparisons : Comparisons
    plan : FitPlan

    Returns
    -------
    Prior
    """
    items, scale, matters = comparisons.items, None, False
    if plan.standardise is not False and len(items) >= _FEWEST_TO_SCALE:
        deviation = mean_and_deviation(items)[1]
        if plan.standardise or not has_ruling_column(deviation):
            scale = np.where(deviation == 0, 1.0, deviation)
            matters = bool(scale.max() > _ALIKE * scale.min())
    if plan.alpha is not None:
        return _given_prior(comparisons, plan, scale, plan.alpha)
    searcher = _Searcher(comparisons, plan)
    search = searcher.search(scale)
    if plan.standardise is None and matters:
        bare = searcher.search(None)
        if search.is_clearly_worse(bare):
            scale, search = None, bare
    effects = None if plan.prompt_effects is False else effects_for(comparisons, scale)
    if effects is not None:
        known = _Searcher(comparisons, plan, effects).search(effects.pad(scale))
        if plan.prompt_effects or known.has_less_loss_than(search):
            return Prior(scale, effects, known, effects.square(comparisons))
    return Prior(scale, None, search)


def _given_prior(
    comparisons: Comparisons, plan: FitPlan, scale: FloatArray | None, alpha: float
) -> Prior:
    """Take penalty and start from the plan, as far as they fit the data."""
    effects = effects_for(comparisons, scale) if plan.prompt_effects else None
    start: FloatArray = np.zeros(comparisons.items.shape[1])
    if plan.start is not None and len(plan.start) == len(start):
        start = plan.start if scale is None else plan.start * scale
    if effects is not None:
        start = np.append(start, np.zeros(effects.n_prompts))
    given = AlphaSearch(alpha, np.empty(0), np.empty(0), start)
    coordinates = plan.coordinates
    if coordinates is not None and len(coordinates.basis) == len(start):
        given = replace(given, coordinates=coordinates)
    return Prior(scale, effects, given)


class _Searcher:
    """Chooses penalties on the same wins, for different scales of the columns."""

    def __init__(
        self,
        comparisons: Comparisons,
        plan: FitPlan,
        effects: PromptEffects | None = None,
    ) -> None:
        self._n_all, self._plan = len(comparisons), plan
        some = some_wins(comparisons, _ENOUGH_TO_CHOOSE)
        self._square_of_effects = 0.0 if effects is None else effects.square(some)
        is_across = share_across_prompts(some) > 0.5
        self._enough = _ENOUGH_ACROSS if is_across else _ENOUGH_WITHIN
        some = some if effects is None else effects.append_to(some)
        self._comparisons = held_out_by_item(some)
        # Columns of prompts and of items are far from orthogonal: a rotation pays.
        self._largest_rotation = LARGEST_ROTATION if effects is None else MOST_COLUMNS
        self._in_place = stay_in_place(self._comparisons)
        # Of the losses at zero, about, and of the columns as they are.
        self._hessian: FloatArray | None = None

    def search(self, scale: FloatArray | None) -> AlphaSearch:
        """Choose the penalty on columns divided by `scale`."""
        comparisons, plan = self._comparisons, self._plan
        plain = self._problem(scale)
        shaped = whiten_prior(plain, plan.whitening, comparisons.items.shape[1])
        problem = replace(shaped, loss=first_labels(comparisons, plan)[1])
        search = search_alpha(
            comparisons,
            problem,
            square=mean_square_difference(problem) - self._square_of_effects,
            enough=self._enough,
        )
        basis = problem.basis
        if basis is None:
            return search
        search = replace(search, start=basis @ search.start)
        if problem.stretch is None and len(basis) == basis.shape[1]:
            share = self._n_all / len(comparisons)
            scaled = ScaledCoordinates.of(share * problem.curvature, search.alpha)
            search = replace(search, coordinates=RotatedCoordinates(basis, scaled))
        return search

    def _problem(self, scale: FloatArray | None) -> LinearProblem:
        in_place = self._in_place
        if in_place is None or in_place.items.shape[1] > self._largest_rotation:
            return make_frugal_problem(self._comparisons, scale)
        if self._hessian is None:
            self._hessian = in_place.sampled_gram() / 4
        return rotated_roughly(in_place, self._hessian, scale)
