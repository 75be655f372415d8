"""Choose the prior of the linear head by grouped cross-validation.

A penalty is stated as a prior: with penalty alpha the delta of two items has prior
standard deviation tau = sqrt(E ||x_1 - x_2||^2 / alpha) nats on average. This does not
depend on the scale of the vectors, their dimension or the number of pairs, so one grid
of tau fits all data.

Held-out wins separate penalties only roughly where labels are noisy, or where few
cross-prompt pairs have both prompts held out. So tau has a hyperprior, log-normal with
median 0.5 nats, which is typical of rewards on dense vectors, and the choice is the
most probable tau given the held-out losses: the hyperprior decides only where the data
do not. Over 246 tasks on pools of real text with synthetic gold
(`benchmarks/choose_penalty.py`) its order consistency is higher by 0.25 points, with a
standard error of 0.05, than with the strongest penalty within one standard error, and
by 0.05 +- 0.02 points than with the penalty of least loss.

The scale of columns and effects of prompts are chosen by the same held-out wins.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.design import Design, FitSettings, PromptEffects, column_scale
from embrm.heads.linear.newton import DiagonalCoordinates, minimise
from embrm.heads.linear.problem import LinearProblem, mean_square_difference
from embrm.heads.validation_split import split_units, strongest_within_one_error

STRONG_PRIOR = 1.0
"""Prior standard deviation of a delta, in nats, with too few wins to choose one."""

USUAL_PRIOR = 0.5
"""The same, in nats: median of the prior of tau."""

_SPREAD = 0.7
"""Standard deviation of the logarithm of tau: about a factor of two."""

_PRIORS = np.geomspace(0.03, 30.0, 13)
_FEWEST_HELD_OUT = 20
_MANY_WINS = 20_000
_PATIENCE = 3
_TOLERANCE = 1e-3
_MAX_ITER = 30

_ENOUGH_TO_CHOOSE = 50_000
"""Wins that a penalty is chosen on where there are many more."""

_ENOUGH_WITHIN, _ENOUGH_ACROSS = 1_500, 4_000
"""Held-out wins to choose by; across prompts they decide about effects, too."""

_FEWEST_TO_SCALE = 50
"""Items below which the variance of a column is too uncertain to use."""

_ALIKE = 1.1
"""Ratio of columns' deviations up to which it does not matter to standardise."""


@dataclass(frozen=True, eq=False)
class PenaltySearch:
    """What was tried and chosen.

    Attributes
    ----------
    alpha : float
        The most probable penalty given the held-out losses.
    start : ndarray of shape (k,)
        Weights to start a fit at `alpha` from.
    alphas : ndarray of shape (n_tried,)
        Descending; empty with too few wins to choose.
    held_out_loss : ndarray of shape (n_tried,)
        Mean held-out loss of a win, in nats.
    least_losses, weight : ndarray of shape (n_held_out,)
        Loss of each held-out win at the penalty of least loss, and its weight.
    coordinates : DiagonalCoordinates or None
        In which the Hessian of a fit at `alpha` is about one, where that was found.
    """

    alpha: float
    start: FloatArray
    alphas: FloatArray = field(default_factory=lambda: np.empty(0))
    held_out_loss: FloatArray = field(default_factory=lambda: np.empty(0))
    least_losses: FloatArray = field(default_factory=lambda: np.empty(0))
    weight: FloatArray = field(default_factory=lambda: np.empty(0))
    coordinates: DiagonalCoordinates | None = None

    def has_less_loss_than(self, other: "PenaltySearch") -> bool:
        """Compare the least held-out losses of two searches, on the same wins."""
        tried = len(self.held_out_loss) and len(other.held_out_loss)
        return bool(tried and self.held_out_loss.min() < other.held_out_loss.min())

    def is_clearly_worse(self, other: "PenaltySearch") -> bool:
        """Say whether another search has less loss by over one standard error.

        Both must have held out the same wins.
        """
        if not len(self.weight):
            return False
        losses = np.stack([self.least_losses, other.least_losses])
        return strongest_within_one_error(losses, self.weight) == 1


@dataclass(frozen=True, eq=False)
class Prior:
    """The prior of a fit, and the design to fit under it.

    Attributes
    ----------
    design : Design
        Of all wins, with effects of prompts if those were chosen.
    scale : ndarray of shape (n_columns,) or None
        By which columns are divided.
    search : PenaltySearch
        Its start is in the user's coordinates, on scaled columns.
    """

    design: Design
    scale: FloatArray | None
    search: PenaltySearch


