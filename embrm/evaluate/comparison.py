"""Comparison of heads on the same pairs: which differences are more than noise."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binom, norm
from scipy.stats import t as student_t

from embrm._typing import AnyArray, BoolArray, FloatArray, RandomState
from embrm._validation import check_choice, check_count, check_labels
from embrm.evaluate.inputs import check_delta, check_scores, check_untied
from embrm.evaluate.metrics import order_values
from embrm.evaluate.resampling import PromptResampler
from embrm.exceptions import invalid_input


def compare_heads(
    deltas: Mapping[str, ArrayLike],
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    reference: str | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> pd.DataFrame:
    r"""Compare heads by order consistency on the same pairs.

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
        - `p_value`: two-sided, of the paired bootstrap; NaN for the reference. It holds
          for a reference that was named before the data were seen;
        - `p_holm`: `p_value` adjusted for the number of heads;
        - `p_permutation`: two-sided, of flipping the signs of whole prompts'
          differences; NaN where pairs go across prompts;
        - `n_better, n_worse`: pairs that this head orders correctly and the reference
          incorrectly, and vice versa; a tie of either head is neither;
        - `p_mcnemar`: exact McNemar test of these two counts. It takes pairs for
          independent: trust `p_value` where prompts have many pairs;
        - `p_best`: that the head is as good as the best. It allows for the number of
          heads and for the best having been chosen on these data: if all heads are
          equal, the chance that any has p_best < 0.05 is at most about 0.05;
        - `ties_with_best`: whether `p_best` is above 1 - `level`;
        - `group`: heads that share a letter do not differ, in the same sense.

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

    `p_best` compares :math:`\max_j (\hat\theta_j - \hat\theta_i) / s_{ij}` with the
    bootstrap distribution of the greatest studentised difference of *any* two heads,
    :math:`\max_{ij} |\theta^*_{ij} - \hat\theta_{ij}| / s_{ij}`, at Student's quantiles
    for the number of prompts: all pairwise comparisons by a bootstrap maximum. Hsu's
    multiple comparisons with the best (1981, Annals of Statistics 9(5)) protect one
    best head; this protects all of those that are equally good.

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
    shares = zip(estimates.tolist(), replicates.T, strict=True)
    own = [resampler.share_interval(*share) for share in shares]
    low, high = np.transpose([(interval.low, interval.high) for interval in own])
    difference = replicates - replicates[:, [base]]
    difference_low, difference_high = resampler.percentiles(difference)
    p_pairs = p_of_all_pairs(replicates, estimates, resampler.n_groups)
    differ = p_pairs < 1 - resampler.level
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
            "p_permutation": resampler.sign_flips(
                (right - right[:, [base]]) * counted[:, None]
            ),
            "n_better": n_better,
            "n_worse": n_worse,
            "p_mcnemar": [
                mcnemar_exact(int(b), int(w))
                for b, w in zip(n_better, n_worse, strict=True)
            ],
            "p_best": p_pairs[best],
            "ties_with_best": ~differ[best],
            "group": group_letters(estimates, differ),
        },
        index=pd.Index(names, name="head"),
    )
    table.loc[names[base], "p_permutation"] = np.nan
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
        Pairs that only one head orders correctly, for each of the two.

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
        NaN means no test: it stays NaN and is not counted.

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
    """Value every pair for every head; return which pairs count (1) or are ties (0)."""
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
    """Count the pairs that only the head, and only the reference, orders correctly."""
    difference = right - right[:, [base]]
    return (difference == 1).sum(axis=0), (difference == -1).sum(axis=0)


def _p_values(differences: FloatArray) -> FloatArray:
    """Invert the percentile interval of each column: two-sided p values."""
    below, above = (differences <= 0).sum(axis=0), (differences >= 0).sum(axis=0)
    p_values: FloatArray = 2 * (1 + np.minimum(below, above)) / (1 + len(differences))
    return np.minimum(1.0, p_values)


