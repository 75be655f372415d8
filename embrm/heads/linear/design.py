r"""The design of a linear fit: columns of items, their scale, and prompt effects.

A comparison across prompts also compares the prompts: gold differs between prompts for
reasons that vectors barely show, and for a linear head that is noise shared by all
pairs of a prompt. So each prompt p may have an intercept,

.. math:: \delta = w^\top (x_1 - x_2) + b_{p_1} - b_{p_2}, \qquad
          b_p \sim N(0, \sigma_b^2)

as in a mixed-effects model [1]_. It is fitted jointly with w and then dropped: it
cancels between responses to one prompt, and is unknown for new prompts.

References
----------
.. [1] Gelman, Hill (2007). Data analysis using regression and multilevel/hierarchical
   models, chapter 11.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from embrm._typing import FloatArray, IntArray
from embrm._validation import widened
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear._label_model import LabelModel, Ties
from embrm.heads.linear._operators import BlockedOperator, copy_widened, mean_of_rows
from embrm.heads.linear.newton import DiagonalCoordinates
from embrm.heads.linear.problem import (
    LARGEST_ROTATION,
    LinearProblem,
    blocked_operator,
    is_blocked,
    make_blocked_problem,
    make_problem,
    sampled_square,
    whiten_prior,
)
from embrm.heads.linear.row_problem import RowProblem
from embrm.heads.validation_split import share_across_prompts
from embrm.heads.win_loss import Link

N_FOLDS = 5

MOST_COLUMNS = 3072
"""Of items and prompts together; with more, a search takes too long."""

_RELATIVE_VARIANCE = 3.0
"""Prior variance of a prompt's effect over that of an item's reward."""

_FEWEST_TO_SCALE = 50
"""Items below which the variance of a column is too uncertain to use."""

_MOST_BYTES = 2**30
_ENOUGH_WINS, _WINS_FOR_SQUARE = 4096, 1000
_ROWS_AT_A_TIME = 512


@dataclass(frozen=True, eq=False)
class FitSettings:
    """What to fit, from checked parameters of the head.

    Attributes
    ----------
    alpha : float or None
        None to choose it.
    whitening : float in [0, 1]
    standardise : bool or None
        Whether the prior is that of weights on columns of unit variance; None to
        choose that with the penalty.
    prompt_effects : bool or None
        Whether prompts have intercepts; None to choose that with the penalty.
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    posterior : bool
    tol : float
    max_iter : int
    start : ndarray of shape (d,) or None
        Weights to start from.
    coordinates : DiagonalCoordinates or None
        What an earlier fit to similar data had, to condition this one.
    reward_scale : float > 0 or None
        Factor on the fitted weights; None to choose it with the penalty.
    """

    alpha: float | None = None
    whitening: float = 0.0
    standardise: bool | None = None
    prompt_effects: bool | None = None
    link: Link = "logit"
    ties: Ties | None = None
    posterior: bool = True
    tol: float = 1e-8
    max_iter: int = 100
    start: FloatArray | None = None
    coordinates: DiagonalCoordinates | None = None
    reward_scale: float | None = None

    @property
    def free_scale(self) -> bool:
        """Whether penalties are judged at their best scales."""
        return self.reward_scale is None

    @classmethod
    def of(cls, params: Mapping[str, Any], n_margins: int) -> "FitSettings":
        """Read the parameters of a `LinearBradleyTerry`.

        Parameters
        ----------
        params : mapping
            By name, each checked by itself.
        n_margins : int
            How many wins have a margin, which no tie model takes.

        Raises
        ------
        InvalidInputError
            If two parameters exclude each other.
        """
        _check_ties(params, n_margins)
        is_auto, whitening = isinstance(params["alpha"], str), params["whitening"]
        factor = params["reward_scale"]
        if isinstance(factor, str):
            factor = None if is_auto else 1.0
        if params["prompt_effects"] is True and whitening > 0:
            raise invalid_input(
                expected="whitening=0 with prompt_effects=True",
                got=f"whitening={whitening:g}",
                fix="leave one of them at its default",
            )

        def switch(name: str) -> bool | None:
            """Read a switch; None if it is chosen by held-out loss, as alpha is."""
            if isinstance(params[name], str):
                return None if is_auto else False
            return bool(params[name])

        return cls(
            alpha=None if is_auto else float(params["alpha"]),
            whitening=float(whitening),
            standardise=switch("standardise"),
            prompt_effects=whitening == 0 and switch("prompt_effects"),
            link=params["link"],
            ties=params["ties"],
            posterior=bool(params["posterior"]),
            tol=float(params["tol"]),
            max_iter=int(params["max_iter"]),
            reward_scale=None if factor is None else float(factor),
        )


def _check_ties(params: Mapping[str, Any], n_margins: int) -> None:
    """Refuse what no tie model takes."""
    if params["ties"] is None:
        return
    if params["link"] != "logit" or params["noise"] is not None:
        raise invalid_input(
            expected="ties with link='logit' and noise=None",
            got=f"link={params['link']!r}, noise={params['noise']!r}",
            fix="use ties=None, which counts a tie as half a win each way",
        )
    if n_margins:
        raise invalid_input(
            expected="ties without margins",
            got=f"{n_margins} positive margins",
            fix="drop margin, or use ties=None",
        )


@dataclass(frozen=True)
class PromptEffects:
    """Indicator columns of the prompt that each item answers.

    Attributes
    ----------
    size : float > 0
        Of the one entry in each row. With penalty alpha an effect has the prior
        variance size^2 / alpha, where an item has E ||x_1 - x_2||^2 / (2 alpha).
    n_prompts : int
    """

    size: float
    n_prompts: int

    @classmethod
    def of(
        cls, comparisons: Comparisons, scale: FloatArray | None
    ) -> "PromptEffects | None":
        """Make the effects of the prompts, None where they are not used.

        Parameters
        ----------
        comparisons : Comparisons
        scale : ndarray of shape (d,) or None
            By which columns are divided.

        Returns
        -------
        PromptEffects or None
            None where prompts are unknown, most wins are within prompts, or prompts
            are so many that items with their columns would take over 1 GiB.

        Examples
        --------
        >>> from embrm import Pairs
        >>> from embrm.heads.comparisons import make_comparisons
        >>> items = np.diag([1.0, 1.0, 2.0, 2.0])
        >>> pairs = Pairs(items, [[0, 1], [2, 3]], prompt_ids=["a", "b", "c", "d"])
        >>> effects = PromptEffects.of(make_comparisons(pairs), None)
        >>> effects.n_prompts, round(effects.size**2, 6)  # 3 x (2 + 8) / 4
        (4, 7.5)
        """
        if comparisons.groups is None or share_across_prompts(comparisons) <= 0.5:
            return None
        n_prompts = int(comparisons.groups.max()) + 1
        if not fits_in_memory(comparisons.items, n_prompts):
            return None
        size = effect_size(comparisons, scale)
        return cls(size, n_prompts) if size > 0 else None

    def std(self, alpha: float) -> float:
        """Compute the prior standard deviation of an effect, in nats."""
        return float(self.size / np.sqrt(alpha)) if alpha > 0 else np.inf

    def columns(self, groups: IntArray, dtype: DTypeLike) -> FloatArray:
        """Make the columns, shape (n_items, n_prompts)."""
        columns = np.zeros((len(groups), self.n_prompts), dtype=dtype)
        columns[np.arange(len(groups)), groups] = self.size
        return columns

    def append_to(self, comparisons: Comparisons) -> Comparisons:
        """Append the columns to the items; they must have groups."""
        items, groups = comparisons.items, comparisons.groups
        if groups is None:
            return comparisons
        items = widened(items)
        columns = self.columns(groups, items.dtype)
        return replace(comparisons, items=np.hstack([items, columns]))

    def pad(self, scale: FloatArray | None) -> FloatArray | None:
        """Lengthen the scale of the items' columns: effects are not scaled."""
        return None if scale is None else np.append(scale, np.ones(self.n_prompts))


