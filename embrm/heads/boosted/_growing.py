r"""Gradient boosting of a pairwise loss, with either library.

.. math:: F(f) = \sum_i c_i \, \ell_i(l_i + f(x_{\text{winner}_i})
          - f(x_{\text{loser}_i}))

with :math:`l_i` the logit that the winner has already, and :math:`\ell(t) =
\mathrm{softplus}(-t)` unless labels are flipped. A boosting library wants the
gradient and the hessian of F with respect to the score of each item: those of a win
are scattered to its two items, so trees are grown on distinct items, never on pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm.heads.win_loss import LogisticLoss, WinLoss

Gradients: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Scores of the binned items -> gradient and hessian, all of shape (n_items,)."""

_LARGEST_STEP = 8.0
_STANDARD_ERRORS = 2.5
"""The best of many evaluations on one held-out set: with two errors it was too often
chance."""


@dataclass(frozen=True)
class TreePlan:
    """How to grow trees; see `BoostedBradleyTerry` for what each number does."""

    learning_rate: float
    max_leaves: int
    min_hessian: float
    l2: float
    feature_fraction: float
    item_fraction: float
    seed: int


class Forest(Protocol):
    """Fitted trees."""

    backend: ClassVar[str]
    """The library that grew them."""

    def __call__(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), float64."""

    def to_bytes(self) -> bytes:
        """Write the trees in the native format of their library."""


class Grower(Protocol):
    """A boosting library at work on binned items."""

    def step(self, gradients: Gradients) -> bool:
        """Grow one tree; return whether it has no split."""

    def forest(self, n_trees: int) -> Forest:
        """Return the first trees."""


@dataclass(frozen=True, eq=False)
class BoostingWins:
    """Wins between binned items.

    Attributes
    ----------
    winner, loser : ndarray of int of shape (n_wins,)
        Rows of the binned items.
    logit : ndarray of shape (n_wins,)
        The delta of each win by the model to start from, minus the margin, in nats.
    weight : ndarray of shape (n_wins,), > 0
    loss : WinLoss, default=LogisticLoss()
        Of each win.
    """

    winner: IntArray
    loser: IntArray
    logit: FloatArray
    weight: FloatArray
    loss: WinLoss = field(default_factory=LogisticLoss)

    def logits_with(self, scores: FloatArray) -> FloatArray:
        """Add the delta of the trees' scores, shape (n_wins,), in nats."""
        return self.logit + scores[self.winner] - scores[self.loser]

    def losses(self, scores: FloatArray) -> FloatArray:
        """Compute the loss of each win, in nats; finite for any finite logit."""
        return self.loss.evaluate(self.logits_with(scores))[0]

    def gradients(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Differentiate F by the score of each item.

        Parameters
        ----------
        scores : ndarray of shape (n_items,)

        Returns
        -------
        gradient : ndarray of shape (n_items,)
        hessian : ndarray of shape (n_items,), >= 0
            The diagonal; 0 for items without a win. A win's share is at least an
            eighth of its share of the gradient, so that no Newton step on one win
            exceeds 8 nats where the loss is nearly straight.
        """
        n_items = len(scores)
        _, slope, curvature = self.loss.evaluate(self.logits_with(scores))
        slope = self.weight * -slope
        curvature = np.maximum(self.weight * curvature, slope / _LARGEST_STEP)
        gradient, hessian = np.zeros(n_items), np.zeros(n_items)
        gradient += np.bincount(self.loser, slope, n_items)
        gradient -= np.bincount(self.winner, slope, n_items)
        hessian += np.bincount(self.loser, curvature, n_items)
        hessian += np.bincount(self.winner, curvature, n_items)
        return gradient, hessian


@dataclass(eq=False)
class EarlyStopping:
    """Held-out loss after each tree, and which number of trees was best.

    Attributes
    ----------
    held_out : BoostingWins
    history : list of float
        Mean log loss of a held-out win after 0, 1, 2, ... trees, in nats.
    best : int
        Number of trees with the least loss; the start counts as none.
    """

    held_out: BoostingWins
    history: list[float] = field(default_factory=list)
    best: int = 0
    _start_losses: FloatArray = field(init=False, repr=False)
    _best_losses: FloatArray = field(init=False, repr=False)

    def record(self, scores: FloatArray) -> None:
        """Take down the loss of one more tree (of none at the first call)."""
        losses = self.held_out.losses(scores)
        self.history.append(float(np.average(losses, weights=self.held_out.weight)))
        if len(self.history) == 1:
            self._start_losses = self._best_losses = losses
        elif self.history[-1] < self.history[self.best]:
            self.best, self._best_losses = len(self.history) - 1, losses

    @property
    def stalled_for(self) -> int:
        """How many trees ago the loss was least."""
        return len(self.history) - 1 - self.best

    def is_chance(self) -> bool:
        """Say whether the best mean gain on the start is below 2.5 standard errors."""
        weight = self.held_out.weight
        gain = self._start_losses - self._best_losses
        mean = float(np.average(gain, weights=weight))
        error = float(np.sqrt((gain - mean) ** 2 @ weight**2) / weight.sum())
        return mean <= _STANDARD_ERRORS * error


def boost(grower: Grower, wins: BoostingWins, n_trees: int) -> Forest:
    """Grow a given number of trees on all wins; fewer if no tree can split."""
    for n_grown in range(n_trees):
        if grower.step(wins.gradients):
            return grower.forest(n_grown)
    return grower.forest(n_trees)


def boost_until_stalled(
    grower: Grower,
    wins: BoostingWins,
    held_out: BoostingWins,
    *,
    max_rounds: int,
    patience: int,
) -> EarlyStopping:
    """Grow trees until the loss of held-out wins has stalled.

    The scores of held-out items come with those that the library keeps of all binned
    items, so watching the loss costs no prediction.

    Parameters
    ----------
    grower : Grower
    wins, held_out : BoostingWins
        Over the same binned items.
    max_rounds : int
        Largest number of trees that is considered.
    patience : int
        Trees without improvement after which growth ends.

    Returns
    -------
    EarlyStopping
    """
    stopping = EarlyStopping(held_out)

    def watch(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        stopping.record(scores)
        return wins.gradients(scores)

    # A loss is seen when the next tree is begun: the last one asks for one tree more.
    for _ in range(max_rounds + 1):
        if grower.step(watch) or stopping.stalled_for >= patience:
            break
    return stopping
