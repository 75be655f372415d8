"""Bias audit: how much of a reward, and of its accuracy, is length and style."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm

from embrm._typing import FloatArray, IntArray
from embrm.evaluate.bias.style import (
    cluster_covariance,
    fit_logistic,
    folds_of,
    style_frame,
)
from embrm.evaluate.inputs import check_scores
from embrm.evaluate.metrics import order_values
from embrm.evaluate.rank_correlation import (
    centred_on_prompt,
    correlate_by_prompt,
    within_prompt_std,
)
from embrm.evaluate.resampling import (
    Interval,
    PromptResampler,
    band_of_curves,
    prompt_bootstrap,
    wilson_bounds,
)
from embrm.exceptions import invalid_input

_STRONG, _MUCH = 0.3, 0.05
_N_RESAMPLES = 1000
_FEW_PROMPTS = 8


@dataclass(frozen=True, eq=False)
class BiasAudit:
    """What style says about a reward.

    Attributes
    ----------
    features : DataFrame
        One row a style feature: `reward`, its mean Spearman correlation with the
        reward within prompts, with `low` and `high` where it varies in 8 prompts or
        more; `gold`, the same with the items'
        scores; and `partial`, the correlation with the reward at equal score, pooled
        within prompts. NaN without scores.
    accuracy : Interval
        Order consistency of the pairs.
    length_controlled, style_controlled : Interval
        Probability that the preferred response has the greater reward when both have
        the same length, or the same style.
    style_only : Interval
        Order consistency of the style features alone, fitted on the labels of other
        prompts.
    style_share : float in [0, 1]
        Share of the reward's variance within prompts that style features explain, on
        prompts that they were not fitted on.
    heat_map : DataFrame
        Mean reward within prompts, in standard deviations, by the mean length of the
        prompt's responses (rows, quarters) and a response's relative length (columns).
    domains : DataFrame or None
        Mean reward of each domain with `low` and `high`, where domains were given.
    alarms : tuple of str
        What should be looked at, in words; empty if nothing stands out.
    """

    features: pd.DataFrame
    accuracy: Interval
    length_controlled: Interval
    style_controlled: Interval
    style_only: Interval
    style_share: float
    heat_map: pd.DataFrame
    domains: pd.DataFrame | None = None
    alarms: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, numbers and None."""
        names = ("accuracy", "length_controlled", "style_controlled", "style_only")
        frame = self.features.astype(object)
        return {
            **{name: getattr(self, name).to_json() for name in names},
            "style_share": self.style_share,
            "features": frame.where(frame.notna(), None).to_dict("index"),
            "alarms": list(self.alarms),
        }

    def __str__(self) -> str:
        lines = [f"{'':<32} {'estimate':>8}  interval"]
        words = {
            "order consistency": self.accuracy,
            "at equal length": self.length_controlled,
            "at equal style": self.style_controlled,
            "style alone": self.style_only,
        }
        for name, interval in words.items():
            bounds = f"[{interval.low:.3f}, {interval.high:.3f}]"
            lines.append(f"{name:<32} {interval.estimate:>8.3f}  {bounds}")
        lines.append(f"{'share of the reward in style':<32} {self.style_share:>8.3f}")
        lines.append("")
        shown = self.features.dropna(axis=1, how="all").round(3)
        lines.append(shown.to_string(na_rep=""))
        return "\n".join([*lines, *(f"! {alarm}" for alarm in self.alarms)])


