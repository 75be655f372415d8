"""LengthDebiased: a reward that takes no credit for length."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, IntArray
from embrm._validation import Constraints, Integer
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons, as_pairs, make_comparisons
from embrm.heads.state import (
    HeadState,
    Stored,
    StoredArray,
    StoredNumbers,
    StoredPart,
    StoredValue,
)
from embrm.heads.wrappers._length import (
    LengthReport,
    Scorer,
    append_covariate,
    check_item_lengths,
    covarying_direction,
    erase,
    nuisance_column,
    remove_covariate,
    report_length,
    taking_part,
    with_column,
)
from embrm.heads.wrappers._nested import HeadWrapper, delta_of

Method = Literal["nuisance", "erase"]
Transform = Literal["log", "identity"]


_FIGURES = StoredNumbers(LengthReport._fields, "report")


def _write_report(report: LengthReport | None) -> HeadState:
    return HeadState() if report is None else _FIGURES.collect(report)


def _read_report(state: HeadState) -> LengthReport | None:
    if "report" not in state.arrays:
        return None
    figures = _FIGURES.restore(state)
    counts = {name: int(figures[name]) for name in ("n_prompts", "n_wins")}
    return LengthReport(**figures | counts)


class LengthDebiased(HeadWrapper):
    r"""A head that gets the length of responses in training, and scores without it.

    Annotators prefer longer responses, and a reward learns that from any information
    on length in the vectors. With l the logarithm of 1 + length (or length itself),
    there are two methods against it:

    "nuisance" gives the head l as one more column when it is fitted, and a constant in
    its place when it scores. For a linear head that is the likelihood

    .. math:: P(\text{first preferred}) = \sigma(r(x_1) - r(x_2)
              + \gamma\,(l_1 - l_2))

    of which r is deployed: the two heads of ODIN [1]_, with the length head reduced to
    one coefficient. Preferences explained by length are not attributed to the vectors.
    The column has three times the spread of all others together, so that a penalty on
    coefficients barely shrinks :math:`\gamma`.

    "erase" takes out of the vectors the one direction in which they covary with l
    within prompts, :math:`u \propto \mathrm{cov}(x, l)`, and fits the head to
    :math:`x - u\,u^\top (x - \bar x)`. After that no linear function of the training
    vectors is correlated with l within prompts: linear guardedness [2]_, by the
    orthogonal projection.

    Parameters
    ----------
    head : str or RewardHead, default="linear"
        A name that `known_heads` lists, or a head, which is cloned. For "nuisance" a
        `preprocessor` belongs to this wrapper, not to the head inside, which would mix
        length with the rest.
    method : {"nuisance", "erase"}, default="nuisance"
        "erase" also removes quality that is correlated with length; "nuisance" keeps
        a correlation with length that the vectors have for other reasons. "nuisance"
        is for heads that add a linear part to the rest, such as `LinearBradleyTerry`
        and `SiameseBradleyTerry`; trees, and classifiers that standardise columns,
        leave much of length's effect with the vectors, and need "erase". `report_`
        measures it.
    transform : {"log", "identity"}, default="log"
        l as a function of length.
    cv : int >= 2 or None, default=5
        Folds of whole prompt groups for `report_`; None saves its two fits a fold.
    preprocessor : scikit-learn transformer, optional
        Acts on items, before length is added or erased.

    Attributes
    ----------
    head_ : RewardHead
        The fitted head, on vectors with a column more ("nuisance") or without their
        length direction ("erase").
    direction_ : ndarray of shape (d,) or None
        u, of norm 1; zero if no column covaries with length. None for "nuisance".
    level_ : float
        :math:`u^\top \bar x`.
    report_ : LengthReport or None
        Rank correlation of reward and length within prompts, and order consistency,
        both on held-out prompt groups, of the plain head and of this one.

    Notes
    -----
    Where this works, order consistency with annotators who prefer length falls; order
    consistency on pairs of equal length should not.

    References
    ----------
    .. [1] Chen et al. (2024). ODIN: Disentangled reward mitigates hacking in RLHF.
       ICML. arXiv:2402.07319.
    .. [2] Belrose et al. (2023). LEACE: Perfect linear concept erasure in closed form.
       NeurIPS. arXiv:2306.03819.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.wrappers.length_debiased import LengthDebiased
    >>> rng = np.random.default_rng(0)
    >>> quality, lengths = rng.normal(size=400), rng.integers(10, 200, 400)
    >>> items = np.column_stack([quality, np.log(lengths)])
    >>> pairs = Pairs(items, np.arange(400).reshape(200, 2))
    >>> liked = quality + 2 * np.log(lengths)
    >>> y = liked[pairs.first] > liked[pairs.second]
    >>> head = LengthDebiased().fit(pairs, y, lengths=lengths)
    >>> head.report_.spearman_before > 0.6, abs(head.report_.spearman_after) < 0.3
    (True, True)
    """

    _constraints: ClassVar[Constraints] = {
        "method": [*get_args(Method)],
        "transform": [*get_args(Transform)],
        "cv": [Integer(2), None],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        *HeadWrapper._stored,
        StoredArray("direction_", "d", default=lambda _: None),
        StoredValue("level_", float),
        StoredPart("report_", _read_report, write=_write_report, prefix=""),
    )

    def __init__(
        self,
        head: Any = "linear",
        method: Method = "nuisance",
        *,
        transform: Transform = "log",
        cv: int | None = 5,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(head, preprocessor=preprocessor)
        self.method = method
        self.transform = transform
        self.cv = cv

    def fit(
        self,
        pairs: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        margin: ArrayLike | None = None,
        annotator: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Fit the head on comparisons, with the lengths of their items.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        y, sample_weight, margin : array-like of shape (n_pairs,), optional
            As for every head.
        annotator : array-like of int or str of shape (n_pairs,), optional
            Who labelled each pair; needs a head with noise="estimate".
        lengths : array-like of shape (n_items,) or (n_pairs, 2), >= 0
            Length of each item of `Pairs`, in characters or tokens; or of both ends
            of each pair, the form that arrays need, and that scikit-learn can split.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            As for every head, and where lengths are missing, negative, not finite or
            of another shape.
        """
        checked = as_pairs(pairs)
        self._check_parameters()
        by_item = check_item_lengths(lengths, checked)
        covariate = np.log1p(by_item) if self.transform == "log" else by_item
        names, codes = self._number_annotators(annotator)
        wins = make_comparisons(
            append_covariate(checked, covariate),
            y,
            sample_weight,
            margin,
            annotator=codes,
        )
        plain, self._covariate = remove_covariate(wins)
        try:
            self.fit_comparisons(plain)
        finally:
            del self._covariate
        if names is not None:
            self._name_annotators(names)
        return self

    def decision_function(self, pairs: Any) -> FloatArray:
        """Compute delta without length, shape (n_pairs,), as the head inside does.

        Swapping a pair negates it exactly.
        """
        check_is_fitted(self)
        if self.head_.is_transitive:
            return super().decision_function(pairs)
        X, ids = self._items_of(pairs)
        fitted = Debiased(self.head_, self.direction_, self.level_)
        return delta_of(self.head_, fitted.seen(self._preprocessed(X)), ids)

    def _fit(self, comparisons: Comparisons) -> None:
        covariate = getattr(self, "_covariate", None)
        if covariate is None:
            raise invalid_input(
                expected="the lengths of items in fit",
                got="none",
                fix="call fit(..., lengths=...) on this head itself, outermost: "
                "other heads that hold it do not pass lengths on",
            )

        def before(wins: Comparisons) -> Scorer:
            return partial(_score, self._fit_head(wins))

        def after(wins: Comparisons) -> Scorer:
            fitted = self._fit_debiased(wins, covariate)
            return lambda items, ids: _score(fitted.head, fitted.seen(items), ids)

        self.report_: LengthReport | None = None
        if self.cv is not None:
            self.report_ = report_length(comparisons, covariate, before, after, self.cv)
        self.head_, self.direction_, self.level_ = self._fit_debiased(
            comparisons, covariate
        )

    def _fit_debiased(self, wins: Comparisons, covariate: FloatArray) -> "Debiased":
        if self.method == "nuisance":
            column = nuisance_column(wins.items, covariate)
            wins = replace(wins, items=with_column(wins.items, column))
            return Debiased(self._fit_head(wins), None, 0.0)
        known = taking_part(wins)
        items = wins.items[known]
        direction = covarying_direction(items, covariate[known], wins.units()[known])
        level = float(items.mean(axis=0, dtype=np.float64) @ direction)
        wins = replace(wins, items=erase(wins.items, direction, level))
        return Debiased(self._fit_head(wins), direction, level)

    def _reward(self, items: FloatArray) -> FloatArray:
        return Debiased(self.head_, self.direction_, self.level_).reward(items)


class Debiased(NamedTuple):
    """A fitted head, and what is done to items before it scores them."""

    head: RewardHead
    direction: FloatArray | None
    level: float

    def reward(self, items: FloatArray) -> FloatArray:
        """Score items without their length."""
        return self.head.reward(self.seen(items))

    def seen(self, items: FloatArray) -> FloatArray:
        """Make what the head sees of items: all but their length."""
        if self.direction is None:
            return with_column(items, np.zeros(len(items)))
        return erase(items, self.direction, self.level)


def _score(
    head: RewardHead, items: FloatArray, ids: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Compute a head's rewards of items, and its delta of pairs of them."""
    return head.reward(items), delta_of(head, items, ids)
