"""CalibratedReward: deltas that are log odds, whatever the head's own scale."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np
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
from embrm.heads.wrappers._calibration_maps import (
    CalibrationMap,
    IsotonicMap,
    SigmoidMap,
    fit_isotonic,
    fit_scale,
    fit_sigmoid,
    held_out_losses,
)
from embrm.heads.wrappers._nested import HeadWrapper, HeldOut, score_out_of_fold

Method = Literal["temperature", "platt", "isotonic"]

_FEWEST_HELD_OUT = 20


_SIGMOID = (StoredNumbers(("slope", "rise", "width"), "sigmoid"),)
_ISOTONIC = (StoredArray("knots", "knots"), StoredArray("probability", "knots"))


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


_Fit = Callable[[FloatArray, FloatArray], CalibrationMap]

_FIT: dict[str, _Fit] = {
    "temperature": _fit_identity,
    "platt": fit_sigmoid,
    "isotonic": fit_isotonic,
}
