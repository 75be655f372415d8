r"""CalibratedReward: deltas that are log odds, whatever the head's own scale.

A calibration map f must satisfy f(-x) = -f(x), or swapping a pair would not negate
its delta, and must increase, or it would change which item is preferred. Both hold by
construction: a map is a function of |delta| >= 0 that is 0 at 0, with the sign put
back.

Maps are fitted to deltas of held-out wins, winner minus loser. As in [1]_, the target
of a win is not 1 but :math:`t = (n + 1) / (n + 2)`, with n the number of wins, so that
held-out wins in perfect order do not ask for infinite log odds. n is Kish's effective
number :math:`(\sum_i c_i)^2 / \sum_i c_i^2`, which the scale of the weights leaves
alone.

References
----------
.. [1] Platt (1999). Probabilistic outputs for support vector machines and comparisons
   to regularized likelihood methods. Advances in large margin classifiers, section 2.2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.validation import check_is_fitted

from embrm._typing import BoolArray, FloatArray
from embrm._validation import Constraints, Integer
from embrm.heads.comparisons import Comparisons
from embrm.heads.state import (
    HeadState,
    Stored,
    StoredArray,
    StoredNumbers,
    StoredPart,
    StoredValue,
    collect_state,
    read_state,
)
from embrm.heads.wrappers._nested import HeadWrapper, HeldOut, score_out_of_fold

CalibrationMap: TypeAlias = Callable[[FloatArray], FloatArray]

_LEAST_DELTA = 1e-3
"""Root mean square of deltas, in nats, to which a useless head is shrunk: never to 0,
since its order is to stay."""

_TIE_BREAK = 1e-3

Method = Literal["temperature", "platt", "isotonic"]
_FEWEST_HELD_OUT = 20
_SIGMOID = (StoredNumbers(("slope", "rise", "width"), "sigmoid"),)
_ISOTONIC = (StoredArray("knots", "knots"), StoredArray("probability", "knots"))
_Fit = Callable[[FloatArray, FloatArray], CalibrationMap]


@dataclass(frozen=True, eq=False)
class SigmoidMap:
    r""":math:`f(x) = a x + b \tanh(x / w)` with a > 0 and b >= 0.

    Platt's slope and intercept, the latter as odds that every comparison gets whose
    |delta| is well above w: the continuous form of :math:`\mathrm{sign}(x)(a|x| + b)`.
    """

    slope: float
    rise: float
    width: float

    def __call__(self, delta: FloatArray) -> FloatArray:
        """Map deltas to log odds."""
        size = np.abs(delta)
        log_odds = self.slope * size + self.rise * np.tanh(size / self.width)
        return np.copysign(log_odds, delta)


@dataclass(frozen=True, eq=False)
class IsotonicMap:
    r"""Log odds of a step-wise linear probability of |delta|, from 1/2 at 0.

    A thousandth of :math:`\mathrm{arsinh}(x)` on top keeps deltas apart that fall on
    one step.
    """

    knots: FloatArray
    probability: FloatArray

    def __call__(self, delta: FloatArray) -> FloatArray:
        """Map deltas to log odds."""
        size = np.abs(delta)
        log_odds = logit(np.interp(size, self.knots, self.probability))
        return np.copysign(log_odds + _TIE_BREAK * np.arcsinh(size), delta)


def fit_scale(delta: FloatArray, weight: FloatArray) -> float:
    r"""Find the factor that makes deltas log odds: one over the temperature.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,)
        Reward of winner minus reward of loser.
    weight : ndarray of shape (n_wins,), > 0

    Returns
    -------
    float > 0
        Minimises :math:`\sum_i c_i [t\,\mathrm{softplus}(-s\delta_i)
        + (1 - t)\,\mathrm{softplus}(s\delta_i)]` over s, a convex problem. Where wrong
        wins outweigh right ones the minimum is at s <= 0, and the deltas are shrunk
        to a thousandth of a nat instead: a calibration turns no order around.

    Examples
    --------
    >>> fit_scale(np.array([4.0, 4.0, 4.0, -4.0]), np.ones(4)).__round__(3)
    0.173
    """
    size = float(np.sqrt(np.average(delta**2, weights=weight)))
    if size == 0.0:
        return 1.0
    x, target = delta / size, win_target(weight)
    least = _LEAST_DELTA

    def slope(s: float) -> float:
        return float(weight @ (x * (expit(s * x) - target)))

    if slope(least) >= 0:
        return least / size
    high = 1.0
    while slope(high) < 0:
        high *= 2
    return float(brentq(slope, least, high, xtol=1e-14, rtol=1e-12)) / size


def fit_sigmoid(delta: FloatArray, weight: FloatArray) -> SigmoidMap:
    """Fit `SigmoidMap` to tempered deltas by maximum likelihood, a convex problem.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,), in nats
        Already multiplied by `fit_scale`.
    weight : ndarray of shape (n_wins,), > 0

    Returns
    -------
    SigmoidMap
        Whose width is the median |delta|.
    """
    width = float(np.median(np.abs(delta)))
    if width == 0.0:
        return SigmoidMap(1.0, 0.0, 1.0)
    basis = np.stack([delta, np.tanh(delta / width)])
    target, share = win_target(weight), weight / weight.sum()

    def loss(params: FloatArray) -> tuple[float, FloatArray]:
        log_odds = params @ basis
        value = np.logaddexp(0.0, log_odds) - target * log_odds
        return float(share @ value), basis @ (share * (expit(log_odds) - target))

    least = _LEAST_DELTA / float(np.sqrt(np.average(delta**2, weights=weight)))
    found = minimize(
        loss,
        [1.0, 0.0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(min(least, 1.0), None), (0.0, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500},
    )
    return SigmoidMap(float(found.x[0]), float(found.x[1]), width)


def fit_isotonic(delta: FloatArray, weight: FloatArray) -> IsotonicMap:
    """Fit `IsotonicMap` by isotonic regression of right on |delta|.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,), in nats
        Already multiplied by `fit_scale`.
    weight : ndarray of shape (n_wins,), > 0

    Returns
    -------
    IsotonicMap
        The same as isotonic regression on all deltas and their mirror images with
        flipped labels, whose solution is odd.
    """
    right = (np.sign(delta) + 1.0) / 2.0
    # Bounded isotonic regression is the unbounded one, clipped.
    regression = IsotonicRegression(y_min=0.5, y_max=win_target(weight))
    regression.fit(np.abs(delta), right, sample_weight=weight)
    knots = np.asarray(regression.X_thresholds_, dtype=np.float64)
    probability = np.asarray(regression.y_thresholds_, dtype=np.float64)
    if knots[0] == 0.0:
        knots, probability = knots[1:], probability[1:]
    return IsotonicMap(
        np.concatenate([[0.0], knots]), np.concatenate([[0.5], probability])
    )


def win_target(weight: FloatArray) -> float:
    """Compute Platt's target (n + 1) / (n + 2) for wins of these weights."""
    n_wins = float(weight.sum() ** 2 / (weight @ weight))
    return (n_wins + 1.0) / (n_wins + 2.0)


