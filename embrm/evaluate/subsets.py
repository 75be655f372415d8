"""Order consistency by subset: honest intervals, and whether subsets differ at all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_level, check_random_state
from embrm.evaluate.inputs import check_labelled, check_untied, group_codes
from embrm.evaluate.metrics import order_values
from embrm.evaluate.resampling import wilson_bounds
from embrm.exceptions import invalid_input

_FEW = 10


@dataclass(frozen=True, eq=False)
class Subsets:
    """Order consistency in each subset of the pairs.

    Attributes
    ----------
    table : DataFrame
        One row a subset (index `by`), the largest first: `n_pairs`, `n_prompts`,
        `order_consistency`, `low`, `high`, and `shrunk`, the estimate drawn towards
        the others as far as its noise asks for.
    p_differ : float
        P value of the hypothesis that all subsets have the same order consistency;
        NaN with one subset.
    level : float
        Of the intervals.
    by : str
        What the pairs are divided by.
    """

    table: pd.DataFrame
    p_differ: float
    level: float
    by: str

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, numbers and None."""
        rows = self.table.reset_index().astype(object)
        return {
            "by": self.by,
            "p_differ": None if np.isnan(self.p_differ) else self.p_differ,
            "level": self.level,
            "subsets": rows.where(rows.notna(), None).to_dict("records"),
        }

    def verdict(self) -> str:
        """Say in words whether the subsets differ."""
        if np.isnan(self.p_differ):
            return f"There is one {self.by} only."
        words = "differ" if self.p_differ < 1 - self.level else "do not differ"
        beyond = "" if words == "differ" else " beyond noise"
        return (
            f"The {len(self.table)} subsets by {self.by} {words}{beyond} in order "
            f"consistency (p = {self.p_differ:.3f})."
        )

    def __str__(self) -> str:
        lines = [f"{self.by:<24} {'pairs':>7}  {'estimate':>8}  interval"]
        for name, row in self.table.iterrows():
            bounds = f"[{row['low']:.3f}, {row['high']:.3f}]"
            few = "  few prompts" if row["n_prompts"] < _FEW else ""
            lines.append(
                f"{str(name)[:24]:<24} {row['n_pairs']:>7,.0f}  "
                f"{row['order_consistency']:>8.3f}  {bounds}{few}"
            )
        return "\n".join([*lines, self.verdict()])