def audit_bias(
    preferences: Any,
    reward: ArrayLike,
    delta: ArrayLike | None = None,
    *,
    domain: str | None = None,
    level: float = 0.95,
) -> BiasAudit:
    r"""Audit the rewards of preferences' items for length and style.

    Parameters
    ----------
    preferences : Preferences
        With labels on same-prompt pairs; items may have a `score` (gold).
    reward : array-like of shape (n_items,)
    delta : array-like of shape (n_pairs,), optional
        For heads whose deltas are no differences of rewards.
    domain : str, optional
        Column of the items or pairs whose values have offsets of their own.
    level : float in (0, 1), default=0.95

    Returns
    -------
    BiasAudit

    Raises
    ------
    InvalidInputError
        On a wrong shape, or if no pair has a label.

    Notes
    -----
    Controlled accuracies are the :math:`\sigma(\theta)` of the logistic regression of
    "the preferred response has the greater reward" on :math:`\theta + \sum_k \phi_k
    \tanh(\Delta_k / s_k)`, with :math:`\Delta_k` the difference of feature k and
    :math:`s_k` its standard deviation: what AlpacaEval does for length, Dubois et al.
    (2024), arXiv:2404.04475. Their intervals allow for pairs of a prompt.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [
    ...     {"prompt": f"q{n}", "chosen": "long " * (n + 2), "rejected": "short"}
    ...     for n in range(20)
    ... ]
    >>> preferences = read_preferences(rows)
    >>> audit = audit_bias(preferences, preferences.items["response"].str.len())
    >>> audit.accuracy.estimate
    1.0
    """
    items = preferences.items
    rewards = check_scores(reward, "reward", len(items))
    codes = _item_prompts(preferences)
    style = style_frame(items["response"])
    ends = preferences.pairs[["first", "second"]].to_numpy()
    deltas = _deltas(rewards, ends) if delta is None else check_scores(delta, "delta")
    pairs = _labelled_pairs(preferences, style, deltas, ends, codes)
    right, differences, prompts = pairs
    gold = items["score"].to_numpy(np.float64) if "score" in items else None
    audit = BiasAudit(
        features=_feature_table(style, rewards, gold, codes, level),
        accuracy=prompt_bootstrap(right, prompts, level=level),
        length_controlled=_controlled(right, differences[:, :1], prompts, level),
        style_controlled=_controlled(right, differences, prompts, level),
        style_only=_style_only(differences, prompts, level),
        style_share=_style_share(style, rewards, codes),
        heat_map=length_heat_map(rewards, np.expm1(style["length"]), codes),
        domains=None if domain is None else _domains(items, rewards, domain, level),
    )
    return _with_alarms(audit)


def _item_prompts(preferences: Any) -> IntArray:
    ids = preferences.items["prompt_id"].to_numpy()
    return np.asarray(np.unique(ids, return_inverse=True)[1])


def _deltas(rewards: FloatArray, ends: IntArray) -> FloatArray:
    return np.asarray(rewards[ends[:, 0]] - rewards[ends[:, 1]])


