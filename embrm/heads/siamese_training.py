"""Training of the Siamese network: torch in here, plain arrays outside.

Every random number comes from the caller's generator; neither torch's global seed nor
its thread settings are touched.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.heads.comparisons import Comparisons

_STANDARD_ERRORS = 2.0
_LEAST_GAIN = 1e-4
_BLIND_EPOCHS = 10
"""How long to train where nothing can be held out to say when to stop."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train; see `SiameseBradleyTerry` for what each number does."""

    hidden_sizes: tuple[int, ...]
    learning_rate: float
    max_epochs: int
    batch_size: int
    weight_decay: float
    dropout: float
    patience: int
    may_keep_start: bool


@dataclass(frozen=True, eq=False)
class Network:
    """A fitted multilayer perceptron with ReLU and one output.

    Attributes
    ----------
    weights : list of ndarray of shape (n_in, n_out), float32
    biases : list of ndarray of shape (n_out,), float32
        One fewer than `weights`: a bias of the output cancels in every comparison.
    """

    weights: list[FloatArray]
    biases: list[FloatArray]

    def __call__(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), in float32 and without torch."""
        hidden = items
        for weight, bias in zip(self.weights[:-1], self.biases, strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0)
        return np.asarray((hidden @ self.weights[-1])[:, 0])


@dataclass(eq=False)
class Training:
    """What training leaves behind.

    Attributes
    ----------
    network : Network
        Of the epoch with the least held-out loss, or of epoch 0 where `may_keep_start`
        and that epoch gained less than two standard errors on it.
    best_epoch : int
    held_out_loss : list of float
        Mean held-out log loss of a win after each epoch, from epoch 0, in nats.
        Empty where nothing was held out.
    """

    network: Network
    best_epoch: int = 0
    held_out_loss: list[float] = field(default_factory=list)


def train_network(
    items: FloatArray,
    comparisons: Comparisons,
    lead: FloatArray,
    split: tuple[BoolArray, BoolArray],
    plan: TrainingPlan,
    rng: np.random.Generator,
) -> Training:
    """Fit a network f so that f(winner) - f(loser) + lead is large, on held-out wins.

    Minimises the weighted mean of softplus(-(f(winner) - f(loser) + lead)) by AdamW in
    batches of wins. The output layer starts at zero, so that epoch 0 is the
    model that `lead` stands for.

    Parameters
    ----------
    items : ndarray of shape (n_items, d), float32, standardised
    comparisons : Comparisons
        The wins; its own items are not used.
    lead : ndarray of shape (n_wins,)
        What another model says about each win, minus the margin, in nats.
    split : (train, validation)
        Masks of shape (n_wins,). With an empty validation mask the start is kept
        where it may be, else training ends after ten epochs.
    plan : TrainingPlan
    rng : numpy.random.Generator

    Returns
    -------
    Training
    """
    train, validation = (np.flatnonzero(mask) for mask in split)
    weight = comparisons.weight / comparisons.weight[train].mean()
    wins = _Wins(items, comparisons.winner, comparisons.loser, lead, weight)
    model = _Model(items.shape[1], plan, rng)
    if len(validation) == 0:
        n_epochs = 0 if plan.may_keep_start else min(_BLIND_EPOCHS, plan.max_epochs)
        for _ in range(n_epochs):
            model.run_epoch(wins, train, rng)
        return Training(model.network(), n_epochs)
    start = model.network()
    start_losses = best_losses = wins.losses(start, validation)
    best = Training(start)
    history = best.held_out_loss
    history.append(float(np.average(start_losses, weights=weight[validation])))
    for epoch in range(1, plan.max_epochs + 1):
        model.run_epoch(wins, train, rng)
        network = model.network()
        losses = wins.losses(network, validation)
        history.append(float(np.average(losses, weights=weight[validation])))
        must_leave_start = epoch == 1 and not plan.may_keep_start
        if history[-1] < history[best.best_epoch] or must_leave_start:
            best.network, best.best_epoch, best_losses = network, epoch, losses
        if epoch - best.best_epoch >= plan.patience:
            break
    gain = start_losses - best_losses
    if plan.may_keep_start and _is_chance(gain, comparisons.weight[validation]):
        best.network, best.best_epoch = start, 0
    return best


def _is_chance(gain: FloatArray, weight: FloatArray) -> bool:
    """Say whether a mean gain is below two standard errors of it, or negligible."""
    mean = float(np.average(gain, weights=weight))
    error = float(np.sqrt((gain - mean) ** 2 @ weight)) / float(weight.sum())
    return mean < max(_STANDARD_ERRORS * error, _LEAST_GAIN)


@dataclass(frozen=True, eq=False)
class _Wins:
    items: FloatArray
    winner: IntArray
    loser: IntArray
    lead: FloatArray
    weight: FloatArray

    def losses(self, network: Network, wins: IntArray) -> FloatArray:
        """Compute the log loss of some wins, in nats, without torch."""
        rows, ids = self.distinct_items(wins)
        score = network(self.items[rows]).astype(np.float64)
        delta = score[ids[0]] - score[ids[1]] + self.lead[wins]
        return np.asarray(np.logaddexp(0, -delta))

    def distinct_items(self, wins: IntArray) -> tuple[IntArray, IntArray]:
        """List the distinct items of some wins, and both ends as positions in them."""
        ends = np.stack([self.winner[wins], self.loser[wins]])
        rows, ids = np.unique(ends, return_inverse=True)
        return rows, ids.reshape(ends.shape)


class _Model:
    """The torch side: parameters, optimiser and dropout."""

    def __init__(
        self, n_features: int, plan: TrainingPlan, rng: np.random.Generator
    ) -> None:
        self.torch: Any = import_optional("torch", extra="torch")
        self.plan = plan
        sizes = [n_features, *plan.hidden_sizes, 1]
        shapes = list(pairwise(sizes))
        # He et al. 2015 (arXiv:1502.01852), eq. 10, but for the output, which is 0.
        drawn = [rng.normal(0, np.sqrt(2 / m), (m, n)) for m, n in shapes[:-1]]
        self.weights = [self._parameter(w) for w in [*drawn, np.zeros(shapes[-1])]]
        self.biases = [self._parameter(np.zeros(n)) for n in plan.hidden_sizes]
        self.optimiser = self.torch.optim.AdamW(
            [
                {"params": self.weights, "weight_decay": plan.weight_decay},
                {"params": self.biases, "weight_decay": 0.0},
            ],
            lr=plan.learning_rate,
        )
        self.generator = self.torch.Generator().manual_seed(int(rng.integers(2**31)))

    def run_epoch(self, wins: _Wins, train: IntArray, rng: np.random.Generator) -> None:
        """Take one optimiser step for each batch of training wins."""
        torch = self.torch
        n_batches = max(1, round(len(train) / self.plan.batch_size))
        for batch in np.array_split(rng.permutation(train), n_batches):
            rows, ids = wins.distinct_items(batch)
            score = self._score(torch.from_numpy(wins.items[rows]))
            first, second = torch.from_numpy(ids)
            lead = torch.from_numpy(wins.lead[batch].astype(np.float32))
            weight = torch.from_numpy(wins.weight[batch].astype(np.float32))
            delta = score.index_select(0, first) - score.index_select(0, second) + lead
            loss = (weight * torch.nn.functional.softplus(-delta)).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()

    def network(self) -> Network:
        """Copy the parameters out of torch."""
        return Network(
            [w.detach().numpy().copy() for w in self.weights],
            [b.detach().numpy().copy() for b in self.biases],
        )

    def _score(self, items: Any) -> Any:
        hidden = items
        for weight, bias in zip(self.weights[:-1], self.biases, strict=True):
            hidden = self.torch.relu(hidden @ weight + bias)
            if self.plan.dropout > 0:
                keep = 1 - self.plan.dropout
                drawn = self.torch.rand(hidden.shape, generator=self.generator)
                hidden = hidden * (drawn < keep) / keep
        return (hidden @ self.weights[-1])[:, 0]

    def _parameter(self, array: FloatArray) -> Any:
        return self.torch.from_numpy(array.astype(np.float32)).requires_grad_()
