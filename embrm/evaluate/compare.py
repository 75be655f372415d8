"""Comparison of heads on the same pairs: which differences are more than noise."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from embrm._typing import AnyArray, FloatArray, RandomState
from embrm._validation import (
    check_choice,
    check_count,
    check_labels,
    invalid_input,
)
from embrm.evaluate.inputs import check_delta, check_untied
from embrm.evaluate.metrics import order_values
from embrm.evaluate.resampling import PromptResampler

if TYPE_CHECKING:
    import pandas as pd


def compare_heads(
    deltas: Mapping[str, ArrayLike],
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    reference: str | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> "pd.DataFrame":
    """Compare heads by order consistency on the same pairs.

    Parameters
    ----------
    deltas : mapping of name to array-like of shape (n_pairs,)
        Delta of each head on the same pairs, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; pairs with y = 0.5 are left out. None
        means that first is always preferred.
    groups : array-like of shape (n_pairs, 2) or (n_pairs,), optional
        `Pairs.groups`, or one prompt id per pair; prompts are resampled. If None,
        pairs are, and `attrs["method"]` says so.
    reference : str, optional
        The head that the others are compared with; None means the best.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    DataFrame
        One row per head (index `head`), best first, with columns

        - `order_consistency, low, high`: the interval is from resampled prompts;
        - `difference, difference_low, difference_high`: order consistency less that
          of the reference, on the same resamples (paired);
        - `p_value`: two-sided, of the paired bootstrap; NaN for the reference;
        - `p_holm`: `p_value` adjusted for the number of heads;
        - `n_better, n_worse`: pairs that this head orders rightly and the reference
          wrongly, and the other way round; a tie of either head is neither;
        - `p_mcnemar`: exact McNemar test of these two counts. It takes pairs for
          independent: trust `p_value` where prompts have many pairs;
        - `ties_with_best`: whether the interval of the difference to the best head
          includes 0.

        `attrs` holds `reference`, `level`, `method` and `n_groups`.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, no head, or an unknown reference.

    Notes
    -----
    The two-sided p value is :math:`2 (1 + m) / (1 + R)`, with m the smaller number of
    the R resampled differences on one side of 0 (0 included): Davison and Hinkley
    (1997), Bootstrap Methods and their Application, chapter 4.

    Examples
    --------
    >>> table = compare_heads(
    ...     {"good": [1.0, 2.0, 1.0, 3.0], "bad": [-1.0, -1.0, -2.0, 1.0]},
    ...     [1, 1, 1, 1],
    ...     ["a", "b", "c", "d"],
    ... )
    >>> table[["order_consistency", "n_better", "n_worse", "p_mcnemar"]]
          order_consistency  n_better  n_worse  p_mcnemar
    head
    good               1.00         0        0       1.00
    bad                0.25         0        3       0.25
    """
    import pandas as pd

    names, right, counted = _judge(deltas, y)
    resampler = PromptResampler(
        groups,
        len(counted),
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    estimates = np.average(right, axis=0, weights=counted)
    totals = resampler.totals(np.column_stack([right * counted[:, None], counted]))
    replicates = totals[totals[:, -1] > 0]
    replicates = replicates[:, :-1] / replicates[:, -1:]
    best = int(np.argmax(estimates))
    base = best if reference is None else _position(reference, names)
    low, high = resampler.percentiles(replicates)
    difference = replicates - replicates[:, [base]]
    difference_low, difference_high = resampler.percentiles(difference)
    gap_low, _ = resampler.percentiles(replicates[:, [best]] - replicates)
    n_better, n_worse = _discordant(right[counted > 0], base)
    untested = (np.arange(len(names)) == base) | np.isnan(difference_low)
    p_value = np.where(untested, np.nan, _p_values(difference))
    table = pd.DataFrame(
        {
            "order_consistency": estimates,
            "low": low,
            "high": high,
            "difference": estimates - estimates[base],
            "difference_low": difference_low,
            "difference_high": difference_high,
            "p_value": p_value,
            "p_holm": holm(p_value),
            "n_better": n_better,
            "n_worse": n_worse,
            "p_mcnemar": [
                mcnemar_exact(int(b), int(w))
                for b, w in zip(n_better, n_worse, strict=True)
            ],
            "ties_with_best": ~(gap_low > 0),
        },
        index=pd.Index(names, name="head"),
    )
    table.attrs = {
        "reference": names[base],
        "level": resampler.level,
        "method": resampler.method,
        "n_groups": resampler.n_groups,
    }
    return table.sort_values("order_consistency", ascending=False, kind="stable")


def mcnemar_exact(n_better: int, n_worse: int) -> float:
    """Compute the exact two-sided p value of McNemar's test.

    Parameters
    ----------
    n_better, n_worse : int >= 0
        Pairs that only the one head, and only the other, orders rightly.

    Returns
    -------
    float in (0, 1]
        Probability, if both were equally likely, of counts at least as uneven:
        McNemar (1947), Psychometrika 12(2), in its exact binomial form.

    Raises
    ------
    InvalidInputError
        If a count is negative or not an integer.

    Examples
    --------
    >>> round(mcnemar_exact(1, 9), 4)
    0.0215
    """
    better = check_count(n_better, "n_better", 0)
    worse = check_count(n_worse, "n_worse", 0)
    smaller = min(better, worse)
    return min(1.0, 2 * float(binom.cdf(smaller, better + worse, 0.5)))


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjust p values for their number, by Holm's step-down method.

    Parameters
    ----------
    p_values : array-like of shape (n,), in [0, 1]
        NaN stands for no test: it stays NaN and is not counted.

    Returns
    -------
    ndarray of shape (n,)
        Reject those below 0.05 and the chance of any false rejection is below 0.05:
        Holm (1979), Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> holm([0.01, 0.04, float("nan"), 0.03]).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(raw), np.nan)
    # NaN sorts last, beyond the tests that are counted.
    order = np.argsort(raw)[: int(np.isfinite(raw).sum())]
    stepped = raw[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted


def _judge(
    deltas: Mapping[str, ArrayLike], y: ArrayLike | None
) -> tuple[list[str], FloatArray, FloatArray]:
    """Value every pair for every head; say which pairs count (1) or are ties (0)."""
    if not deltas:
        raise invalid_input(
            expected="at least one head",
            got="none",
            fix="pass {name: head.decision_function(pairs)}",
        )
    checked = {str(name): check_delta(delta) for name, delta in deltas.items()}
    sizes = {len(delta) for delta in checked.values()}
    if len(sizes) > 1:
        raise invalid_input(
            expected="deltas of all heads on the same pairs",
            got=f"lengths {', '.join(map(str, sorted(sizes)))}",
            fix="score every head on the same pairs, in the same order",
        )
    labels = check_labels(y, n_pairs=sizes.pop())
    check_untied(labels, np.ones(len(labels)))
    right = np.column_stack([order_values(delta, labels) for delta in checked.values()])
    return list(checked), right, (labels != 0.5).astype(np.float64)


def _position(reference: str, names: list[str]) -> int:
    check_choice(reference, "reference", names)
    return names.index(reference)


def _discordant(right: FloatArray, base: int) -> tuple[AnyArray, AnyArray]:
    """Count the pairs that one of head and reference orders rightly, one wrongly."""
    difference = right - right[:, [base]]
    return (difference == 1).sum(axis=0), (difference == -1).sum(axis=0)


def _p_values(differences: FloatArray) -> FloatArray:
    """Invert the percentile interval of each column: two-sided p values."""
    below, above = (differences <= 0).sum(axis=0), (differences >= 0).sum(axis=0)
    p_values: FloatArray = 2 * (1 + np.minimum(below, above)) / (1 + len(differences))
    return np.minimum(1.0, p_values)
