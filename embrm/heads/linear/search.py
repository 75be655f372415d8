r"""Choose the prior of the linear head by grouped cross-validation.

A penalty is stated as a prior: with penalty alpha the delta of two items has prior
standard deviation tau = sqrt(E ||x_1 - x_2||^2 / alpha) nats on average. This does not
depend on the scale of the vectors, their dimension or the number of pairs, so one grid
of tau fits all data.

A penalty decides two things: the direction of the weights, i.e. the order of items, and
their length, i.e. how sure predictions are. Log loss punishes deltas that are too small
as it does a wrong order, and so takes weak penalties, whose directions follow the noise
of the labels. So each penalty is judged by the held-out loss at its *best scale*, and
the scale is fitted apart, on the same held-out wins.

Held-out wins separate penalties only roughly where labels are noisy, or where few
cross-prompt pairs have both ends held out. So tau has a broad hyperprior, log-normal
with median 0.4 nats, and the choice is the mean of log tau given the held-out losses:

.. math:: p(\tau) \propto \exp\Bigl(-\sum_i c_i \min_s \ell_i(s \delta_i)
          - \frac{1}{2 s_0^2} \log^2 \frac{\tau}{\tau_0}\Bigr)

Where most pairs are across prompts, whole *items* are held out rather than prompts, and
what a prompt is worth has a scale of its own: it cancels between responses to one
prompt. The scale of columns and effects of prompts are chosen by the same held-out
wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.design import (
    N_FOLDS,
    Design,
    FitSettings,
    PromptEffects,
    scale_of_columns,
)
from embrm.heads.linear.differences import Differences
from embrm.heads.linear.newton import DiagonalCoordinates
from embrm.heads.linear.path import FoldPath
from embrm.heads.linear.posterior import evidence_penalties
from embrm.heads.validation_split import (
    grouped_folds,
    held_out_by_item,
    strongest_within_one_error,
    subsample_comparisons,
)

STRONG_PRIOR = 1.0
"""Prior standard deviation of a delta, in nats, with too few wins to choose one."""

USUAL_PRIOR = 0.4
"""The same, in nats: median of the prior of tau."""

_SPREAD = 1.5
"""Standard deviation of the logarithm of tau: about a factor of four."""

_PRIORS = np.geomspace(0.01, 30.0, 16)
_FEWEST_HELD_OUT = 20
_PATIENCE = 3
_HOPELESS = 8.0
"""Nats by which a penalty is worse than the best where it no longer counts."""

_ENOUGH_TO_CHOOSE = 20_000
"""Wins that a penalty is chosen on where there are more."""

_ALIKE = 1.1
"""Ratio of columns' deviations up to which it does not matter to standardise."""

_MOST_IN_EVIDENCE = 1536
"""Columns of items and prompts together of which an evidence is computed."""

_LARGEST_RATIO = 1e4
"""Of the penalties of two blocks."""

_ITEMS_OF_A_PROMPT = 2.0
"""Items of a prompt, on average, from which their mean is told from each."""


