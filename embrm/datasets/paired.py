"""Pairs of whatever was read: ratings, ranks and labels become preferences."""

from typing import Any

from pandas.api.types import is_bool_dtype, is_numeric_dtype

from embrm.datasets.preferences import Preferences
from embrm.datasets.reading import read_preferences
from embrm.exceptions import DataError

_PAIRED_BY = ("score", "rank", "label")
_NOT_RATINGS = ("prompt_id", "source_row", "rank", "score", "label", "step")


def read_pairs(data: Any, **reading: Any) -> Preferences:
    """Read preferences that have, or can be made into, at least one pair.

    Parameters
    ----------
    data : DataFrame, path, list of dicts or Preferences
    **reading
        Options of `read_preferences`: `format`, `columns`, `winner`, `on_error`, ...

    Returns
    -------
    Preferences

    Raises
    ------
    DataError
        If no pair can be made of the data.

    Examples
    --------
    >>> rows = [{"prompt": "2+2?", "response": r, "score": r == "4"} for r in "345"]
    >>> rows = [row | {"score": float(row["score"])} for row in rows]
    >>> read_pairs(rows)
    Preferences(2 pairs, 3 items, 1 prompts, ratings)
    """
    preferences = with_pairs(
        data if isinstance(data, Preferences) else read_preferences(data, **reading)
    )
    if not len(preferences):
        got, fix = why_no_pair(preferences)
        expected = "at least one pair of responses to the same prompt"
        raise DataError.of(expected=expected, got=got, fix=fix, reason="no pair")
    return preferences


def with_pairs(preferences: Preferences) -> Preferences:
    """Make all same-prompt pairs of ratings, or of labels, where there are none yet."""
    for column in _PAIRED_BY:
        if not len(preferences) and column in preferences.items:
            preferences = preferences.prefer_by_score(column)
    return preferences


def why_no_pair(preferences: Preferences) -> tuple[str, str]:
    """Say why there is no pair, and what to do: no row was kept, all tie, ..."""
    account, items = preferences.read_report, preferences.items
    numeric = other_ratings(preferences)
    if not account.n_kept:
        return (
            f"no row kept of {account.n_read} ({account.left_out[0].reason})",
            f"the first was refused as: {account.main_fault.removesuffix('.')}",
        )
    got = f"{len(items)} items and no pair"
    labels = items["label"].dropna() if "label" in items else ()
    if len(labels) and min(labels) == max(labels):
        kind, other = ("good", "bad") if max(labels) else ("bad", "good")
        fix = f"add {other} responses: labels of one kind order nothing"
        return f"{got}; every label is {kind}", fix
    if not numeric or any(column in items for column in _PAIRED_BY):
        return got, "give each prompt two responses with different scores"
    return (
        f"{got}, with ratings in {', '.join(numeric[:5])}",
        (
            "if one of them says how good a response is, name it: columns={'score': "
            "'your name for it'}, with lower_is_better=True where low is good"
        ),
    )


def other_ratings(preferences: Preferences) -> list[str]:
    """Name the numeric columns of items beside `score`."""
    return [
        str(name)
        for name, column in preferences.items.items()
        if name not in _NOT_RATINGS
        and is_numeric_dtype(column)
        and not is_bool_dtype(column)
    ]
