"""What a head is fitted on, taken from preferences before anything is embedded.

`learns_from` says what a head needs. Preferences have it, or it is derived from what
they have, in this order:

========  ====================================================================
pairs     as they are; all pairs of a prompt by score, or good against bad
ratings   scores of items; never made of pairs
labels    good or bad as they are; above or below the prompt's mean score; the
          chosen and the rejected response of each pair
rankings  as they are; all scored responses to a prompt; pairs, as rankings of two
========  ====================================================================

What the data cannot feed is refused, with the heads that they can.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import clone

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray, LearnsFrom
from embrm.datasets import Preferences
from embrm.datasets.paired import why_no_pair
from embrm.exceptions import DataError, invalid_input
from embrm.heads.registry import HEADS, make_head
from embrm.model._examples import labelled_items, rankings_of, rating_names, scores
from embrm.model.items import response_lengths
from embrm.pairs import Pairs

UNKNOWN_ANNOTATOR = "unknown"
"""Name of the annotator of pairs that have none."""

Fold: TypeAlias = tuple[IntArray, IntArray]
"""Positions of the pairs that a head is fitted on, and of those held out."""


class TrainingData(Protocol):
    """What a head is fitted on, but for the vectors; `len` counts the examples.

    Attributes
    ----------
    learns_from : str
        What the examples are.
    facts : mapping
        What is stored with a model, ready for JSON.
    """

    @property
    def learns_from(self) -> LearnsFrom:
        """What the examples are."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is stored with a model."""

    def __len__(self) -> int: ...

    def fit(self, head: Any, pairs: Pairs, fold: Fold | None = None) -> Any:
        """Fit a clone of a head.

        Parameters
        ----------
        head : head with this `learns_from`
        pairs : Pairs
            What `to_pairs` makes of the vectors of the same preferences.
        fold : (train, held_out), optional
            Positions of pairs. Nothing that is known of a prompt of a held-out pair
            is used. None uses everything.
        """


def training_data(head: Any, preferences: Preferences) -> TrainingData:
    """Take from preferences what a head is fitted on.

    Parameters
    ----------
    head : head
        Unfitted or fitted; only its class and parameters are used.
    preferences : Preferences
        With pairs, where there can be any; see `with_pairs`.

    Returns
    -------
    TrainingData

    Raises
    ------
    DataError
        If the data cannot feed the head; names the heads that would fit.
    InvalidInputError
        If the data have margins, and the head cannot represent one.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> from embrm.heads import KTOReward
    >>> row = {"prompt": "2+2?", "chosen": "4", "rejected": "5"}
    >>> data = training_data(KTOReward(), read_preferences([row]))
    >>> data.learns_from, len(data)
    ('labels', 2)
    """
    try:
        return _take(head, preferences)
    except _LackError as lack:
        raise _refusal(head, preferences, lack) from None
    except _MarginError as error:
        fitting = ", ".join(heads_that_fit(preferences))
        raise invalid_input(
            expected=f"no margin: {type(head).__name__} cannot represent one",
            got=str(error),
            fix=f"drop the column margin, or use a head that can: {fitting}",
        ) from None


def heads_that_fit(preferences: Preferences) -> list[str]:
    """Name the heads, of those that are known, which preferences can feed.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "2+2?", "response": "4", "score": 3.0}
    >>> heads_that_fit(read_preferences([row]))
    ['regression']
    """
    fitting = []
    for known in HEADS:
        try:
            _take(make_head(known.name), preferences)
        except (_LackError, _MarginError):
            continue
        fitting.append(known.name)
    return fitting


def pair_data(y: FloatArray, told: Mapping[str, AnyArray]) -> TrainingData:
    """Take pairs alone, with the other arguments of `fit` for each."""
    return _PairData(y, told, None, {})


class _LackError(Exception):
    """The data lack what a head learns from."""

    def __init__(self, expected: str, fix: str = "") -> None:
        super().__init__(expected)
        self.expected, self.fix = expected, fix


class _MarginError(Exception):
    """The data have margins, and the head cannot represent one."""


def _kind(head: Any) -> LearnsFrom:
    """Return what a head learns from; pairs if it has no `learns_from`."""
    kind: LearnsFrom = getattr(head, "learns_from", "pairs")
    return kind


def _take(head: Any, preferences: Preferences) -> TrainingData:
    return _SOURCES[_kind(head)](head, preferences)