def held_out_losses(log_odds: FloatArray) -> FloatArray:
    """Compute the log loss of each win, shape (n_wins,), in nats."""
    return np.asarray(np.logaddexp(0.0, -log_odds))


def _write_map(curve: CalibrationMap) -> HeadState:
    if isinstance(curve, SigmoidMap):
        return collect_state(curve, _SIGMOID)
    return collect_state(curve, _ISOTONIC if isinstance(curve, IsotonicMap) else ())


def _read_map(state: HeadState) -> CalibrationMap:
    method = state.value("method", str)
    if method == "platt":
        return SigmoidMap(**read_state(_SIGMOID, state))
    if method == "isotonic":
        return IsotonicMap(**read_state(_ISOTONIC, state))
    return _identity


def _identity(delta: FloatArray) -> FloatArray:
    return delta


class CalibratedReward(HeadWrapper):
    r"""A head whose delta is calibrated on prompts that it was not fitted on.

    The head is fitted on all prompt groups but those of one fold, in turn, and its
    deltas on the held-out wins are pooled. A map f is fitted to them, and the head to
    all data; :math:`P(\text{first preferred}) = \sigma(f(\delta))`. Every map is odd
    and increasing: a swap negates the calibrated delta exactly, and order consistency
    is that of the head.

    Parameters
    ----------
    head : str or RewardHead, default="linear"
        A name that `known_heads` lists, or a head, which is cloned.
    method : {"temperature", "platt", "isotonic", "auto"}, default="temperature"
        "temperature": :math:`f(\delta) = \delta / T` [1]_, with T of least held-out
        log loss. "platt": :math:`f(\delta) = a\delta/T + b\tanh(\delta/(wT))`, since
        Platt's intercept [2]_ would break antisymmetry unless it changes sign with
        delta; w is the median of :math:`|\delta| / T`. "isotonic": a monotone step
        function of :math:`|\delta|` [3]_. "auto": the first of these within one
        standard error of the least log loss, each fitted on all held-out folds but
        one and tried on that.
    cv : int >= 2, default=5
        Folds; whole prompt groups, or connected components where prompts are unknown.
    preprocessor : scikit-learn transformer, optional
        Acts on items before the head sees them.

    Attributes
    ----------
    head_ : RewardHead
        Fitted on all data.
    temperature_ : float > 0
        T. Above 1 if the head is overconfident.
    map_ : callable
        From :math:`\delta / T` to log odds.
    method_ : str
        The method used.
    n_held_out_ : int
        Held-out wins; with fewer than 20 nothing is calibrated and T is 1.

    Notes
    -----
    The reward is that of the head over T, in nats. With "platt" and "isotonic" the
    calibrated delta of a pair is a function of the difference of two rewards, and in
    general no such difference itself: `decision_function` and `predict_proba` are
    calibrated, `reward` is calibrated up to the map. A `margin` acts on the fit of the
    head, not on the calibration.

    The heads of the folds have a share 1 / cv less data. A head that overfits badly
    is then more confident than the head fitted on all data, and T is too large; use
    a suitable penalty, or a larger cv.

    Targets are smoothed as in [2]_, so T is finite for a head without errors. A head
    that is wrong more often than right is shrunk to deltas near 0, not inverted.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger (2017). On calibration of modern neural
       networks. ICML. arXiv:1706.04599.
    .. [2] Platt (1999). Probabilistic outputs for support vector machines and
       comparisons to regularized likelihood methods. Advances in large margin
       classifiers.
    .. [3] Zadrozny, Elkan (2002). Transforming classifier scores into accurate
       multiclass probability estimates. KDD.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import LinearBradleyTerry
    >>> from embrm.heads.wrappers.calibrated import CalibratedReward
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(400, 40))
    >>> pairs = Pairs(items, np.arange(400).reshape(200, 2))
    >>> delta = items[pairs.first, 0] - items[pairs.second, 0]
    >>> y = rng.random(200) < 1 / (1 + np.exp(-delta))
    >>> too_sure = LinearBradleyTerry(alpha=0.01)
    >>> CalibratedReward(too_sure).fit(pairs, y).temperature_ > 1.5
    True
    """

    _constraints: ClassVar[Constraints] = {
        "method": [*get_args(Method), "auto"],
        "cv": [Integer(2)],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        *HeadWrapper._stored,
        StoredNumbers(("temperature_",), "temperature"),
        StoredValue("method_", str),
        StoredValue("n_held_out_", int),
        StoredPart("map_", _read_map, write=_write_map, prefix=""),
    )

    def __init__(
        self,
        head: Any = "linear",
        method: Literal["temperature", "platt", "isotonic", "auto"] = "temperature",
        *,
        cv: int = 5,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(head, preprocessor=preprocessor)
        self.method = method
        self.cv = cv

    @property
    def delta_is_reward_difference(self) -> bool:
        """False: delta is the calibration curve of the difference."""
        return False

    def _fit(self, comparisons: Comparisons) -> None:
        held = score_out_of_fold(self._fit_head, comparisons, self.cv)
        self.head_ = self._fit_head(comparisons)
        self.n_held_out_ = len(held.delta)
        self.map_: CalibrationMap
        if self.n_held_out_ < _FEWEST_HELD_OUT:
            self.temperature_, self.method_, self.map_ = 1.0, "temperature", _identity
            return
        scale = fit_scale(held.delta, held.weight)
        self.temperature_ = 1.0 / scale
        self.method_ = choose_method(held) if self.method == "auto" else self.method
        self.map_ = _FIT[self.method_](scale * held.delta, held.weight)

    def _reward(self, items: FloatArray) -> FloatArray:
        return self.head_.reward(items) / self.temperature_

    def decision_function(self, pairs: Any) -> FloatArray:
        """Compute calibrated log odds that first is preferred, shape (n_pairs,).

        Swapping a pair negates them exactly. For "temperature" they are the
        difference of rewards, unless the head's own delta is more than that.
        """
        check_is_fitted(self)
        if self.head_.is_transitive:
            return self.map_(super().decision_function(pairs))
        return self.map_(self._inner_delta(pairs) / self.temperature_)


def choose_method(held: HeldOut) -> str:
    """Choose the simplest map within one standard error of the least log loss.

    Parameters
    ----------
    held : HeldOut

    Returns
    -------
    {"temperature", "platt", "isotonic"}
        Each was fitted on the wins of all folds but one and tried on that one.
    """
    losses = np.empty((len(_FIT), len(held.delta)))
    for n in np.unique(held.fold):
        tried = held.fold == n
        if tried.all():
            return "temperature"
        for row, fit in zip(losses, _FIT.values(), strict=True):
            row[tried] = _losses_of(fit, held, ~tried, tried)
    means = np.average(losses, axis=1, weights=held.weight)
    best = int(np.argmin(means))
    excess = losses - losses[best] - (means - means[best])[:, None]
    error = np.sqrt(excess**2 @ held.weight) / held.weight.sum()
    return list(_FIT)[int(np.argmax(means <= means[best] + error))]


def _losses_of(
    fit: "_Fit", held: HeldOut, train: BoolArray, tried: BoolArray
) -> FloatArray:
    scale = fit_scale(held.delta[train], held.weight[train])
    curve = fit(scale * held.delta[train], held.weight[train])
    return held_out_losses(curve(scale * held.delta[tried]))


def _fit_identity(delta: FloatArray, weight: FloatArray) -> CalibrationMap:  # noqa: ARG001 - the same call for all methods
    return _identity


_FIT: dict[str, _Fit] = {
    "temperature": _fit_identity,
    "platt": fit_sigmoid,
    "isotonic": fit_isotonic,
}
