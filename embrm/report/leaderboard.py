"""Leaderboard: several heads on identical prompt-grouped splits, with intervals.

Cross-fitting also says what a saved model's head makes of data that it was fitted on.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from rich.table import Table
from rich.text import Text
from scipy.special import expit

from embrm._typing import AnyArray, BoolArray, FloatArray
from embrm.datasets import Preferences
from embrm.evaluate import Evaluation, PromptGroupKFold, compare_heads, evaluate_deltas
from embrm.evaluate.best_of_n import BestOfNCurve, best_of_n_curve
from embrm.evaluate.inputs import group_codes
from embrm.evaluate.resampling import Interval
from embrm.exceptions import LeftOutWarning, invalid_input
from embrm.model import RewardModel
from embrm.model.items import equal_vectors, response_lengths
from embrm.model.training_data import TrainingData, pair_data, training_data
from embrm.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Heads in order of held-out order consistency.

    Attributes
    ----------
    evaluations : dict of str to Evaluation
        Best head first.
    fits : dict of str to CrossFit
        Held-out deltas and rewards by head.
    comparison : DataFrame
        Each head's paired difference to the best; see `compare_heads`.
    curves : dict of str to BestOfNCurve
        Expected gold of the best of n by each head; empty without gold.
    ceiling : BestOfNCurve or None
        The same when picking by gold itself.
    encoders : dict of str to str
        Name of the encoder by head, where there are several encoders; else empty.
    """

    evaluations: dict[str, Evaluation]
    fits: dict[str, "CrossFit"]
    comparison: pd.DataFrame
    curves: dict[str, BestOfNCurve]
    ceiling: BestOfNCurve | None
    encoders: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """Name of the head with the highest held-out order consistency."""
        return next(iter(self.evaluations))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per head: all metrics with interval bounds, and fit time."""
        rows = []
        for name, evaluation in self.evaluations.items():
            row: dict[str, Any] = {"head": name}
            if name in self.encoders:
                row["encoder"] = self.encoders[name]
            for metric, interval in evaluation.intervals().items():
                row[metric] = interval.estimate
                row[f"{metric}_low"] = interval.low
                row[f"{metric}_high"] = interval.high
            if self.curves:
                row["best_of_n_gold"] = float(self.curves[name].mean[-1])
            row["ties_with_best"] = bool(self.comparison.loc[name, "ties_with_best"])
            row["fit_seconds"] = self.fits[name].fit_seconds
            rows.append(row)
        return pd.DataFrame(rows)

    def headings(self) -> list[str]:
        """Return the column headings of `rows`."""
        pick = [f"best of {self.ceiling.n[-1]}"] if self.ceiling is not None else []
        metrics = ["order consistency", "log loss", "calibration error"]
        return ["head", *metrics, *pick, "fit"]

    def rows(self) -> list[dict[str, Any]]:
        """Format the rows of the leaderboard, the length baseline last.

        Returns
        -------
        list of dict
            With `kind` ("best", "" or "baseline") and `cells`, a pair of text and small
            print for each of `headings`.
        """
        rows = [self._row(name) for name in self.evaluations]
        baseline = self.evaluations[self.best].length_baseline
        if baseline is not None:
            empty = [("", "")] * (len(self.headings()) - 2)
            rows.append(
                {
                    "kind": "baseline",
                    "cells": [("length baseline", ""), _cell(baseline), *empty],
                }
            )
        return rows

    def to_table(self) -> Table:
        """Lay out the leaderboard as a table for the terminal."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for position, heading in enumerate(self.headings()):
            justify: Literal["left", "right"] = "right" if position else "left"
            # Long headings take two lines, so that all fits into 80 columns.
            lines = heading.replace(" ", "\n", 1) if len(heading) > 12 else heading
            table.add_column(Text(lines), justify=justify, no_wrap=True)
        for row in self.rows():
            table.add_row(*(" ".join(filter(None, cell)) for cell in row["cells"]))
        return table

    def _row(self, name: str) -> dict[str, Any]:
        evaluation = self.evaluations[name]
        ties = name != self.best and self.comparison.loc[name, "ties_with_best"]
        pick = [(f"{self.curves[name].mean[-1]:.2f}", "")] if self.curves else []
        seconds = self.fits[name].fit_seconds
        return {
            "kind": "best" if name == self.best else "",
            "cells": [
                (f"{name} =" if ties else name, ""),
                _cell(evaluation.order_consistency),
                (f"{evaluation.log_loss.estimate:.3f}", ""),
                (f"{evaluation.expected_calibration_error.estimate:.3f}", ""),
                *pick,
                (
                    f"{seconds:.2f} s"
                    if seconds >= 0.1
                    else f"{1000 * seconds:.0f} ms",
                    "",
                ),
            ],
        }

    def to_json(self) -> list[dict[str, Any]]:
        """Return one JSON-ready dict per head, best first."""
        return [
            {str(key): _plain(value) for key, value in row.items()}
            for row in self.to_frame().to_dict("records")
        ]