def p_of_all_pairs(
    replicates: FloatArray, estimates: FloatArray, n_groups: int
) -> FloatArray:
    """Compute p values of the differences of all two heads, adjusted for all at once.

    Returns
    -------
    ndarray of shape (n_heads, n_heads)
        1 where there is nothing to tell by: one head, or one group.
    """
    n_heads = len(estimates)
    p_pairs = np.ones((n_heads, n_heads))
    one, other = np.triu_indices(n_heads, 1)
    if n_groups < 2 or not len(one) or not len(replicates):
        return p_pairs
    observed = np.abs(estimates[one] - estimates[other])
    greatest = np.zeros(len(replicates))
    statistic = np.zeros(len(one))
    # A head at a time, so that memory stays small with many heads.
    for head in range(n_heads - 1):
        mine = one == head
        errors = replicates[:, [head]] - replicates[:, other[mine]]
        errors -= estimates[head] - estimates[other[mine]]
        # Resampled prompts are as spread out as the prompts, whose variance is biased.
        spread = errors.std(axis=0) * np.sqrt(n_groups / (n_groups - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic[mine] = np.nan_to_num(observed[mine] / spread, posinf=np.inf)
            scaled = np.nan_to_num(np.abs(errors) / spread, posinf=0.0)
        np.maximum(greatest, scaled.max(axis=1), out=greatest)
    # Of few prompts the spread itself is uncertain: Student's tail, as a normal one's.
    statistic = norm.isf(student_t.sf(statistic, n_groups - 1))
    exceeded = len(greatest) - np.searchsorted(np.sort(greatest), statistic)
    p_pairs[one, other] = p_pairs[other, one] = (1 + exceeded) / (1 + len(greatest))
    return p_pairs


def group_letters(estimates: FloatArray, differ: BoolArray) -> list[str]:
    """Give letters to heads such that those who share one do not differ."""
    order = np.argsort(-estimates, kind="stable")
    runs: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start
        while (
            end + 1 < len(order)
            and not differ[order[end + 1], order[start : end + 1]].any()
        ):
            end += 1
        if not runs or end > runs[-1][1]:
            runs.append((start, end))
    letters = [""] * len(order)
    for number, (start, end) in enumerate(runs):
        for place in order[start : end + 1]:
            letters[place] += _letter(number)
    return letters


def _letter(number: int) -> str:
    """Name a group: a, b, ..., z, a1, b1, ..."""
    letter = chr(ord("a") + number % 26)
    return letter if number < 26 else f"{letter}{number // 26}"


def compare(
    heads: Mapping[str, Any],
    data: Any = None,
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Compare models, heads or their deltas on the same pairs.

    Parameters
    ----------
    heads : mapping of str to model, head or array-like of shape (n_pairs,)
        What has `decision_function(data)`, a `RewardModel` or a fitted head; or deltas
        in nats, from anywhere; or a Series named "reward" with the rewards of the
        data's items, in their order.
    data : Preferences, Pairs, DataFrame or path, optional
        What they are compared on; not needed if all are deltas. Frames and files are
        those of `read_preferences`, and give labels and prompts, too; ratings, ranks
        and labels of items become same-prompt pairs.
    y : array-like of shape (n_pairs,) in [0, 1], optional
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        Those of `data`, if it has any.
    costs : mapping of str to mapping of str to float, optional
        By head: columns to stand beside the scores, such as `bytes`, `tokens`.
        `score_seconds` is measured here, `fit_seconds` was in the fit of a model.
    **options
        As for `compare_heads`: reference, level, n_resamples, random_state.

    Returns
    -------
    DataFrame
        That of `compare_heads`, with the costs.

    Raises
    ------
    InvalidInputError
        If a model is to be compared and there is no data, or on what `compare_heads`
        refuses.

    Examples
    --------
    >>> table = compare({"up": [1.0, 2.0, 1.0], "down": [-1.0, 1.0, -2.0]}, y=[1, 1, 1])
    >>> table["order_consistency"].round(3).to_dict()
    {'up': 1.0, 'down': 0.333}
    """
    labels, prompts, source = _labelled(data, y, groups, heads.values())
    deltas: dict[str, ArrayLike] = {}
    measured: dict[str, dict[str, float]] = {}
    for name, head in heads.items():
        measured[name] = dict((costs or {}).get(name, {}))
        if hasattr(head, "decision_function"):
            start = time.perf_counter()
            deltas[name] = head.decision_function(_given(source, name))
            measured[name]["score_seconds"] = time.perf_counter() - start
            if getattr(head, "fit_seconds_", None) is not None:
                measured[name].setdefault("fit_seconds", head.fit_seconds_)
        elif isinstance(head, pd.Series) and head.name == "reward":
            deltas[name] = _deltas_of_items(head, _given(source, name), name)
        else:
            deltas[name] = head
    table = compare_heads(deltas, labels, prompts, **options)
    beside = pd.DataFrame.from_dict(measured, orient="index").reindex(table.index)
    joined = table.join(beside)
    joined.attrs = table.attrs
    return joined


def _given(data: Any, name: str) -> Any:
    if data is None:
        raise invalid_input(
            "data to compare on",
            f"none, and {name!r} is a model",
            "pass a preference file or frame as data, or deltas instead of models",
        )
    return data


def _deltas_of_items(rewards: "pd.Series[Any]", data: Any, name: str) -> FloatArray:
    """Subtract the rewards of both ends of each pair."""
    pairs = getattr(data, "pairs", None)
    ids = data.ids if pairs is None else pairs[["first", "second"]].to_numpy()
    values = check_scores(rewards.to_numpy(), f"rewards of {name}", len(data.items))
    return np.asarray(values[ids[:, 0]] - values[ids[:, 1]])


def _labelled(
    data: Any, y: ArrayLike | None, groups: ArrayLike | None, heads: Iterable[Any]
) -> tuple[ArrayLike | None, ArrayLike | None, Any]:
    """Take labels and prompts from data that has them, named as the models' are."""
    from embrm.datasets.paired import read_pairs

    if data is None or hasattr(data, "decision_function"):
        return y, groups, data
    if hasattr(data, "unique_items"):  # Pairs
        known = None if data.prompt_ids is None else data.groups
        return y, known if groups is None else groups, data
    # Only models of frames have a template; arrays of deltas may have columns.
    models = [head for head in heads if hasattr(head, "prompt_template")]
    named = next((m for m in models if m.columns or m.prompt_template), None)
    naming = {} if named is None else vars(named)
    read = read_pairs(
        data,
        columns=naming.get("columns"),
        prompt_template=naming.get("prompt_template"),
    )
    return (
        read.y if y is None else y,
        prompts_of_pairs(read) if groups is None else groups,
        read,
    )


def prompts_of_pairs(preferences: Any) -> AnyArray:
    """Give the prompt ids of both ends of each pair, shape (n_pairs, 2)."""
    ids = preferences.items["prompt_id"].to_numpy()
    return np.asarray(ids[preferences.pairs[["first", "second"]].to_numpy()])