def effect_size(comparisons: Comparisons, scale: FloatArray | None) -> float:
    """Compute the `size` at which effects have three times the variance of rewards."""
    square = sampled_square(comparisons, scale, _ENOUGH_WINS)
    return float(np.sqrt(_RELATIVE_VARIANCE * square / 2))


def fits_in_memory(items: FloatArray, n_prompts: int) -> bool:
    """Say whether prompts are few enough to have a column each."""
    n_columns = items.shape[1] + n_prompts
    n_bytes = len(items) * n_columns * max(items.itemsize, 4)
    return bool(n_columns <= MOST_COLUMNS and n_bytes <= _MOST_BYTES)


class Design:
    """Comparisons as the design of a linear fit; costly parts are computed once.

    Parameters
    ----------
    comparisons : Comparisons
    settings : FitSettings
    effects : PromptEffects, optional
        To be appended to the items as columns.

    Attributes
    ----------
    comparisons : Comparisons
        With the columns of effects.
    labels : LabelModel
        The first guess at it.
    """

    def __init__(
        self,
        comparisons: Comparisons,
        settings: FitSettings,
        effects: PromptEffects | None = None,
    ) -> None:
        self.settings, self.effects = settings, effects
        if effects is not None:
            comparisons = effects.append_to(comparisons)
        self.comparisons = comparisons
        self.labels = self.labels_of(comparisons, settings)
        self.loss = self.labels.loss(comparisons)

    @staticmethod
    def labels_of(comparisons: Comparisons, settings: FitSettings) -> LabelModel:
        """Make the first guess at the label model."""
        return LabelModel.guess(comparisons, settings.link, settings.ties)

    @property
    def n_columns(self) -> int:
        """Columns of the items, with those of effects."""
        return int(self.comparisons.items.shape[1])

    @cached_property
    def operator(self) -> BlockedOperator | None:
        """Items that stay where they are, None where a copy is better.

        One fit without a posterior needs no eigenbasis, whose price it would not earn.
        """
        settings = self.settings
        once = settings.alpha is not None and not settings.posterior
        stay = is_blocked(self.comparisons) or (
            once and len(self.comparisons.items) >= self.n_columns
        )
        return blocked_operator(self.comparisons) if stay else None

    @property
    def mean(self) -> FloatArray:
        """Mean of the items, shape (n_columns,), float64."""
        if self.operator is not None:
            return self.operator.mean
        return mean_of_rows(self.comparisons.items)

    def problem(self, scale: FloatArray | None) -> LinearProblem:
        """Make the problem on columns divided by `scale`, in its eigenbasis."""
        if self.operator is None:
            plain = make_problem(self.comparisons, scale)
        else:
            operator = replace(self.operator, scale=scale)
            plain = make_blocked_problem(operator, self.comparisons)
        whitened = whiten_prior(plain, self.settings.whitening, self.n_columns)
        return replace(whitened, loss=self.loss)

    def row_problem(self, scale: FloatArray | None) -> RowProblem | None:
        """Make the problem on differences, for one fit without a posterior.

        None where that is of no use, or takes too much memory.
        """
        settings = self.settings
        needs_basis = settings.whitening > 0 or settings.ties is not None
        if settings.alpha is None or settings.posterior or needs_basis:
            return None
        if len(self.comparisons.items) < self.n_columns:
            return None
        if settings.coordinates is not None and settings.tol >= 1e-4:
            return None  # A few products from the minimum, to form them takes longer.
        return RowProblem.of(self.comparisons, scale, self.loss)

    def bare_problem(self, scale: FloatArray | None) -> LinearProblem | None:
        """Make the problem of blocked items without a basis, None where it needs one.

        Its curvature is unknown.
        """
        settings = self.settings
        needs_basis = settings.whitening > 0 or settings.ties is not None
        if needs_basis or self.operator is None or self.n_columns > LARGEST_ROTATION:
            return None
        square = sampled_square(self.comparisons, scale, _WINS_FOR_SQUARE)
        operator = replace(self.operator, scale=scale).measured(square)
        return replace(LinearProblem.of(operator, self.comparisons), loss=self.loss)