def make_leaderboard(
    preferences: Preferences,
    pairs: Pairs | Mapping[str, Pairs],
    heads: Mapping[str, Any],
    *,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> Leaderboard:
    """Cross-fit every head on the same folds and evaluate the held-out deltas.

    Parameters
    ----------
    preferences : Preferences
        Labels, weights and texts.
    pairs : Pairs, or mapping of str to Pairs
        The same comparisons with vectors; of several encoders, by their names.
    heads : mapping of str to RewardHead
        Each is fitted on the vectors of each encoder, then called "head on encoder".
    n_splits, random_state, after_fit
        As in `cross_fit`.

    Returns
    -------
    Leaderboard
    """
    # All heads are fed before one is fitted: a refusal costs no fit.
    sources = {name: training_data(head, preferences) for name, head in heads.items()}
    by_encoder = pairs if isinstance(pairs, Mapping) else {"": pairs}
    fits: dict[str, CrossFit] = {}
    encoders: dict[str, str] = {}
    for encoder, vectors in by_encoder.items():
        for head_name, head in heads.items():
            name = f"{head_name} on {encoder}" if encoder else head_name
            encoders |= {name: encoder} if encoder else {}
            fits[name] = cross_fit(
                head,
                vectors,
                preferences.y,
                data=sources[head_name],
                n_splits=n_splits,
                random_state=random_state,
                after_fit=after_fit,
            )
    # What else pairs say, which prompts they belong to, is the same for all encoders.
    pairs = next(iter(by_encoder.values()))
    evaluations = {
        name: evaluate_fit(fit, preferences, pairs) for name, fit in fits.items()
    }
    order = sorted(
        evaluations,
        key=lambda name: -evaluations[name].order_consistency.estimate,
    )
    held_out = fits[order[0]].held_out
    comparison = compare_heads(
        {name: fits[name].delta[held_out] for name in order},
        preferences.y[held_out],
        groups=pairs.groups[held_out],
        reference=order[0],
    )
    return Leaderboard(
        {name: evaluations[name] for name in order},
        {name: fits[name] for name in order},
        comparison,
        *_curves(preferences, {name: fits[name].reward for name in order}),
        encoders,
    )


def evaluate_fit(fit: "CrossFit", preferences: Preferences, pairs: Pairs) -> Evaluation:
    """Evaluate the held-out deltas of one head, with the length baseline."""
    held_out = fit.held_out & ~equal_vectors(pairs)
    weight = preferences.weight
    return evaluate_deltas(
        fit.delta[held_out],
        preferences.y[held_out],
        groups=pairs.groups[held_out],
        lengths=response_lengths(preferences)[held_out],
        sample_weight=None if weight is None else weight[held_out],
    )


def _curves(
    preferences: Preferences, rewards: Mapping[str, FloatArray]
) -> tuple[dict[str, BestOfNCurve], BestOfNCurve | None]:
    if "score" not in preferences.items:
        return {}, None
    gold = preferences.items["score"].to_numpy(np.float64)
    prompts = preferences.items["prompt_id"].to_numpy()
    # Items in no held-out pair are unknown to every head alike: the folds are equal.
    known = np.isfinite(gold) & np.isfinite(next(iter(rewards.values())))
    curves = {
        name: best_of_n_curve(gold[known], reward[known], prompts[known])
        for name, reward in rewards.items()
    }
    return curves, best_of_n_curve(gold[known], gold[known], prompts[known])


def _cell(interval: Interval) -> tuple[str, str]:
    return f"{interval.estimate:.3f}", f"[{interval.low:.3f}, {interval.high:.3f}]"


def _plain(value: Any) -> Any:
    """Make a value ready for JSON, which has no NaN."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Predictions of a head for pairs and items whose prompts it was not fitted on.

    Attributes
    ----------
    delta : ndarray of shape (n_pairs,)
        Held-out delta in nats; NaN for pairs across two folds, which no fold can
        hold out without leaking.
    reward : ndarray of shape (n_items,)
        Held-out reward; NaN for items in no held-out pair. Comparable within a
        prompt only: each fold's rewards have their own constant.
    fit_seconds : float
        Median wall time of a fit.
    n_fits : int
    """

    delta: FloatArray
    reward: FloatArray
    fit_seconds: float
    n_fits: int

    @property
    def held_out(self) -> BoolArray:
        """Which pairs have a held-out delta."""
        return np.isfinite(self.delta)


def cross_fit(
    head: Any,
    pairs: Pairs,
    y: ArrayLike,
    *,
    fit_params: Mapping[str, AnyArray] | None = None,
    data: TrainingData | None = None,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> CrossFit:
    """Fit a head on all folds but one, score that one, in turn.

    Parameters
    ----------
    head : RewardHead
        Cloned for every fold.
    pairs : Pairs
        With prompt ids.
    y : array-like of shape (n_pairs,) in [0, 1]
    fit_params : mapping of str to ndarray of n_pairs rows, optional
        Further arguments of `fit`, e.g. sample_weight; split like the labels.
    data : TrainingData, optional
        What the head is fitted on, see `embrm.model.training_data`: needed where it
        learns from other things than pairs. Takes the place of `fit_params`.
    n_splits : int, default=5
        Fewer where there are fewer prompts.
    random_state : int, default=0
        Shuffles prompts into folds; equal seeds give every head equal folds.
    after_fit : callable, optional
        Called after each fit, to move a progress bar.

    Returns
    -------
    CrossFit

    Raises
    ------
    InvalidInputError
        If the head does not learn from pairs, and there is no `data`.

    Examples
    --------
    >>> from embrm.datasets import make_preferences
    >>> from embrm.heads import LinearBradleyTerry
    >>> data = make_preferences(200, n_features=4, random_state=0)
    >>> held_out = cross_fit(LinearBradleyTerry(alpha=1.0), data.pairs, data.y)
    >>> held_out.delta.shape, held_out.n_fits
    ((200,), 5)
    """
    labels = np.asarray(y, dtype=np.float64)
    source = _pairs_alone(head, labels, fit_params) if data is None else data
    delta = np.full(len(pairs), np.nan)
    reward = np.full(len(pairs.items), np.nan)
    seconds: list[float] = []
    _, n_prompts = group_codes(pairs.groups)
    folds = PromptGroupKFold(
        max(2, min(n_splits, n_prompts)), shuffle=True, random_state=random_state
    )
    for train, test in folds.split(pairs, labels, pairs.groups):
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Pairs of equal vectors concern all the data, not each fold: they show
            # as ties of the reward in the evaluation.
            warnings.simplefilter("ignore", LeftOutWarning)
            fitted = source.fit(head, pairs, (train, test))
        seconds.append(time.perf_counter() - start)
        rows, _ = pairs[test].unique_items()
        reward[rows] = fitted.reward(pairs.items[rows])
        # Not for every head is delta the difference of two rewards.
        delta[test] = fitted.decision_function(pairs[test])
        if after_fit is not None:
            after_fit()
    return CrossFit(delta, reward, float(np.median(seconds)), len(seconds))


def _pairs_alone(
    head: Any, labels: FloatArray, fit_params: Mapping[str, AnyArray] | None
) -> TrainingData:
    """Take pairs, labels and further arguments as training data."""
    kind = getattr(head, "learns_from", "pairs")
    if kind != "pairs":
        raise invalid_input(
            expected=f"data=training_data(head, preferences) for "
            f"{type(head).__name__}, which learns from {kind}",
            got="none",
            fix="pass what embrm.model.training_data makes of the preferences",
        )
    return pair_data(labels, fit_params or {})


def held_out_probability(
    model: RewardModel,
    preferences: Preferences,
    pairs: Pairs,
    *,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> FloatArray:
    """Compute P(first preferred) by a head that was not fitted on the pair's prompt.

    Where the model was fitted on none of the prompts, it is the model's own; else its
    kind of head is fitted again, on all folds of the data but one in turn.

    Parameters
    ----------
    model : RewardModel
        Fitted.
    preferences : Preferences
    pairs : Pairs
        What the model's `to_pairs` makes of vectors of its encoder.
    n_splits, random_state, after_fit
        As in `cross_fit`.

    Returns
    -------
    ndarray of shape (n_pairs,) in [0, 1]
        NaN for pairs across two folds.

    Raises
    ------
    InvalidInputError
        If the model was fitted on these data, and they have one prompt only.
    """
    if not model.seen_pairs(preferences).any():
        return np.asarray(expit(model.head_.decision_function(pairs)))
    if group_codes(pairs.groups)[1] < 2:
        raise invalid_input(
            expected="two prompts or more, to hold one out",
            got="one, which the model was fitted on",
            fix="give data with more prompts, or with others",
        )
    fitted = cross_fit(
        model.head_,
        pairs,
        preferences.y,
        data=training_data(model.head_, preferences),
        n_splits=n_splits,
        random_state=random_state,
        after_fit=after_fit,
    )
    return np.asarray(expit(fitted.delta))