def _labelled_pairs(
    preferences: Any,
    style: pd.DataFrame,
    deltas: FloatArray,
    ends: IntArray,
    codes: IntArray,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Turn pairs so that the preferred response is first, and leave ties out."""
    y = preferences.y
    told = y != 0.5
    if not told.any() or len(deltas) != len(y):
        raise invalid_input(
            "deltas of pairs that have a label",
            f"{len(deltas)} deltas, {int(told.sum())} labels that are no tie",
            "pass preferences with labelled pairs, and rewards of their items",
        )
    first = np.where(y > 0.5, ends[:, 0], ends[:, 1])[told]
    second = np.where(y > 0.5, ends[:, 1], ends[:, 0])[told]
    right = order_values(deltas, (y > 0.5).astype(float))[told]
    values = style.to_numpy()
    difference = values[first] - values[second]
    spread = difference.std(axis=0)
    scaled = np.tanh(difference / np.where(spread > 0, spread, 1.0))
    prompts = np.unique(codes[first], return_inverse=True)[1]
    return right, scaled, prompts


def _controlled(
    right: FloatArray, differences: FloatArray, prompts: IntArray, level: float
) -> Interval:
    """Compute the accuracy at no difference of the features."""
    features = np.column_stack([np.ones(len(right)), differences])
    beta, hessian = fit_logistic(features, right)
    residual = right - expit(features @ beta)
    covariance = cluster_covariance(features, residual, prompts, hessian)
    n_prompts = int(prompts.max()) + 1
    estimate = float(expit(beta[0]))
    spread = float(np.sqrt(max(0.0, covariance[0, 0])))
    z = float(norm.ppf((1 + level) / 2))
    low, high = (float(expit(beta[0] + sign * z * spread)) for sign in (-1, 1))
    if not np.isfinite(logit(estimate)) or abs(beta[0]) > 10:
        # All right or all wrong: the coefficient has no end, its share has.
        low, high = wilson_bounds(round(estimate), 0.0, n_prompts, level)
    method = "logistic regression, clustered by prompt"
    return Interval(estimate, low, high, level, n_prompts, method)


def _style_only(differences: FloatArray, prompts: IntArray, level: float) -> Interval:
    """Order pairs by their style as the labels of other prompts would."""
    folds = folds_of(prompts)
    scores = np.zeros(len(differences))
    for fold in np.unique(folds):
        train = folds != fold
        if not train.any():
            continue
        # Preferred first everywhere: both orders, so that there is no constant.
        both = np.vstack([differences[train], -differences[train]])
        target = np.repeat([1.0, 0.0], int(train.sum()))
        features = np.column_stack([np.zeros(len(both)), both])
        beta, _ = fit_logistic(features, target)
        scores[folds == fold] = differences[folds == fold] @ beta[1:]
    right = order_values(scores, np.ones(len(scores)))
    return prompt_bootstrap(right, prompts, level=level)


def _style_share(style: pd.DataFrame, rewards: FloatArray, codes: IntArray) -> float:
    """Compute the cross-validated share of the variance within prompts."""
    target = centred_on_prompt(rewards, codes)
    columns = [centred_on_prompt(v, codes) for v in style.to_numpy().T]
    features = np.column_stack(columns)
    spread = features.std(axis=0)
    features = features[:, spread > 0] / spread[spread > 0]
    total = float(target @ target)
    if not features.shape[1] or total == 0:
        return 0.0
    folds = folds_of(codes)
    left = 0.0
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        gram = features[train].T @ features[train] + np.eye(features.shape[1])
        beta = np.linalg.solve(gram, features[train].T @ target[train])
        left += float(np.square(target[test] - features[test] @ beta).sum())
    return max(0.0, 1 - left / total)


def _feature_table(
    style: pd.DataFrame,
    rewards: FloatArray,
    gold: FloatArray | None,
    codes: IntArray,
    level: float,
) -> pd.DataFrame:
    curves = _correlations(style, rewards, codes)
    resampler = PromptResampler(
        np.arange(len(curves)), n_resamples=_N_RESAMPLES, level=level
    )
    band = band_of_curves(curves, resampler)
    # Of two prompts that agree, resamples would make an interval without width.
    few = np.isfinite(curves).sum(axis=0) < _FEW_PROMPTS
    low, high = (np.where(few, np.nan, bound) for bound in (band.low, band.high))
    table = pd.DataFrame(
        {"reward": band.mean, "low": low, "high": high},
        index=pd.Index(style.columns, name="feature"),
    )
    known = np.zeros(len(rewards), bool) if gold is None else np.isfinite(gold)
    if gold is None or known.sum() < 3:
        return table.assign(gold=np.nan, partial=np.nan)
    part = np.unique(codes[known], return_inverse=True)[1]
    of_gold = _correlations(style[known], gold[known], part)
    n_defined = np.maximum(1, np.isfinite(of_gold).sum(axis=0))
    constant = np.isnan(of_gold).all(axis=0)
    return table.assign(
        gold=np.where(constant, np.nan, np.nansum(of_gold, axis=0) / n_defined),
        partial=[
            partial_correlation(
                style[n].to_numpy()[known], rewards[known], gold[known], part
            )
            for n in style
        ],
    )


def _correlations(
    style: pd.DataFrame, values: FloatArray, codes: IntArray
) -> FloatArray:
    """Correlate each feature with values within prompts, (n_prompts, n_features)."""
    return np.column_stack(
        [
            correlate_by_prompt(style[name], values, codes, "spearman").per_prompt
            for name in style
        ]
    )


def partial_correlation(
    values: ArrayLike, rewards: ArrayLike, gold: ArrayLike, prompt_ids: ArrayLike
) -> float:
    """Correlate a feature with the reward at equal gold, within prompts.

    Parameters
    ----------
    values, rewards, gold : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)

    Returns
    -------
    float in [-1, 1]
        Pearson correlation of what is left of both after the prompt's mean and a
        linear function of gold are taken out; NaN where nothing is left.

    Examples
    --------
    >>> round(partial_correlation([1, 2, 3, 1], [2, 4, 6, 2], [1, 2, 1, 2], [0] * 4), 3)
    1.0
    """
    codes = np.unique(np.asarray(prompt_ids), return_inverse=True)[1]
    one, other, quality = (
        centred_on_prompt(check_scores(v, name), codes)
        for v, name in ((values, "values"), (rewards, "rewards"), (gold, "gold"))
    )
    scale = float(quality @ quality)
    if scale > 0:
        one = one - quality * float(one @ quality) / scale
        other = other - quality * float(other @ quality) / scale
    norms = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norms if norms > 1e-12 else np.nan


def length_heat_map(
    rewards: FloatArray, lengths: ArrayLike, codes: IntArray
) -> pd.DataFrame:
    """Average rewards within prompts by the prompt's and the response's length.

    Parameters
    ----------
    rewards : ndarray of shape (n_items,)
    lengths : array-like of shape (n_items,)
    codes : ndarray of int of shape (n_items,)
        Number of each item's prompt.

    Returns
    -------
    DataFrame
        Rows: quarters of prompts by the mean length of their responses; columns: five
        bins of about equal size by a response's length over that mean. Values are mean
        rewards less the prompt's mean, in standard deviations within prompts; NaN where
        there are none.
    """
    sizes = np.asarray(lengths, dtype=float)
    mean = (np.bincount(codes, weights=sizes) / np.bincount(codes))[codes]
    relative = sizes / np.maximum(mean, 1e-12)
    spread = within_prompt_std(rewards, codes) or 1.0
    frame = pd.DataFrame(
        {
            "prompt": _quantile_bins(mean, 4),
            "order": mean,
            "response": _quantile_bins(relative, 5),
            "place": relative,
            "value": centred_on_prompt(rewards, codes) / spread,
        }
    )
    table = frame.pivot_table("value", "prompt", "response", aggfunc="mean")
    rows = frame.groupby("prompt")["order"].mean()
    columns = frame.groupby("response")["place"].mean()
    table.index = pd.Index([f"{v:,.0f}" for v in rows], name="mean length of prompt")
    table.columns = pd.Index([f"{v:.2f}" for v in columns], name="relative length")
    return table


def _quantile_bins(values: FloatArray, n_bins: int) -> IntArray:
    """Put values into bins of about equal size, ascending; equal ones share one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="left")
    return np.asarray(np.unique(bins, return_inverse=True)[1])