@dataclass(frozen=True, eq=False)
class PenaltySearch:
    """What was tried and chosen.

    Attributes
    ----------
    alpha : float
        The penalty chosen, on the columns divided by the scale of the prior.
    start : ndarray of shape (k,)
        Mean of the fits of all folds at `alpha`.
    scale : float > 0
        Factor on the deltas of these fits with the least held-out loss; 1 where none
        was fitted.
    scale_error : float
        Its standard error, relative to it.
    doubt : ndarray of shape (k, n_tried)
        Columns b_j whose outer products add up to the covariance of scaled weights
        over the likely penalties.
    alphas : ndarray of shape (n_tried,)
        Descending; empty with too few wins to choose.
    held_out_loss : ndarray of shape (n_tried,)
        Mean held-out loss of a win at the best scale, in nats.
    losses, weight : ndarray of shape (n_held_out,)
        Loss of each held-out win at `alpha` and the best scale, and its weight.
    coordinates : DiagonalCoordinates or None
        In which the Hessian of a fit at `alpha` is about one, where that was found.
    """

    alpha: float
    start: FloatArray
    scale: float = 1.0
    scale_error: float = 0.0
    doubt: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    alphas: FloatArray = field(default_factory=lambda: np.empty(0))
    held_out_loss: FloatArray = field(default_factory=lambda: np.empty(0))
    losses: FloatArray = field(default_factory=lambda: np.empty(0))
    weight: FloatArray = field(default_factory=lambda: np.empty(0))
    coordinates: DiagonalCoordinates | None = None

    def has_less_loss_than(self, other: "PenaltySearch") -> bool:
        """Compare the held-out losses of two searches, on the same wins."""
        tried = len(self.weight) and len(other.weight)
        return bool(tried and self.weight @ self.losses < other.weight @ other.losses)

    def is_clearly_worse(self, other: "PenaltySearch") -> bool:
        """Say whether another search has less loss by over one standard error.

        Both must have held out the same wins.
        """
        if not len(self.weight):
            return False
        losses = np.stack([self.losses, other.losses])
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
    loss. Where items have blocks, each is scaled by itself, and the ratios of their
    penalties are those with the most evidence. Prompts have effects where that lowers
    the held-out loss.

    Parameters
    ----------
    comparisons : Comparisons
    settings : FitSettings

    Returns
    -------
    Prior
    """
    scale = scale_of_columns(comparisons, settings)
    if settings.alpha is not None:
        return _given_prior(comparisons, settings, scale, settings.alpha)
    trial = Trial.of(comparisons, settings)
    if comparisons.blocks is not None and len(comparisons.blocks) > 1:
        scale = trial.scale_of_blocks(scale, list(comparisons.blocks.values()))
    bare = None
    undecided = comparisons.blocks is None and settings.standardise is None
    if undecided and _matters(scale, len(comparisons.items)):
        bare = trial.search(None)
    search = trial.search(scale)
    if bare is not None and search.is_clearly_worse(bare):
        scale, search = None, bare
    effects = None
    if settings.prompt_effects is not False and trial.tells_prompts:
        effects = PromptEffects.of(comparisons, scale)
    if effects is not None:
        known = trial.search(scale, effects)
        if settings.prompt_effects or known.has_less_loss_than(search):
            search, scale = known, effects.pad(scale)
        else:
            effects = None
    return Prior(Design(comparisons, settings, effects), scale, search)


class Trial:
    """Some of the wins, on which priors are tried.

    Parameters
    ----------
    comparisons : Comparisons
        Those wins.
    settings : FitSettings
    share : float
        How many times as many all wins weigh.
    """

    def __init__(
        self, comparisons: Comparisons, settings: FitSettings, share: float = 1.0
    ) -> None:
        self.comparisons, self.settings, self.share = comparisons, settings, share
        # Held-out wins across prompts are about responses: items are held out.
        self._by_item = held_out_by_item(comparisons)
        self.folds = grouped_folds(self._by_item, N_FOLDS)
        self.loss = Design.labels_of(comparisons, settings).loss(comparisons)
        self._latest: tuple[FloatArray | None, Differences] | None = None

    @classmethod
    def of(cls, comparisons: Comparisons, settings: FitSettings) -> "Trial":
        """Take whole units of wins, about 20,000 where there are more."""
        some = subsample_comparisons(comparisons, _ENOUGH_TO_CHOOSE)
        share = float(comparisons.weight.sum() / some.weight.sum())
        return cls(some, settings, share)

    def search(
        self, scale: FloatArray | None, effects: PromptEffects | None = None
    ) -> PenaltySearch:
        """Choose the penalty on columns divided by a scale.

        Parameters
        ----------
        scale : ndarray of shape (d,) or None
        effects : PromptEffects, optional
            To be fitted along.
        """
        differences = self._differences(scale)
        if effects is not None:
            differences = differences.with_effects(effects.size / differences.root)
        turn = None
        if self.settings.whitening > 0:
            turn = Design(self.comparisons, self.settings).problem(scale).basis
        if turn is not None:
            differences = differences.turned(turn)
        root = differences.root
        if sum(int(held.sum()) for _, held in self.folds) < _FEWEST_HELD_OUT:
            zero = np.zeros(len(turn) if turn is not None else differences.n_weights)
            return PenaltySearch(root**2 / STRONG_PRIOR**2, zero)
        margin = self.comparisons.margin
        free = self.settings.free_scale
        path = FoldPath(differences, self.loss, margin, self.folds, free_scale=free)
        found = self._in_units(follow(path), path, root)
        if turn is not None:
            start, doubt = turn @ found.start, turn @ found.doubt
            found = replace(found, start=start, doubt=doubt, coordinates=None)
        return found

    def scale_of_blocks(
        self, scale: FloatArray | None, blocks: Sequence[slice]
    ) -> FloatArray:
        """Scale blocks so that one penalty stands for a prior of each.

        Blocks are made alike in the mean square of their differences, and then set
        apart by the ratios of the penalties that make the wins most probable.

        Parameters
        ----------
        scale : ndarray of shape (d,) or None
            Of the columns within each block.
        blocks : sequence of slice

        Returns
        -------
        ndarray of shape (d,)
        """
        d = self.comparisons.items.shape[1]
        whole = np.ones(d) if scale is None else scale.astype(np.float64)
        sizes = [part.stop - part.start for part in blocks]
        rows = self._differences(whole).rows
        square = np.array(
            [np.einsum("ij,ij->", rows[:, p], rows[:, p]) for p in blocks]
        )
        square = np.maximum(square, 1e-12 * square.max())
        alike = whole * np.repeat(np.sqrt(square / square.max()), sizes)
        differences, parts = self._differences(alike), list(blocks)
        if differences.ends is not None:
            # What prompts are worth would else be evidence for whatever fits it.
            with_prompts = differences.with_effects(1.0)
            if with_prompts.n_weights <= _MOST_IN_EVIDENCE:
                parts.append(slice(d, with_prompts.n_weights))
                differences = with_prompts
        margin = self.comparisons.margin
        found = evidence_penalties(differences, self.loss, margin, parts)
        penalties = found[: len(blocks)]
        ratios = np.clip(penalties / penalties.min(), 1.0, _LARGEST_RATIO)
        return np.asarray(alike * np.repeat(np.sqrt(ratios), sizes))

    def _differences(self, scale: FloatArray | None) -> Differences:
        if self._latest is None:
            groups = self.comparisons.groups if self.tells_prompts else None
            self._latest = (scale, Differences.of(self.comparisons, scale, groups))
        latest, made = self._latest
        if latest is not scale:
            one = np.ones(made.n_columns)
            by = (one if scale is None else scale) / (one if latest is None else latest)
            self._latest = (scale, made.divided(by))
        return self._latest[1]

    @property
    def tells_prompts(self) -> bool:
        """Whether the items of a prompt are told from their mean.

        Without, effects of prompts cannot be tried: they are where they were asked for.
        """
        groups = self.comparisons.groups
        if groups is None or self._by_item is self.comparisons:
            return False
        if self.settings.prompt_effects is True:
            return True
        return bool(len(groups) >= _ITEMS_OF_A_PROMPT * (int(groups.max()) + 1))

    def _in_units(
        self, found: PenaltySearch, path: FoldPath, root: float
    ) -> PenaltySearch:
        """Write a search in units of the scaled columns, and of all wins."""
        coordinates = None
        if path.square_basis is not None:
            curvature = self.share * root**2 * path.curvature.astype(np.float64)
            basis = path.square_basis.astype(np.float64)
            alpha = found.alpha * root**2
            coordinates = DiagonalCoordinates.of(curvature, alpha, basis)
        return replace(
            found,
            alpha=found.alpha * root**2,
            alphas=found.alphas * root**2,
            start=found.start / root,
            doubt=found.doubt / root,
            coordinates=coordinates,
        )


def follow(path: FoldPath) -> PenaltySearch:
    """Follow a path from strong to weak, and choose a penalty.

    The path ends when three penalties in a row are hopeless. The fit at the mean of log
    tau is found from the nearest one tried.

    Parameters
    ----------
    path : FoldPath

    Returns
    -------
    PenaltySearch
        In units in which alpha is 1 / tau^2.
    """
    surprise = (np.log(_PRIORS / USUAL_PRIOR) / _SPREAD) ** 2 / 2
    weight = path.held_weight
    costs, positions = list[float](), list[FloatArray]()
    scaled = list[FloatArray]()
    for tau in _PRIORS:
        fit = path.fit(float(tau**-2))
        positions.append(path.position)
        scaled.append(fit.scale * fit.weights.mean(axis=1, dtype=np.float64))
        costs.append(float(weight @ fit.losses))
        cost = np.array(costs) + surprise[: len(costs)]
        if (cost[-_PATIENCE:] > cost.min() + _HOPELESS).all():
            break
    taus = _PRIORS[: len(costs)]
    likely = np.exp(cost.min() - cost)
    likely /= likely.sum()
    tau = float(np.exp(likely @ np.log(taus)))
    path.restart(positions[int(np.argmin(np.abs(np.log(taus / tau))))])
    chosen = path.fit(tau**-2)
    return PenaltySearch(
        alpha=tau**-2,
        start=chosen.weights.mean(axis=1, dtype=np.float64),
        scale=chosen.scale,
        scale_error=chosen.scale_error,
        doubt=_deviations(np.stack(scaled, axis=1), likely),
        alphas=taus**-2.0,
        held_out_loss=np.array(costs) / weight.sum(),
        losses=chosen.losses,
        weight=weight,
    )


def _matters(scale: FloatArray | None, n_items: int) -> bool:
    """Say whether columns differ enough for their scale to matter.

    By more than deviations of so many items do by chance: their logarithms have a
    standard error of 1 / sqrt(2 n), and d of them reach sqrt(2 log d) such errors.
    """
    if scale is None:
        return False
    by_chance = 2 * np.sqrt(2 * np.log(len(scale)) / (2 * n_items))
    return bool(scale.max() > max(_ALIKE, float(np.exp(by_chance))) * scale.min())


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


def _deviations(weights: FloatArray, likely: FloatArray) -> FloatArray:
    """Compute columns whose outer products add up to the covariance, (k, n)."""
    return np.asarray((weights - (weights @ likely)[:, None]) * np.sqrt(likely))


def penalty_at_scale_one(comparisons: Comparisons) -> float:
    """Choose the plain penalty of a head whose rewards are not scaled afterwards.

    Parameters
    ----------
    comparisons : Comparisons

    Returns
    -------
    float > 0
    """
    settings = FitSettings(reward_scale=1.0)
    return Trial.of(comparisons, settings).search(None).alpha