def _refusal(head: Any, preferences: Preferences, lack: _LackError) -> DataError:
    got, fix = why_no_pair(preferences)
    fitting = heads_that_fit(preferences)
    if fitting:
        got = _what_there_is(preferences)
        fix = f"use a head that these data can feed: {', '.join(fitting)}"
    kind = _kind(head)
    return DataError.of(
        expected=f"{lack.expected}, as {type(head).__name__} learns from {kind}",
        got=got,
        fix=fix if fitting else lack.fix or fix,
        reason="no pair" if kind == "pairs" else f"no {kind}",
    )


def _what_there_is(preferences: Preferences) -> str:
    """Describe what preferences hold, for the error of an unsuitable head."""
    items, n_pairs = preferences.items, len(preferences)
    parts = [f"{len(items)} items and {f'{n_pairs} pairs' if n_pairs else 'no pair'}"]
    parts.append(f"{int(np.isfinite(scores(preferences)).sum())} scores")
    if "label" in items:
        parts.append(f"{int(items['label'].notna().sum())} labels")
    return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class _PairData:
    """Pairs with labels, and the other arguments of `fit` for each.

    `ratings` are one for each item, NaN where there is none, or None.
    """

    y: FloatArray
    told: Mapping[str, AnyArray]
    ratings: FloatArray | None
    facts: Mapping[str, Any]
    learns_from: LearnsFrom = "pairs"

    def __len__(self) -> int:
        return len(self.y)

    def fit(self, head: Any, pairs: Pairs, fold: Fold | None = None) -> Any:
        told, y = dict(self.told), self.y
        if fold is not None:
            told, y = {name: array[fold[0]] for name, array in told.items()}, y[fold[0]]
        if self.ratings is not None:
            usable = _may_be_used(pairs, fold)
            told["ratings"] = np.where(usable, self.ratings, np.nan)
        return clone(head).fit(pairs if fold is None else pairs[fold[0]], y, **told)


@dataclass(frozen=True, eq=False)
class _ItemData:
    """Ratings or labels of items, and the other arguments of `fit` for each.

    `rows` is the item of each value; an item may have several. `of_pairs` are the
    arguments about pairs, for heads that also learn from these.
    """

    learns_from: LearnsFrom
    rows: IntArray
    values: FloatArray
    told: Mapping[str, AnyArray]
    of_pairs: Mapping[str, AnyArray] | None
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.rows)

    def fit(self, head: Any, pairs: Pairs, fold: Fold | None = None) -> Any:
        kept = _may_be_used(pairs, fold)[self.rows]
        rows = self.rows[kept]
        told: dict[str, Any] = {name: array[kept] for name, array in self.told.items()}
        if self.of_pairs is not None:
            train = slice(None) if fold is None else fold[0]
            told |= {name: array[train] for name, array in self.of_pairs.items()}
            told["pairs"] = pairs if fold is None else pairs[fold[0]]
        told["groups"] = np.asarray(pairs.prompt_ids)[rows]
        return clone(head).fit(pairs.items[rows], self.values[kept], **told)


@dataclass(frozen=True, eq=False)
class _RankingData:
    """Rankings of items, best first, with how many are in order, and a weight."""

    rankings: list[IntArray]
    n_ranked: IntArray
    weight: FloatArray
    facts: Mapping[str, Any]
    learns_from: LearnsFrom = "rankings"

    def __len__(self) -> int:
        return len(self.rankings)

    def fit(self, head: Any, pairs: Pairs, fold: Fold | None = None) -> Any:
        usable = _may_be_used(pairs, fold)
        kept = [n for n, rows in enumerate(self.rankings) if usable[rows].all()]
        return clone(head).fit(
            pairs.items,
            [self.rankings[n] for n in kept],
            n_ranked=self.n_ranked[kept],
            sample_weight=self.weight[kept],
        )


def _may_be_used(pairs: Pairs, fold: Fold | None) -> BoolArray:
    """Mark the items of which something may be known: shape (n_items,)."""
    if fold is None:
        return np.ones(len(pairs.items), dtype=bool)
    prompts = np.asarray(pairs.prompt_ids)
    return ~np.isin(prompts, prompts[pairs.ids[fold[1]]])