def choose_prior(comparisons: Comparisons, settings: FitSettings) -> Prior:
    """Choose scale, prompt effects and penalty, unless given.

    Columns are standardised unless one has more variance than all others together, or
    the original columns are better by more than one standard error of the held-out
    loss. Prompts have effects where that lowers the held-out loss.

    Parameters
    ----------
    comparisons : Comparisons
    settings : FitSettings

    Returns
    -------
    Prior
    """
    scale: FloatArray | None = None
    if settings.standardise is not False and len(comparisons.items) >= _FEWEST_TO_SCALE:
        dominated = settings.standardise is None
        scale = column_scale(comparisons.items, unless_dominated=dominated)
    if settings.alpha is not None:
        return _given_prior(comparisons, settings, scale, settings.alpha)
    some = subsample_comparisons(comparisons, _ENOUGH_TO_CHOOSE)
    share = len(comparisons) / len(some)
    design = Design(some, settings)
    bare = None
    if settings.standardise is None and _matters(scale):
        bare = _search(design, None, share)
    search = _search(design, scale, share)
    if bare is not None and search.is_clearly_worse(bare):
        scale, search = None, bare
    effects = None
    if settings.prompt_effects is not False:
        effects = PromptEffects.of(comparisons, scale)
    if effects is not None:
        joint, padded = Design(some, settings, effects), effects.pad(scale)
        known = _search(joint, padded, share)
        if settings.prompt_effects or known.has_less_loss_than(search):
            design, scale, search = joint, padded, known
    if some is not comparisons:
        design = Design(comparisons, settings, design.effects)
    return Prior(design, scale, search)


def _matters(scale: FloatArray | None) -> bool:
    """Say whether columns differ enough for their scale to matter."""
    return scale is not None and bool(scale.max() > _ALIKE * scale.min())


def _given_prior(
    comparisons: Comparisons,
    settings: FitSettings,
    scale: FloatArray | None,
    alpha: float,
) -> Prior:
    """Take penalty and start from the settings, as far as they fit the data."""
    effects = PromptEffects.of(comparisons, scale) if settings.prompt_effects else None
    start: FloatArray = np.zeros(comparisons.items.shape[1])
    if settings.start is not None and len(settings.start) == len(start):
        start = settings.start if scale is None else settings.start * scale
    if effects is not None:
        start = np.append(start, np.zeros(effects.n_prompts))
        scale = effects.pad(scale)
    coordinates = settings.coordinates
    if coordinates is not None and len(coordinates.scale) != len(start):
        coordinates = None
    given = PenaltySearch(alpha, start, coordinates=coordinates)
    return Prior(Design(comparisons, settings, effects), scale, given)


def _search(design: Design, scale: FloatArray | None, share: float) -> PenaltySearch:
    """Choose the penalty of some wins, of which there are `share` times as many."""
    problem = design.search_problem(scale)
    square = mean_square_difference(problem) - design.square_of_effects
    enough = _ENOUGH_ACROSS if design.is_across else _ENOUGH_WITHIN
    search = search_penalty(problem, design.folds, square=square, enough=enough)
    basis, coordinates = problem.basis, None
    if basis is not None and problem.stretch is None and len(basis) == basis.shape[1]:
        curvature = share * problem.curvature
        coordinates = DiagonalCoordinates.of(curvature, search.alpha, basis)
    start = problem.to_user(search.start)
    return replace(search, start=start, coordinates=coordinates)


