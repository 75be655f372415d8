"""SiameseBradleyTerry: a multilayer perceptron as reward, on top of a linear one."""

from typing import Any, Literal

import numpy as np

from embrm._typing import FloatArray, RandomState
from embrm._validation import check_random_state
from embrm.exceptions import IntegrityError, three_parts
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear import LinearBradleyTerry
from embrm.heads.parameters import check_count, check_real
from embrm.heads.siamese_training import Network, TrainingPlan, train_network
from embrm.heads.state import HeadState
from embrm.heads.validation_split import holdout

_FEWEST_HELD_OUT = 10
_MANY_WINS = 10_000


class SiameseBradleyTerry(RewardHead):
    r"""Nonlinear reward: a linear head plus a multilayer perceptron, in nats.

    Minimises the weighted mean of
    :math:`\mathrm{softplus}(-(r(\text{winner}) - r(\text{loser}) - m))` over training
    wins, both items scored by the same network [1]_. Training ends early: the epoch
    is kept that has the least log loss on held-out prompt groups.

    The network's output starts at zero and is added to a `LinearBradleyTerry` fitted
    to the same training wins, so epoch 0 is the linear head. If no later epoch is
    better by more than two standard errors, the head is the linear one, fitted to all
    wins: on few or noisy labels a network alone falls behind it.

    Parameters
    ----------
    hidden_sizes : tuple of int, int or "auto", default="auto"
        Units of each hidden layer. "auto" is one layer of 64, or of 256 from 10,000
        wins on.
    linear_start : bool, default=True
        Whether to add the network to a linear head, or to train it alone.
    learning_rate : float > 0, default=1e-3
        Of AdamW [2]_.
    max_epochs : int >= 1, default=100
    batch_size : int >= 1 or "auto", default="auto"
        Wins in a batch. "auto" is a fiftieth of the wins, from 128 to 1024.
    weight_decay : float >= 0, default=1.0
        Each step multiplies the weights by 1 - learning_rate * weight_decay.
    dropout : float in [0, 1), default=0.0
        Share of hidden units that are left out in each step.
    patience : int >= 1, default=5
        Epochs without improvement after which training ends.
    validation_fraction : float in (0, 1), default=0.1
        Share of the wins that are held out, by prompt group where prompts are known.
        With fewer than 10 held-out wins nothing is held out: the head stays linear,
        or is trained for ten epochs if `linear_start` is off.
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
    mean_, scale_ : ndarray of shape (d,)
        By which the network's input is standardised.
    offset_ : float
        Mean of the uncentred reward over training items.
    best_epoch_ : int
        0 if the network did not improve on the linear part.
    held_out_loss_ : ndarray of shape (n_epochs + 1,)
        Log loss of a held-out win after each epoch, from epoch 0; may be empty.

    Notes
    -----
    Training needs `embrm[torch]`; scoring needs numpy only.

    References
    ----------
    .. [1] Sun, Shen, Ton (2025). Rethinking reward modeling in preference-based large
       language model alignment. ICLR. arXiv:2411.04991.
    .. [2] Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR.
       arXiv:1711.05101.

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

    def __init__(
        self,
        hidden_sizes: tuple[int, ...] | int | Literal["auto"] = "auto",
        *,
        linear_start: bool = True,
        learning_rate: float = 1e-3,
        max_epochs: int = 100,
        batch_size: int | Literal["auto"] = "auto",
        weight_decay: float = 1.0,
        dropout: float = 0.0,
        patience: int = 5,
        validation_fraction: float = 0.1,
        random_state: RandomState = None,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.hidden_sizes = hidden_sizes
        self.linear_start = linear_start
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _fit(self, comparisons: Comparisons) -> None:
        plan = self._plan(len(comparisons))
        fraction = check_real(
            self.validation_fraction, "validation_fraction", 0.0, 1.0, open_at_low=True
        )
        rng = check_random_state(self.random_state)
        train, validation = holdout(comparisons, fraction, rng)
        if validation.sum() < _FEWEST_HELD_OUT:
            train, validation = np.ones_like(train), np.zeros_like(validation)
        items = comparisons.items
        self.mean_, self.scale_ = _mean_and_scale(items)
        self.linear_ = None
        lead = -comparisons.margin
        if self.linear_start:
            self.linear_ = LinearBradleyTerry().fit_comparisons(comparisons.take(train))
            reward = self.linear_.reward(items)
            lead = lead + reward[comparisons.winner] - reward[comparisons.loser]
        training = train_network(
            self._standardise(items), comparisons, lead, (train, validation), plan, rng
        )
        if self.linear_start and training.best_epoch == 0:
            self.linear_ = LinearBradleyTerry().fit_comparisons(comparisons)
        self.network_ = training.network
        self.best_epoch_ = training.best_epoch
        self.held_out_loss_ = np.array(training.held_out_loss)
        self.offset_ = 0.0
        self.offset_ = float(self._reward(items).mean())

    def _plan(self, n_wins: int) -> TrainingPlan:
        hidden: Any = self.hidden_sizes
        if isinstance(hidden, str) and hidden == "auto":
            hidden = 64 if n_wins < _MANY_WINS else 256
        batch: Any = self.batch_size
        if isinstance(batch, str) and batch == "auto":
            batch = min(1024, max(128, n_wins // 50))
        sizes = hidden if isinstance(hidden, tuple | list) else (hidden,)
        return TrainingPlan(
            hidden_sizes=tuple(check_count(n, "hidden_sizes", 1) for n in sizes),
            learning_rate=check_real(
                self.learning_rate, "learning_rate", 0.0, open_at_low=True
            ),
            max_epochs=check_count(self.max_epochs, "max_epochs", 1),
            batch_size=check_count(batch, "batch_size", 1),
            weight_decay=check_real(
                self.weight_decay, "weight_decay", 0.0, open_at_low=False
            ),
            dropout=check_real(self.dropout, "dropout", 0.0, 1.0, open_at_low=False),
            patience=check_count(self.patience, "patience", 1),
            may_keep_start=bool(self.linear_start),
        )

    def _standardise(self, items: FloatArray) -> FloatArray:
        return ((items - self.mean_) / self.scale_).astype(np.float32)

    def _reward(self, items: FloatArray) -> FloatArray:
        reward = self.network_(self._standardise(items)).astype(np.float64)
        if self.linear_ is not None:
            reward += self.linear_.reward(items)
        return reward - self.offset_

    def _get_state(self) -> HeadState:
        network = self.network_
        arrays = {"mean": self.mean_, "scale": self.scale_}
        arrays["held_out_loss"] = self.held_out_loss_
        arrays |= {f"weight{n}": weight for n, weight in enumerate(network.weights)}
        arrays |= {f"bias{n}": bias for n, bias in enumerate(network.biases)}
        values = {
            "n_layers": len(network.weights),
            "offset": self.offset_,
            "best_epoch": self.best_epoch_,
            "linear_start": self.linear_ is not None,
        }
        state = HeadState(arrays, values)
        if self.linear_ is None:
            return state
        return state | self.linear_.get_state().with_prefix("linear__")

    def _set_state(self, state: HeadState) -> None:
        n_layers = state.value("n_layers", int)
        weights = [state.array(f"weight{n}", ndim=2) for n in range(n_layers)]
        biases = [state.array(f"bias{n}", ndim=1) for n in range(n_layers - 1)]
        _check_shapes(weights, biases)
        self.network_ = Network(weights, biases)
        self.mean_ = state.array("mean", ndim=1)
        self.scale_ = state.array("scale", ndim=1)
        self.held_out_loss_ = state.array("held_out_loss", ndim=1)
        self.offset_ = state.value("offset", float)
        self.best_epoch_ = state.value("best_epoch", int)
        self.linear_ = None
        if state.value("linear_start", bool):
            nested = state.without_prefix("linear__")
            self.linear_ = LinearBradleyTerry().set_state(nested)


def _mean_and_scale(items: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 1 where it is constant."""
    mean = items.mean(axis=0, dtype=np.float64)
    scale = items.std(axis=0, dtype=np.float64)
    # A constant column has a deviation of some rounding errors, not of zero.
    constant = scale <= 1e-6 * np.abs(mean) + 1e-9 * scale.max()
    return mean, np.where(constant, 1.0, scale)


def _check_shapes(weights: list[FloatArray], biases: list[FloatArray]) -> None:
    shapes = [weight.shape for weight in weights]
    n_hidden = [bias.shape[0] for bias in biases]
    fits = (
        len(shapes) > 0
        and [n_out for _, n_out in shapes] == [*n_hidden, 1]
        and [n_in for n_in, _ in shapes[1:]] == n_hidden
    )
    if not fits:
        raise IntegrityError(
            three_parts(
                expected="layers that fit each other in the stored network",
                got=f"weights of shapes {shapes[:8]}",
                cure="save the head again",
            )
        )
