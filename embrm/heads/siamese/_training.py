"""Training of the Siamese network: batches, loss, early stopping.

Every random number comes from the caller's generator; neither torch's global seed nor
its thread settings are touched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from typing import Any, TypeAlias

import numpy as np

from embrm._optional import import_optional
from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import Integer, check_parameters
from embrm.heads.comparisons import Comparisons
from embrm.heads.siamese._mixing import scaled_loss
from embrm.heads.siamese.losses import (
    LOSSES,
    Loss,
    of_flipped,
    smoothed,
    weight_of_flipped,
)
from embrm.heads.siamese.network import (
    Network,
    TrainableNetwork,
    choose_device,
    computes_bfloat16,
)
from embrm.heads.validation_split import split_units
from embrm.heads.win_loss import HeldOut

WINS_OF_EPOCH = 20_000
"""An epoch is a pass over the wins, but no more than these: many wins need few passes,
and to look at the held-out loss is cheap."""

_BLIND_EPOCHS = 10
"""How long to train where nothing can be held out for early stopping."""

_LAYERS_BY_WINS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (100_000, (256,)),
    (0, (64,)),
)
"""From how many wins on which hidden layers are used."""

_WORTH_BFLOAT16 = 5e9
"""Multiplications of an epoch from which rounding costs less than waiting."""

Split: TypeAlias = tuple[BoolArray, BoolArray]
"""Masks of shape (n_wins,): training and held-out wins of a member."""


Ends: TypeAlias = tuple[FloatArray, IntArray]
"""Items (n_items, d), and winners and losers (2, n_wins) as positions in them."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train; see `SiameseBradleyTerry` for what each number does."""

    hidden_sizes: tuple[int, ...]
    n_members: int
    loss: Loss
    learning_rate: float
    cosine: bool
    max_epochs: int
    batch_size: int
    whole_prompts: bool
    weight_decay: float
    dropout: float
    max_grad_norm: float
    centering: float
    patience: int
    bfloat16: bool

    @classmethod
    def of(
        cls, params: Mapping[str, Any], n_wins: int, n_features: int
    ) -> "TrainingPlan":
        """Settle the parameters that are "auto".

        Parameters
        ----------
        params : mapping
            Of a `SiameseBradleyTerry`, by name, checked.
        n_wins, n_features : int
        """
        hidden = _hidden_sizes(params["hidden_sizes"], n_wins)
        sizes = (n_features, *hidden)
        batch_size = params["batch_size"]
        return cls(
            hidden_sizes=hidden,
            n_members=int(params["ensemble_size"]),
            loss=smoothed(LOSSES[params["loss"]], float(params["label_smoothing"])),
            learning_rate=float(params["learning_rate"]),
            cosine=params["schedule"] == "cosine",
            max_epochs=int(params["max_epochs"]),
            batch_size=_batch_size(n_wins) if batch_size == "auto" else int(batch_size),
            whole_prompts=params["batching"] == "prompts",
            weight_decay=float(params["weight_decay"]),
            dropout=float(params["dropout"]),
            max_grad_norm=float(params["max_grad_norm"]),
            centering=float(params["centering"]),
            patience=int(params["patience"]),
            bfloat16=_uses_bfloat16(params["precision"], n_wins, sizes),
        )


def _hidden_sizes(hidden: Any, n_wins: int) -> tuple[int, ...]:
    if isinstance(hidden, str):
        return next(sizes for fewest, sizes in _LAYERS_BY_WINS if n_wins >= fewest)
    sizes = hidden if isinstance(hidden, tuple | list) else (hidden,)
    for n in sizes:
        check_parameters({"hidden_sizes": n}, {"hidden_sizes": [Integer(1)]})
    return tuple(int(n) for n in sizes)