def search_penalty(
    problem: LinearProblem,
    folds: list[tuple[BoolArray, BoolArray]],
    *,
    square: float | None = None,
    enough: int = _ENOUGH_WITHIN,
) -> PenaltySearch:
    r"""Choose the penalty by held-out loss, from strong to weak.

    The path starts at the strongest penalty, each fit starts from the last one, and
    the search ends when the choice has not changed three times in a row. It minimises

    .. math:: \sum_i c_i \ell_i(\tau) + \frac{1}{2 s^2} \log^2 \frac{\tau}{\tau_0}

    over held-out wins i, with the median tau_0 and spread s of the prior of tau. With
    fewer than 20 held-out wins the penalty is that of `STRONG_PRIOR`.

    Parameters
    ----------
    problem : LinearProblem
        In coordinates where the prior is a plain ridge.
    folds : list of (train, held_out)
        Masks of wins, as `grouped_folds` returns them. From 20,000 wins on, no more of
        them are used than hold out `enough`.
    square : float, optional
        E ||x_1 - x_2||^2 of the columns that tau is about; by default all of them.
    enough : int, default=1500
        Held-out wins by which the penalty is chosen where there are many wins.

    Returns
    -------
    PenaltySearch
    """
    folds = _enough_folds(folds, enough)
    square = mean_square_difference(problem) if square is None else square
    zero: FloatArray = np.zeros(len(problem.curvature))
    if sum(int(held.sum()) for _, held in folds) < _FEWEST_HELD_OUT:
        return PenaltySearch(square / STRONG_PRIOR**2, zero)
    parts = [(problem.take(train), problem.take(held)) for train, held in folds]
    weight = np.concatenate([held.weight for _, held in parts])
    alphas = square / _PRIORS**2
    surprise = (np.log(_PRIORS / USUAL_PRIOR) / _SPREAD) ** 2 / 2
    losses, costs = list[FloatArray](), list[float]()
    fits = [zero] * len(parts)
    means = list[FloatArray]()
    for alpha in alphas:
        pairs = zip(parts, fits, strict=True)
        fits = [_fit(train, float(alpha), start) for (train, _), start in pairs]
        losses.append(_held_out_losses(parts, fits))
        means.append(np.mean(fits, axis=0))
        costs.append(float(weight @ losses[-1] + surprise[len(costs)]))
        if len(costs) - 1 - int(np.argmin(costs)) >= _PATIENCE:
            break
    chosen = int(np.argmin(costs))
    mean_losses = np.array(losses) @ weight / weight.sum()
    return PenaltySearch(
        float(alphas[chosen]),
        means[chosen],
        alphas[: len(costs)],
        mean_losses,
        losses[int(np.argmin(mean_losses))],
        weight,
    )


def _enough_folds(
    folds: list[tuple[BoolArray, BoolArray]], enough: int
) -> list[tuple[BoolArray, BoolArray]]:
    """Keep the folds whose held-out wins suffice to compare penalties."""
    n_held_out = np.cumsum([int(held.sum()) for _, held in folds])
    if not folds or len(folds[0][0]) < _MANY_WINS:
        return folds
    return folds[: int(np.searchsorted(n_held_out, enough)) + 1]


def _fit(problem: LinearProblem, alpha: float, start: FloatArray) -> FloatArray:
    return minimise(problem, alpha, start, tol=_TOLERANCE, max_iter=_MAX_ITER)[0]


def _held_out_losses(
    parts: list[tuple[LinearProblem, LinearProblem]], fits: list[FloatArray]
) -> FloatArray:
    """Compute the loss of each held-out win by the fit to the others of its fold."""
    pairs = zip(parts, fits, strict=True)
    losses = [held.loss.evaluate(held.logit(w))[0] for (_, held), w in pairs]
    return np.concatenate(losses)


def subsample_comparisons(comparisons: Comparisons, n_wins: int) -> Comparisons:
    """Keep about `n_wins` wins, all those within some units of splitting.

    The penalty belongs to the prior and not to the number of wins: what is best for a
    large part is about the best for all. Whole units are kept, so that folds by unit
    hold out what they would of all wins.

    Parameters
    ----------
    comparisons : Comparisons
    n_wins : int, >= 1

    Returns
    -------
    Comparisons
        With the items of these wins alone; the same one if it has no more than
        `n_wins`. The draw is always the same for the same units.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> pairs = Pairs(np.eye(60), np.arange(60).reshape(30, 2), np.arange(60) // 6)
    >>> few = subsample_comparisons(make_comparisons(pairs), 10)
    >>> len(few), few.items.shape
    (12, (24, 60))
    """
    if len(comparisons) <= n_wins:
        return comparisons
    units = split_units(comparisons)
    draw = np.random.default_rng(0).permutation(int(units.max()) + 1)[units]
    last = np.maximum(draw[comparisons.winner], draw[comparisons.loser])
    kept = last <= np.sort(last)[n_wins - 1]
    wins = comparisons.take(kept)
    rows, ends = np.unique(np.stack([wins.winner, wins.loser]), return_inverse=True)
    winner, loser = ends.reshape(2, -1)
    groups = comparisons.groups
    return replace(
        wins,
        items=comparisons.items[rows],
        winner=winner,
        loser=loser,
        groups=None if groups is None else groups[rows],
    )
