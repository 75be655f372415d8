"""SiameseBradleyTerry: a multilayer perceptron as reward, on top of a linear one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import Constraints, Integer, Real, check_random_state
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.bradley_terry import LinearBradleyTerry, restore_linear
from embrm.heads.linear.design import mean_and_scale
from embrm.heads.noisy_labels import NOISE, STORED_NOISE, model_label_noise
from embrm.heads.siamese._mixing import fit_scale, fit_weights
from embrm.heads.siamese._splits import (
    TOLERANCE,
    draw_splits,
    enough_splits,
    linear_deltas,
)
from embrm.heads.siamese._training import Split, TrainingPlan, Wins, train_network
from embrm.heads.siamese.losses import LOSSES
from embrm.heads.siamese.network import Network
from embrm.heads.state import (
    HeadState,
    Stored,
    StoredArray,
    StoredPart,
    StoredValue,
)
from embrm.heads.uncertain_reward import (
    UncertainRewardHead,
    spread,
    spread_of_deltas,
)

_ROWS_AT_A_TIME = 1024


def _no_offsets(state: HeadState) -> FloatArray:
    return np.zeros(len(state.array("weight0", ndim=3)), dtype=np.float32)


class SiameseBradleyTerry(UncertainRewardHead):
    r"""Nonlinear reward: a linear head plus a multilayer perceptron, in nats.

    The network minimises the weighted mean of
    :math:`\mathrm{softplus}(-(r(\text{winner}) - r(\text{loser}) - m))` over training
    wins, both items scored by the same network [1]_. Training ends early: the epoch
    is kept that has the least log loss on held-out wins, at the scale that fits them
    best.

    The reward is :math:`a\,r_\text{linear} + b\,r_\text{network}`, with the
    `LinearBradleyTerry` fitted to all wins, and a and b fitted to wins held out from
    the network and from linear heads with the same penalty (stacking [2]_), shrunk
    towards the linear head alone: on few or noisy labels a network adds little.

    Parameters
    ----------
    hidden_sizes : tuple of int, int or "auto", default="auto"
        Units of each hidden layer. "auto" is one layer of 64, or of 256 from 100,000
        wins on.
    linear_start : bool, default=True
        Whether to add the network to a linear head, or to use it alone: a is 0 then,
        and b still fitted.
    loss : str, default="logistic"
        One of "logistic", "hinge", "squared", "exponential", "truncated_quadratic",
        "savage", "robust"; see `embrm.heads.siamese.losses`. Early stopping always uses
        log loss. For scaled Bradley-Terry pass the strength as `sample_weight`.
    label_smoothing : float in [0, 0.5), default=0.0
    noise : float in [0, 0.5), "estimate" or None, default=None
        Rate e at which labels are flipped: the loss is that of such labels, also for
        held-out wins. "estimate" takes the rates that `LinearBradleyTerry` would
        estimate, one for each annotator if `annotator` is passed to `fit`.
    centering : float >= 0, default=0.0
        Weight of the mean of (r(winner) + r(loser))^2, which keeps rewards near 0.
    learning_rate : float > 0, default=1e-3
        Of AdamW [3]_.
    schedule : {"constant", "cosine"}, default="constant"
        How the learning rate decays over `max_epochs`.
    max_epochs : int >= 1, default=100
        An epoch is a pass over the wins, or 20,000 of them where there are more.
    batch_size : int >= 1 or "auto", default="auto"
        Wins in a batch. "auto" is a fiftieth of the wins, from 128 to 1024.
    batching : {"pairs", "prompts"}, default="pairs"
        "prompts" keeps all C(K, 2) comparisons of a prompt in one batch, each with
        weight 1 / C(K, 2): K forward passes for all of them, and equal weight for each
        prompt [4]_.
    weight_decay : float >= 0, default=1.0
        Each step multiplies the weights by 1 - learning_rate * weight_decay.
    dropout : float in [0, 1), default=0.0
        Share of hidden units that are left out in each step.
    max_grad_norm : float > 0, default=1.0
        Longer gradients are scaled down to it; infinity leaves them.
    patience : int >= 1, default=5
        Epochs without improvement after which training ends.
    validation_fraction : float in (0, 1), default=0.1
        Share of the wins that each member holds out, by prompt group where prompts are
        known, or by item where most wins are between prompts. If fewer than 10 can be
        held out, nothing is: the head stays linear, or the network is trained for ten
        epochs if `linear_start` is off.
    ensemble_size : int >= 1, default=4
        Networks with different initial weights and different held-out wins, trained in
        one batched pass; the reward is their mean, and `return_std=True` returns their
        standard deviation.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of matrix products in training. "auto" is bfloat16 where the hardware has it
        and the network is large enough to gain. Scoring is in float32.
    random_state : int, Generator or None, default=None
        An integer makes the fit reproducible on one machine.
    preprocessor : scikit-learn transformer, optional
        Acts on items, which are then standardised in any case.

    Attributes
    ----------
    network_ : Network
        Weights and biases, float32.
    linear_ : LinearBradleyTerry or None
        The linear part.
    linear_weight_, network_weight_ : float >= 0
        a and b.
    network_offsets_ : ndarray of shape (n_members,), float32
        Mean score of the training items by each member, which is subtracted.
    mean_, scale_ : ndarray of shape (d,)
        By which the network's input is standardised.
    offset_ : float
        Mean of the uncentred reward over training items.
    best_epoch_ : int
        0 if no network was trained.
    flip_rate_ : float
        Flip rate, given or estimated; the mean over wins where annotators differ.
    annotators_, flip_rates_ : ndarray of shape (n_annotators,)
        The annotators passed to `fit`, sorted, and the flip rate of each; NaN if none
        of their pairs counted.
    held_out_loss_ : ndarray of shape (n_epochs + 1,)
        Log loss of a held-out win after each epoch, from epoch 0, by the network at
        its best scale; may be empty.

    Notes
    -----
    Training needs `embrm[torch]`; scoring needs numpy only.

    References
    ----------
    .. [1] Sun, Shen, Ton (2025). Rethinking reward modeling in preference-based large
       language model alignment. ICLR. arXiv:2411.04991.
    .. [2] Wolpert (1992). Stacked generalization. Neural Networks 5.
    .. [3] Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR.
       arXiv:1711.05101.
    .. [4] Ouyang et al. (2022). Training language models to follow instructions with
       human feedback. arXiv:2203.02155, section 3.5.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import SiameseBradleyTerry
    >>> items = np.random.default_rng(0).normal(size=(40, 3))
    >>> pairs = Pairs(items, np.arange(40).reshape(20, 2))
    >>> y = items[pairs.first, 0] > items[pairs.second, 0]
    >>> SiameseBradleyTerry(random_state=0).fit(pairs, y).score(pairs, y)
    1.0
    """

    _constraints: ClassVar[Constraints] = {
        "hidden_sizes": [tuple, list, Integer(1), "auto"],
        "linear_start": [bool],
        "loss": [*LOSSES],
        "label_smoothing": [Real(0, 0.5)],
        "noise": NOISE,
        "centering": [Real()],
        "learning_rate": [Real(closed="neither")],
        "schedule": ["constant", "cosine"],
        "max_epochs": [Integer(1)],
        "batch_size": [Integer(1), "auto"],
        "batching": ["pairs", "prompts"],
        "weight_decay": [Real()],
        "dropout": [Real(0, 1)],
        "max_grad_norm": [Real(closed="right")],
        "patience": [Integer(1)],
        "validation_fraction": [Real(0, 1, closed="neither")],
        "ensemble_size": [Integer(1)],
        "precision": ["auto", "float32", "bfloat16"],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        StoredPart("network_", Network.from_state, prefix="", shape="members"),
        # Heads stored before their networks were centred have rewards without it.
        StoredArray("network_offsets_", "members", default=_no_offsets),
        StoredArray("mean_", "d"),
        StoredArray("scale_", "d"),
        StoredArray("held_out_loss_", "epochs"),
        StoredValue("offset_", float),
        StoredValue("best_epoch_", int),
        # Heads stored before parts were weighted are their plain sum.
        StoredValue("linear_weight_", float, default=lambda _: 1.0),
        StoredValue("network_weight_", float, default=lambda _: 1.0),
        StoredPart("linear_", restore_linear, flag="linear_start"),
        *STORED_NOISE,
    )

    def __init__(
        self,
        hidden_sizes: tuple[int, ...] | int | Literal["auto"] = "auto",
        *,
        linear_start: bool = True,
        loss: str = "logistic",
        label_smoothing: float = 0.0,
        noise: float | Literal["estimate"] | None = None,
        centering: float = 0.0,
        learning_rate: float = 1e-3,
        schedule: Literal["constant", "cosine"] = "constant",
        max_epochs: int = 100,
        batch_size: int | Literal["auto"] = "auto",
        batching: Literal["pairs", "prompts"] = "pairs",
        weight_decay: float = 1.0,
        dropout: float = 0.0,
        max_grad_norm: float = 1.0,
        patience: int = 5,
        validation_fraction: float = 0.1,
        ensemble_size: int = 4,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        random_state: RandomState = None,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.hidden_sizes = hidden_sizes
        self.linear_start = linear_start
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.noise = noise
        self.centering = centering
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.batching = batching
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.max_grad_norm = max_grad_norm
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.ensemble_size = ensemble_size
        self.precision = precision
        self.random_state = random_state

    def _fit(self, comparisons: Comparisons) -> None:
        n_features = comparisons.items.shape[1]
        params = self.get_params(deep=False)
        plan = TrainingPlan.of(params, len(comparisons), n_features)
        rng = check_random_state(self.random_state)
        labels = model_label_noise(comparisons, self.noise, LinearBradleyTerry)
        self.flip_rate_, self.flip_rates_ = labels.flip_rate, labels.flip_rates
        self.annotators_, comparisons = labels.annotators, labels.comparisons
        splits = draw_splits(comparisons, self.validation_fraction, plan.n_members, rng)
        self.linear_ = None
        if self.linear_start:
            # Alone it is the linear head; with a network, about that is enough.
            self.linear_ = LinearBradleyTerry(
                posterior=False, warm_start=True, tol=TOLERANCE if splits else 1e-8
            )
            self.linear_.fit_comparisons(comparisons)
            if not splits:
                # There is no evidence for a network.
                plan = replace(plan, max_epochs=0)
        self.mean_, self.scale_ = mean_and_scale(comparisons.items)
        wins = Wins.of(self._standardise(comparisons.items), comparisons)
        training = train_network(wins, splits, plan, rng)
        self.network_ = training.network
        self.best_epoch_ = training.best_epoch
        self.held_out_loss_ = np.array(training.held_out_loss)
        self._mix(comparisons, wins, splits)
        members = np.zeros((plan.n_members, len(wins.items)), dtype=np.float32)
        if self.network_weight_ > 0:
            members = self.network_.members(wins.items)
        self.network_offsets_ = members.mean(axis=1)
        members -= self.network_offsets_[:, None]
        self.offset_ = float(self._sum(members, comparisons.items).mean())

    def _mix(
        self,
        comparisons: Comparisons,
        wins: Wins,
        splits: list[Split],
    ) -> None:
        """Weigh the linear part and the network by held-out wins."""
        self.linear_weight_ = 0.0 if self.linear_ is None else 1.0
        self.network_weight_ = 1.0 - self.linear_weight_
        if not splits:
            return
        if self.linear_ is None:
            held_out = wins.held_out(splits)
            deltas = wins.deltas(self.network_, splits)
            self.network_weight_ = fit_scale(deltas, held_out)
            return
        few = enough_splits(splits)
        self.linear_weight_, self.network_weight_ = fit_weights(
            linear_deltas(self.linear_, comparisons, few),
            wins.deltas(self.network_, few),
            wins.held_out(few),
        )
        self.linear_.coordinates_ = None  # as large as the square of d, and of no use

    def _reward_and_std(self, items: FloatArray) -> tuple[FloatArray, FloatArray]:
        members = self._members(items)
        std = self.network_weight_ * spread(members)
        return self._sum(members, items) - self.offset_, std

    def _reward_and_delta_std(
        self, items: FloatArray, ids: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        members = self._members(items)
        std = self.network_weight_ * spread_of_deltas(members, ids)
        return self._sum(members, items) - self.offset_, std

    def _standardise(self, items: FloatArray) -> FloatArray:
        """Centre and scale items into float32, in blocks: no copy in float64."""
        mean = self.mean_.astype(items.dtype)
        factor = (1 / self.scale_).astype(np.float32)
        out = np.empty(items.shape, dtype=np.float32)
        for start in range(0, len(items), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            np.subtract(items[part], mean, out=out[part], casting="same_kind")
            out[part] *= factor
        return out

    def _members(self, items: FloatArray) -> FloatArray:
        """Score items by each network, shape (n_members, n_items)."""
        if self.network_weight_ == 0:
            return np.zeros((1, len(items)), dtype=np.float32)
        members = self.network_.members(self._standardise(items))
        return np.asarray(members - self.network_offsets_[:, None])

    def _sum(self, members: FloatArray, items: FloatArray) -> FloatArray:
        """Add up the two parts, uncentred."""
        reward: FloatArray = np.zeros(len(items))
        reward += self.network_weight_ * members.mean(axis=0)
        if self.linear_ is not None:
            reward += self.linear_weight_ * self.linear_.reward(items)
        return reward

    def _reward(self, items: FloatArray) -> FloatArray:
        return self._sum(self._members(items), items) - self.offset_
