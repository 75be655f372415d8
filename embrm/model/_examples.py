"""Ratings, labels and rankings of items, as preferences have or imply them.

Each kind is taken from the data where they have it, else derived: from scores, or from
preferences.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from embrm._typing import FloatArray, IntArray
from embrm.datasets import Preferences
from embrm.datasets.paired import other_ratings

Ranking: TypeAlias = tuple[IntArray, int]
"""Rows of items, best first, and how many of them are in order."""


@dataclass(frozen=True, eq=False)
class LabelledItems:
    """Items that are good or bad.

    Attributes
    ----------
    rows : ndarray of int of shape (n_labels,)
        Which item each label is of; an item may have several.
    label : ndarray of shape (n_labels,), in [0, 1]
        1 is good; between is soft.
    weight : ndarray of shape (n_labels,) or None
    from_pairs : bool
        Whether they are the two sides of pairs, rather than items by themselves.
    """

    rows: IntArray
    label: FloatArray
    weight: FloatArray | None
    from_pairs: bool


@dataclass(frozen=True, eq=False)
class Rankings:
    """Rankings of items.

    Attributes
    ----------
    rankings : list of (rows, n_ranked)
    weight : ndarray of shape (n_rankings,) or None
    from_pairs : bool
        Whether each is a pair, rather than a ranking of several items.
    """

    rankings: list[Ranking]
    weight: FloatArray | None
    from_pairs: bool


def scores(preferences: Preferences) -> FloatArray:
    """Return the scores of items, NaN where there is none: shape (n_items,)."""
    items = preferences.items
    if "score" not in items:
        return np.full(len(items), np.nan)
    return items["score"].to_numpy(np.float64)


def rating_names(preferences: Preferences) -> list[str]:
    """Name the columns of items that rate them, `score` first.

    A column that repeats another, or that rates nothing, is left out.
    """
    items = preferences.items
    kept: list[str] = []
    for name in [*(["score"] if "score" in items else []), *other_ratings(preferences)]:
        repeats = any(items[name].equals(items[other]) for other in kept)
        if items[name].notna().any() and not repeats:
            kept.append(name)
    return kept


def labelled_items(preferences: Preferences) -> LabelledItems:
    """Take or make labels: good or bad.

    Parameters
    ----------
    preferences : Preferences
        With a column `label` of items, which is used unchanged; or with scores, when
        an item is good above the mean score of its prompt, bad below, and left out
        at it; or with pairs, of which both sides count by themselves: a chosen
        response is good and a rejected one bad (Ethayarajh et al. 2024,
        arXiv:2402.01306, section 4.1), a soft label is soft, ties are left out.

    Returns
    -------
    LabelledItems
        Without any where the data have none.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "2+2?", "chosen": "4", "rejected": "5"}
    >>> labelled_items(read_preferences([row])).label
    array([1., 0.])
    """
    items = preferences.items
    if "label" in items and items["label"].notna().any():
        given = np.flatnonzero(items["label"].notna())
        labels = items["label"].to_numpy()[given].astype(np.float64)
        return LabelledItems(given, labels, None, from_pairs=False)
    if _is_paired_by_score(preferences):
        above = _above_mean(preferences)
        known = np.flatnonzero(np.isfinite(above))
        return LabelledItems(known, above[known], None, from_pairs=False)
    y, weight = preferences.y, preferences.weight
    tell = np.flatnonzero(y != 0.5)
    rows = np.asarray(_ids(preferences)[tell].T.ravel())
    sides = np.concatenate([y[tell], 1 - y[tell]])
    weights = None if weight is None else np.tile(weight[tell], 2)
    return LabelledItems(rows, sides, weights, from_pairs=True)


def rankings_of(preferences: Preferences) -> Rankings:
    """Take or make rankings.

    Parameters
    ----------
    preferences : Preferences
        With `rank`, when each row of the source is a ranking; or with scores, when
        all responses to a prompt are; or with pairs, which are rankings of two, and
        two weighted ones where a label is soft.

    Returns
    -------
    Rankings
        Items of equal rank or score are not compared: each of them is chosen out of
        itself and the worse ones. Empty where the data have no ranking.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [{"prompt": "2+2?", "response": r, "score": s} for r, s in ("56", "49")]
    >>> rankings_of(read_preferences(rows)).rankings
    [(array([1, 0]), 2)]
    """
    items, pairs = preferences.items, preferences.pairs
    if "rank" in items and len(pairs):
        return Rankings(_by_rank(items, pairs), None, from_pairs=False)
    if _is_paired_by_score(preferences):
        return Rankings(_by_score(preferences), None, from_pairs=False)
    y, weight = preferences.y, preferences.weight
    both = np.concatenate([_ids(preferences), _ids(preferences)[:, ::-1]])
    weights = np.concatenate([y, 1 - y])
    if weight is not None:
        weights *= np.tile(weight, 2)
    kept = weights > 0
    return Rankings([(rows, 2) for rows in both[kept]], weights[kept], from_pairs=True)


def _ids(preferences: Preferences) -> IntArray:
    return preferences.pairs[["first", "second"]].to_numpy(np.intp)


def _is_paired_by_score(preferences: Preferences) -> bool:
    """Whether scores, not a choice, decide which response is better."""
    made = not len(preferences) or "gap" in preferences.pairs
    return made and "score" in preferences.items


def _above_mean(preferences: Preferences) -> FloatArray:
    """Say of each item whether its score is above its prompt's mean: 1, 0, or NaN.

    NaN is an item without a score, or one whose score is the mean.
    """
    score = pd.Series(scores(preferences))
    mean = score.groupby(preferences.items["prompt_id"].to_numpy()).transform("mean")
    gap = (score - mean).to_numpy()
    # The mean of equal scores differs from them by rounding errors.
    tells = np.abs(gap) > 1e-12 * score.abs().max()
    return np.where(tells, (gap > 0).astype(np.float64), np.nan)


def _by_rank(items: pd.DataFrame, pairs: pd.DataFrame) -> list[Ranking]:
    """Rank the responses of each row of the source."""
    ends = pairs.melt("source_row", ["first", "second"], value_name="item")
    ends = ends.drop_duplicates(["source_row", "item"])
    rank, found = items["rank"].to_numpy(np.float64), list[Ranking]()
    for _, group in ends.groupby("source_row"):
        rows = np.sort(group["item"].to_numpy(np.intp))
        found += _ranked(rows, -rank[rows])
    return found


def _by_score(preferences: Preferences) -> list[Ranking]:
    """Rank the distinct responses of each prompt by their mean score."""
    table = preferences.items[["prompt_id", "response"]].assign(
        score=scores(preferences), row=np.arange(len(preferences.items))
    )
    by_text = table.dropna(subset=["score"]).groupby(["prompt_id", "response"])
    merged = by_text.agg(score=("score", "mean"), row=("row", "min")).sort_values("row")
    found = list[Ranking]()
    for _, group in merged.groupby("prompt_id"):
        found += _ranked(group["row"].to_numpy(np.intp), group["score"].to_numpy())
    return found


def _ranked(rows: IntArray, score: FloatArray) -> list[Ranking]:
    """Rank items by score: in one ranking, or one choice each where some are equal.

    A ranking is a sequence of choices, each out of an item and all that are worse.
    """
    order = np.argsort(-score, kind="stable")
    rows, score = rows[order], score[order]
    if len(rows) < 2:
        return []
    if (np.diff(score) < 0).all():
        return [(rows, len(rows))]
    choices = [(row, rows[score < own]) for row, own in zip(rows, score, strict=True)]
    return [(np.append(row, worse), 1) for row, worse in choices if len(worse)]