def mean_and_scale(items: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 1 where it is constant.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)

    Returns
    -------
    mean, scale : ndarray of shape (d,), float64

    Examples
    --------
    >>> mean_and_scale(np.array([[0.0, 5.0], [4.0, 5.0]]))
    (array([2., 5.]), array([2., 1.]))
    """
    mean, deviation = _mean_and_deviation(items)
    return mean, np.where(deviation == 0, 1.0, deviation)


def column_scale(items: FloatArray, *, unless_dominated: bool) -> FloatArray | None:
    """Compute the standard deviation of each column, 1 where it is constant.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)
    unless_dominated : bool
        Return None if one column has more variance than all others together. Vectors
        of language models have no such column; its scale was chosen on purpose.

    Examples
    --------
    >>> items = np.array([[0.0, 1.0], [6.0, 2.0]])
    >>> column_scale(items, unless_dominated=False)
    array([3. , 0.5])
    >>> column_scale(items, unless_dominated=True)
    """
    deviation = _mean_and_deviation(items)[1]
    variance = deviation**2
    if unless_dominated and 2 * variance.max() > variance.sum():
        return None
    return np.where(deviation == 0, 1.0, deviation)


def scale_of_columns(
    comparisons: Comparisons, settings: FitSettings
) -> FloatArray | None:
    """Compute by what columns are divided, block by block; None for nothing."""
    items = comparisons.items
    if settings.standardise is False or len(items) < _FEWEST_TO_SCALE:
        return None
    dominated = settings.standardise is None
    if comparisons.blocks is None:
        return column_scale(items, unless_dominated=dominated)
    parts = [
        column_scale(items[:, part], unless_dominated=dominated)
        for part in comparisons.blocks.values()
    ]
    widths = [part.stop - part.start for part in comparisons.blocks.values()]
    return np.concatenate(
        [np.ones(n) if s is None else s for s, n in zip(parts, widths, strict=True)]
    )


def _mean_and_deviation(items: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 0 where it is constant."""
    mean = items.mean(axis=0, dtype=np.float64)
    center = mean.astype(np.result_type(items.dtype, np.float32))
    memory = np.empty((_ROWS_AT_A_TIME, len(mean)), center.dtype)
    square = np.zeros(len(mean))
    # In the precision of the items, few rows at a time: the sum over all is in float64.
    for start in range(0, len(items), _ROWS_AT_A_TIME):
        rows = items[start : start + _ROWS_AT_A_TIME]
        gap = memory[: len(rows)]
        copy_widened(rows, gap)
        gap -= center
        square += np.einsum("ij,ij->j", gap, gap)
    deviation = np.sqrt(square / len(items))
    # A constant column has a deviation of some rounding errors, not of zero.
    constant = deviation <= 1e-6 * np.abs(mean) + 1e-9 * deviation.max()
    return mean, np.where(constant, 0.0, deviation)