def _known_of_pairs(preferences: Preferences) -> dict[str, AnyArray]:
    """Take what the data hold on each pair besides its label."""
    found = {"sample_weight": preferences.weight, "margin": preferences.margin}
    return {name: array for name, array in found.items() if array is not None}


def _pairs_for(head: Any, preferences: Preferences) -> _PairData:
    if not len(preferences):
        raise _LackError("at least one pair of responses to the same prompt")
    if not getattr(head, "accepts_margin", True):
        _refuse_margin(preferences)
    takes = inspect.signature(head.fit).parameters
    told = _known_of_pairs(preferences)
    if "lengths" in takes:
        told["lengths"] = response_lengths(preferences)
    estimates = getattr(head, "estimates_noise", False)
    if estimates and "annotator" in takes and "annotator" in preferences.pairs:
        told["annotator"] = _annotator_names(preferences.pairs["annotator"])
    if "ratings" not in takes or "score" not in preferences.items:
        return _PairData(preferences.y, told, None, {})
    ratings = scores(preferences)
    facts = {"n_ratings": int(np.isfinite(ratings).sum())}
    return _PairData(preferences.y, told, ratings, facts)


def _ratings_for(head: Any, preferences: Preferences) -> _ItemData:
    """Take the scores; for heads that also learn from pairs, all ratings of an item."""
    if not np.isfinite(scores(preferences)).any():
        raise _LackError("responses with a score")
    also_pairs = "pairs" in inspect.signature(head.fit).parameters
    if also_pairs and not len(preferences):
        raise _LackError("responses to the same prompt with different scores")
    names = rating_names(preferences) if also_pairs else ["score"]
    table = preferences.items[names].to_numpy(np.float64)
    rows = np.flatnonzero(np.isfinite(table).any(axis=1))
    facts = {"n_ratings": len(rows), "ratings": names}
    if not also_pairs:
        return _ItemData("ratings", rows, table[rows, 0], {}, None, facts)
    lengths = preferences.items["response"].str.len().to_numpy(np.float64)[rows]
    of_pairs = _known_of_pairs(preferences)
    of_pairs["y"] = preferences.y
    told = {"lengths": lengths}
    return _ItemData("ratings", rows, table[rows], told, of_pairs, facts)


def _labels_for(head: Any, preferences: Preferences) -> _ItemData:  # noqa: ARG001 - one signature for all kinds
    found = labelled_items(preferences)
    if found.from_pairs:
        _refuse_margin(preferences)
    label = found.label
    if not (label > 0).any() or not (label < 1).any():
        raise _LackError(
            "responses that are good and others that are bad",
            "add responses of the other label; one label orders nothing",
        )
    told = {} if found.weight is None else {"sample_weight": found.weight}
    facts = {"n_good": int((label > 0.5).sum()), "n_bad": int((label < 0.5).sum())}
    return _ItemData("labels", found.rows, label, told, None, facts)


def _rankings_for(head: Any, preferences: Preferences) -> _RankingData:  # noqa: ARG001 - one signature for all kinds
    found = rankings_of(preferences)
    if found.from_pairs:
        _refuse_margin(preferences)
    if not found.rankings:
        raise _LackError("responses to one prompt in an order")
    rankings, n_ranked = zip(*found.rankings, strict=True)
    weight = np.ones(len(rankings)) if found.weight is None else found.weight
    longest = max(len(rows) for rows in rankings)
    facts = {"n_rankings": len(rankings), "longest_ranking": longest}
    return _RankingData(list(rankings), np.array(n_ranked), weight, facts)


def _refuse_margin(preferences: Preferences) -> None:
    margin = preferences.margin
    if margin is not None and margin.any():
        raise _MarginError(f"{int(np.count_nonzero(margin))} positive margins")


def _annotator_names(annotators: "pd.Series[Any]") -> AnyArray:
    """Convert annotators to text: they may mix names and numbers."""
    return np.array([_annotator_name(who) for who in annotators])


def _annotator_name(who: Any) -> str:
    # A frame holds whole numbers as floats where some are missing.
    if isinstance(who, float) and who.is_integer():
        who = int(who)
    return UNKNOWN_ANNOTATOR if pd.isna(who) else str(who)


_SOURCES: dict[LearnsFrom, Callable[[Any, Preferences], TrainingData]] = {
    "pairs": _pairs_for,
    "ratings": _ratings_for,
    "labels": _labels_for,
    "rankings": _rankings_for,
}