def evaluate_by(
    delta: ArrayLike,
    by: ArrayLike,
    y: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> Subsets:
    r"""Compute order consistency by subset, and test whether subsets differ.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
    by : array-like of shape (n_pairs,), or a Series with a name
        The subset of each pair; missing ones are a subset "(none)".
    y : array-like of shape (n_pairs,) in [0, 1], optional
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        Prompt ids; without them each pair counts as a prompt of its own.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
        Permutations of the test.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Subsets

    Raises
    ------
    InvalidInputError
        On a wrong shape, or if all labels are ties.

    Notes
    -----
    Intervals are Wilson's at the number of independent pairs that would have the
    variance of the prompts' sums, :math:`v = \frac{P}{P - 1} \sum_p (r_p - \hat\theta
    w_p)^2 / w^2`: they have width where all pairs are right. The test permutes which
    subset a whole prompt belongs to (or, where prompts have pairs in several subsets,
    the subsets within each prompt), with the statistic :math:`\sum_s w_s
    (\hat\theta_s - \hat\theta)^2`. `shrunk` is the empirical Bayes mean of normal
    estimates with variances :math:`v_s`, between which the variance is estimated by
    moments.

    Examples
    --------
    >>> subsets = evaluate_by([1, 2, -1, 3, -2, -1], list("aaabbb"))
    >>> subsets.table["order_consistency"].round(3).to_dict()
    {'a': 0.667, 'b': 0.333}
    """
    differences, labels, weights = check_labelled(delta, y, sample_weight)
    check_untied(labels, weights)
    check_level(level)
    n_resamples = check_count(n_resamples, "n_resamples", 1)
    names, codes = _subset_codes(by, len(differences))
    prompts = _units(groups, len(differences))
    right = order_values(differences, labels)
    counted = np.where(labels == 0.5, 0.0, weights)
    rows = [
        _one_subset(right, counted, prompts, codes == code, level)
        for code in range(len(names))
    ]
    table = pd.DataFrame(rows, index=pd.Index(names, name="by"))
    table["shrunk"] = _shrunk(table)
    p_differ = _p_differ(right, counted, prompts, codes, n_resamples, random_state)
    return Subsets(
        table.drop(columns="variance").sort_values(
            "n_pairs", ascending=False, kind="stable"
        ),
        p_differ,
        level,
        str(getattr(by, "name", None) or "subset"),
    )


def subset_column(preferences: Any, by: str) -> pd.Series:
    """Take a column of preferences' pairs, or of the items that both ends share.

    Parameters
    ----------
    preferences : Preferences
    by : str

    Returns
    -------
    Series of shape (n_pairs,), named `by`

    Raises
    ------
    InvalidInputError
        If there is no such column; names those there are.
    """
    if by in preferences.pairs:
        own: pd.Series = preferences.pairs[by].reset_index(drop=True)
        return own
    if by in preferences.items:
        values = preferences.items[by].astype(object).to_numpy()
        first, second = (values[preferences.pairs[e]] for e in ("first", "second"))
        shared = [a if a == b else None for a, b in zip(first, second, strict=True)]
        return pd.Series(shared, name=by, dtype=object)
    reserved = {"first", "second", "y", "weight", "margin"}
    known = [str(c) for c in preferences.pairs if c not in reserved]
    raise invalid_input(
        "a column of the pairs to divide them by",
        f"{by!r}; there are {', '.join(known) or 'none'}"[:200],
        "name a column of the file that holds one value a pair",
    )


def _subset_codes(by: ArrayLike, n_pairs: int) -> tuple[list[str], IntArray]:
    values = np.asarray(by, dtype=object)
    if values.shape != (n_pairs,):
        raise invalid_input(
            f"by of shape ({n_pairs},), one subset a pair",
            f"shape {values.shape}",
            "pass the column of the same pairs, in the same order",
        )
    named = pd.Series(values).where(pd.notna(values), "(none)").astype(str)
    codes, names = pd.factorize(named, sort=True)
    return list(map(str, names)), codes


def _units(groups: ArrayLike | None, n_pairs: int) -> IntArray:
    """Give numbers to the units whose pairs stand together: one or two prompts."""
    if groups is None:
        return np.arange(n_pairs)
    codes, n_prompts = group_codes(groups, n_pairs)
    low, high = codes.min(axis=1), codes.max(axis=1)
    return np.asarray(np.unique(low * n_prompts + high, return_inverse=True)[1])


def _one_subset(
    right: FloatArray,
    counted: FloatArray,
    prompts: IntArray,
    mine: AnyArray,
    level: float,
) -> dict[str, float]:
    _, units = np.unique(prompts[mine & (counted > 0)], return_inverse=True)
    kept = mine & (counted > 0)
    n_units = int(units.max()) + 1 if len(units) else 0
    row = {"n_pairs": int(kept.sum()), "n_prompts": n_units}
    if not n_units:
        return row | dict.fromkeys(
            ("order_consistency", "low", "high", "variance"), np.nan
        )
    weight = np.bincount(units, weights=counted[kept])
    won = np.bincount(units, weights=(counted * right)[kept])
    share = float(won.sum() / weight.sum())
    variance = 0.0
    if n_units > 1:
        residual = np.square(won - share * weight).sum()
        variance = float(n_units / (n_units - 1) * residual / weight.sum() ** 2)
    low, high = wilson_bounds(share, variance, n_units, level)
    return row | {
        "order_consistency": share,
        "low": low,
        "high": high,
        "variance": variance,
    }


def _shrunk(table: pd.DataFrame) -> FloatArray:
    """Draw each estimate towards their mean, by its variance and that between them."""
    share = table["order_consistency"].to_numpy(np.float64)
    n = table["n_prompts"].to_numpy(np.float64)
    known = np.isfinite(share)
    # One that is all right has no variance of its own: add one success and failure.
    smoothed = (share * n + 1) / (n + 2)
    variance = np.maximum(
        table["variance"].to_numpy(np.float64), smoothed * (1 - smoothed) / (n + 2)
    )
    if known.sum() < 2:
        return share
    mean = np.average(share[known], weights=1 / variance[known])
    between = max(0.0, float(np.var(share[known], ddof=1) - variance[known].mean()))
    precision = 1 / variance
    total = precision + (1 / between if between > 0 else np.inf)
    with np.errstate(invalid="ignore"):
        own = np.where(np.isinf(total), 0.0, precision / total)
    return np.asarray(own * share + (1 - own) * mean)


def _p_differ(
    right: FloatArray,
    counted: FloatArray,
    prompts: IntArray,
    codes: IntArray,
    n_resamples: int,
    random_state: RandomState,
) -> float:
    """Test by permutation whether all subsets have the same order consistency."""
    kept = counted > 0
    right, counted, codes = right[kept], counted[kept], codes[kept]
    units = np.unique(prompts[kept], return_inverse=True)[1]
    subsets = np.unique(codes, return_inverse=True)[1]
    n_subsets = int(subsets.max()) + 1
    if n_subsets < 2:
        return np.nan
    first = np.zeros(units.max() + 1, dtype=np.intp)
    first[units] = subsets
    won, weight, labels = counted * right, counted, subsets
    nested = not (first[units] != subsets).any()
    if nested:
        # Whole prompts move, with all of their pairs.
        won = np.asarray(np.bincount(units, weights=won), dtype=np.float64)
        weight = np.asarray(np.bincount(units, weights=weight), dtype=np.float64)
        labels = first
    share = won.sum() / weight.sum()
    by_subset = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_subset], np.arange(n_subsets))

    def spread(order: IntArray) -> float:
        """Compute the statistic if the units in this order filled the subsets."""
        total = np.add.reduceat(weight[order], starts)
        gained = np.add.reduceat(won[order], starts)
        return float(np.sum(np.square(gained - share * total) / total))

    generator = check_random_state(random_state)
    observed = spread(by_subset) * (1 - 1e-9)
    exceeded = sum(
        spread(_shuffled(by_subset, None if nested else units, generator)) >= observed
        for _ in range(n_resamples)
    )
    return (1 + exceeded) / (1 + n_resamples)


def _shuffled(
    by_subset: IntArray, places: IntArray | None, generator: np.random.Generator
) -> IntArray:
    """Let units change their subsets, all of them or within their places only."""
    if places is None:
        return generator.permutation(by_subset)
    # Pairs sorted by prompt, as they are and in random order: one goes to the other.
    shuffled = np.argsort(places + generator.random(len(places)))
    goes_to = np.empty_like(shuffled)
    goes_to[np.argsort(places, kind="stable")] = shuffled
    return goes_to[by_subset]