def _domains(
    items: pd.DataFrame, rewards: FloatArray, domain: str, level: float
) -> pd.DataFrame:
    """Average rewards by domain: offsets that comparisons within prompts never see."""
    if domain not in items:
        raise invalid_input(
            f"a column {domain} of the items",
            f"{', '.join(map(str, items.columns))}"[:200],
            "name a column of the items",
        )
    rows = {}
    for name, place in items.groupby(domain, sort=True).indices.items():
        prompts = items["prompt_id"].to_numpy()[place]
        interval = prompt_bootstrap(rewards[place], prompts, level=level)
        rows[str(name)] = {
            "reward": interval.estimate,
            "low": interval.low,
            "high": interval.high,
            "n_items": len(place),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(domain)


def _with_alarms(audit: BiasAudit) -> BiasAudit:
    from dataclasses import replace

    alarms = []
    length = audit.features.loc["length"]
    if abs(length["reward"]) > _STRONG and (length["low"] > 0 or length["high"] < 0):
        more = "more" if length["reward"] > 0 else "less"
        alarms.append(
            f"Longer responses get {more} reward within prompts (correlation "
            f"{length['reward']:+.2f})."
        )
    for name, value, which in (
        ("length", audit.length_controlled, "length"),
        ("style", audit.style_controlled, "style"),
    ):
        lost = audit.accuracy.estimate - value.estimate
        if lost > _MUCH and value.high < audit.accuracy.estimate:
            alarms.append(
                f"At equal {which} the order consistency is {value.estimate:.3f}, "
                f"{lost:.3f} less than {audit.accuracy.estimate:.3f}: {name} makes the "
                "difference."
            )
    if audit.style_only.low > audit.accuracy.high:
        alarms.append("Style alone orders more pairs right than the reward does.")
    for name in ("pleasing opening", "refusal", "emoji"):
        row = audit.features.loc[name]
        if row["low"] > 0.1:
            alarms.append(f"Responses with {name} get more reward within prompts.")
    return replace(audit, alarms=tuple(alarms))