def _batch_size(n_wins: int) -> int:
    return min(1024, max(128, n_wins // 50))


def _uses_bfloat16(precision: str, n_wins: int, sizes: tuple[int, ...]) -> bool:
    if precision != "auto":
        return precision == "bfloat16"
    n_products = sum(m * n for m, n in pairwise(sizes)) * n_wins
    return n_products >= _WORTH_BFLOAT16 and computes_bfloat16()


@dataclass(eq=False)
class Training:
    """What training leaves behind.

    Attributes
    ----------
    network : Network
        Of the epoch with the least held-out loss.
    best_epoch : int
    held_out_loss : list of float
        Mean log loss of a held-out win at the best scale of the network's output,
        after each epoch, from epoch 0, in nats. Empty where nothing was held out.
    """

    network: Network
    best_epoch: int = 0
    held_out_loss: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Wins:
    """What is trained on: wins between items.

    Attributes
    ----------
    items : ndarray of shape (n_items, d), float32, standardised
    winner, loser : ndarray of int of shape (n_wins,)
    margin, weight : ndarray of shape (n_wins,)
    groups : ndarray of int of shape (n_items,)
        Prompt of each item, or its connected component where prompts are unknown.
    flip_rate : ndarray of shape (n_wins,), or None
        As in `Comparisons`.
    """

    items: FloatArray
    winner: IntArray
    loser: IntArray
    margin: FloatArray
    weight: FloatArray
    groups: IntArray
    flip_rate: FloatArray | None = None

    @classmethod
    def of(cls, items: FloatArray, comparisons: Comparisons) -> "Wins":
        """Take the wins of comparisons, with other items."""
        return cls(
            items,
            comparisons.winner,
            comparisons.loser,
            comparisons.margin,
            comparisons.weight,
            split_units(comparisons),
            comparisons.flip_rate,
        )

    @cached_property
    def prompt(self) -> IntArray:
        """Prompt group of each win's winner, shape (n_wins,)."""
        return np.asarray(self.groups[self.winner])

    def deltas(self, network: Network, splits: Sequence[Split]) -> FloatArray:
        """Compute the delta of each member's own held-out wins.

        Member k has split k; where there are fewer splits, the other members are left
        out. Shape (n_held_out,), in the order of splits, then of wins.
        """
        return deltas_of(network, self.ends(splits))

    def ends(self, splits: Sequence[Split]) -> list[Ends]:
        """Gather the items of held-out wins, for each split."""
        found = []
        for _, validation in splits:
            rows, ids = self.distinct_items(np.flatnonzero(validation))
            found.append((self.items[rows], ids))
        return found

    def held_out(self, splits: Sequence[Split]) -> HeldOut:
        """Gather what is known of held-out wins, in the order of `deltas`."""
        rows = np.concatenate([np.flatnonzero(v) for _, v in splits])
        rate = None if self.flip_rate is None else self.flip_rate[rows]
        return HeldOut(self.margin[rows], self.weight[rows], rate)

    def distinct_items(self, wins: IntArray) -> tuple[IntArray, IntArray]:
        """List the distinct items of some wins, and both ends as positions in them."""
        ends = np.stack([self.winner[wins], self.loser[wins]])
        rows, ids = np.unique(ends, return_inverse=True)
        return rows, ids.reshape(ends.shape)


def deltas_of(network: Network, ends: Sequence[Ends]) -> FloatArray:
    """Compute the delta of wins, as `Wins.deltas` does."""
    parts = []
    for number, (items, (first, second)) in enumerate(ends):
        score = network.member(number)(items).astype(np.float64)
        parts.append(score[first] - score[second])
    return np.concatenate(parts)


def train_network(
    wins: Wins, splits: Sequence[Split], plan: TrainingPlan, rng: np.random.Generator
) -> Training:
    """Fit networks that order wins, ending early on held-out wins.

    Minimises the weighted mean of the plan's loss by AdamW in batches of wins. All
    members have the same number of epochs.

    Parameters
    ----------
    wins : Wins
    splits : sequence of (train, validation)
        One for each member, or none: then all train on all wins, for ten epochs.
    plan : TrainingPlan
    rng : numpy.random.Generator

    Returns
    -------
    Training
    """
    everything = np.ones((plan.n_members, len(wins.winner)), dtype=bool)
    masks = np.stack([train for train, _ in splits]) if splits else everything
    trainer = _Trainer(wins, masks, plan, rng)
    if splits:
        return _stop_early(trainer, wins, splits, plan)
    n_epochs = min(_BLIND_EPOCHS, plan.max_epochs)
    for _ in range(n_epochs):
        trainer.run_epoch()
    return Training(trainer.network.copy_out(), n_epochs)


def _stop_early(
    trainer: "_Trainer",
    wins: Wins,
    splits: Sequence[Split],
    plan: TrainingPlan,
) -> Training:
    """Train until the held-out loss, at the network's best scale, ends falling.

    A network keeps learning the order of items long after it became overconfident, and
    a scale corrects overconfidence.
    """
    held_out, ends = wins.held_out(splits), wins.ends(splits)

    def loss_of(network: Network) -> float:
        return scaled_loss(deltas_of(network, ends), held_out)

    best = Training(trainer.network.copy_out())
    history = best.held_out_loss
    history.append(loss_of(best.network))
    for epoch in range(1, plan.max_epochs + 1):
        trainer.run_epoch()
        network = trainer.network.copy_out()
        history.append(loss_of(network))
        # Epoch 0 says nothing, and is never kept.
        if epoch == 1 or history[-1] < history[best.best_epoch]:
            best.network, best.best_epoch = network, epoch
        if epoch - best.best_epoch >= plan.patience:
            break
    return best


class _Trainer:
    """Network, optimiser and schedule; one call of `run_epoch` is one epoch."""

    def __init__(
        self,
        wins: Wins,
        masks: BoolArray,
        plan: TrainingPlan,
        rng: np.random.Generator,
    ) -> None:
        self.torch: Any = import_optional("torch", extra="torch")
        self.wins, self.masks, self.plan, self.rng = wins, masks, plan, rng
        # Where an epoch is less than a pass, the next one goes on from there.
        self._stream = self._passes()
        self.train = np.flatnonzero(masks.any(axis=0))
        device = choose_device(self.torch)
        self.network = TrainableNetwork(
            wins.items.shape[1],
            plan.hidden_sizes,
            n_members=plan.n_members,
            dropout=plan.dropout,
            device=device,
            bfloat16=plan.bfloat16,
            rng=rng,
        )
        self.device = device
        # On a GPU the items move there once; on a CPU they are only looked at.
        items = self.torch.from_numpy(wins.items).to(device)
        # Products would round them in any case; so they are half as much to gather.
        self.items = items.bfloat16() if plan.bfloat16 else items
        self.weight = self._weights()
        # Members train on different shares of the same batches.
        self.share = masks[:, self.train].mean(axis=1, keepdims=True)
        self.optimiser = self.torch.optim.AdamW(
            [
                {
                    "params": self.network.weights,
                    "weight_decay": plan.weight_decay,
                },
                {"params": self.network.biases, "weight_decay": 0.0},
            ],
            lr=plan.learning_rate,
            fused=True,  # ten times faster on a CPU than one tensor after another
        )
        self.schedule = (
            self.torch.optim.lr_scheduler.CosineAnnealingLR(
                self.optimiser, plan.max_epochs
            )
            if plan.cosine
            else None
        )

    def run_epoch(self) -> None:
        """Take one optimiser step for each batch of an epoch."""
        for batch in self._epoch():
            loss = self._loss(batch)
            self.optimiser.zero_grad()
            loss.backward()
            self._clip()
            self.optimiser.step()
        if self.schedule is not None:
            self.schedule.step()

    def _weights(self) -> FloatArray:
        weight, rate = self.wins.weight, self.wins.flip_rate
        if rate is not None:
            weight = weight * weight_of_flipped(self.plan.loss, rate)
        if self.plan.whole_prompts:
            # Ouyang et al. 2022 (arXiv:2203.02155), eq. 1: 1 / C(K, 2) for each of the
            # C(K, 2) comparisons of a prompt, so that prompts count alike.
            train = self.train
            total = np.bincount(self.wins.prompt[train], weight[train])
            weight = (
                weight
                / np.where(total > 0, total, 1.0)[
                    np.minimum(self.wins.prompt, len(total) - 1)
                ]
            )
        return np.asarray(weight / weight[self.train].mean())

    def _epoch(self) -> Iterator[IntArray]:
        if len(self.train) <= WINS_OF_EPOCH:
            return self._batches(self.rng)
        return islice(self._stream, max(1, WINS_OF_EPOCH // self.plan.batch_size))

    def _passes(self) -> Iterator[IntArray]:
        while True:
            yield from self._batches(self.rng)

    def _batches(self, rng: np.random.Generator) -> Iterator[IntArray]:
        n_batches = max(1, round(len(self.train) / self.plan.batch_size))
        if not self.plan.whole_prompts:
            yield from np.array_split(rng.permutation(self.train), n_batches)
            return
        prompt = self.wins.prompt[self.train]
        turn = rng.permutation(int(prompt.max()) + 1)[prompt]
        order = np.argsort(turn, kind="stable")
        # Where a batch would end inside a prompt, it ends behind it.
        ends = np.linspace(0, len(order), n_batches + 1)[1:-1].astype(int)
        cuts = np.searchsorted(turn[order], turn[order][ends], side="right")
        parts = np.split(self.train[order], np.unique(cuts))
        yield from (part for part in parts if len(part))

    def _loss(self, batch: IntArray) -> Any:
        rows, (first, second) = self.wins.distinct_items(batch)
        # Three times as fast as to index by a tensor.
        items = self.torch.index_select(self.items, 0, self._tensor(rows))
        reward = self.network.score(items)
        won = reward[:, self._tensor(first)]
        lost = reward[:, self._tensor(second)]
        margin = self._tensor(self.wins.margin[batch].astype(np.float32))
        taken = self.weight[batch] * self.masks[:, batch] / self.share
        weight = self._tensor(taken.astype(np.float32))
        loss = self._loss_of(won - lost - margin, batch)
        if self.plan.centering > 0:
            # Eisenstein et al. 2023 (arXiv:2312.09244), section 2: among rewards that
            # differ by a constant, the one near zero.
            loss = loss + self.plan.centering * (won + lost) ** 2
        # A sum over members: each has the gradient it would have alone.
        return (weight * loss).mean(dim=1).sum()

    def _loss_of(self, logit: Any, batch: IntArray) -> Any:
        if self.wins.flip_rate is None:
            return self.plan.loss(self.torch, logit)
        rate = self._tensor(self.wins.flip_rate[batch].astype(np.float32))
        return of_flipped(self.torch, self.plan.loss, logit, rate)

    def _clip(self) -> None:
        """Scale each member's gradient to at most `max_grad_norm`."""
        if not np.isfinite(self.plan.max_grad_norm):
            return
        parameters = self.network.parameters_of_members()
        square = sum(p.grad.flatten(1).square().sum(dim=1) for p in parameters)
        shrink = (self.plan.max_grad_norm / (square.sqrt() + 1e-12)).clamp(max=1.0)
        for p in parameters:
            p.grad.mul_(shrink.reshape(-1, *[1] * (p.grad.ndim - 1)))

    def _tensor(self, array: Any) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
