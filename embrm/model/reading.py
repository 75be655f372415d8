"""Read what a reward model is fitted on or measured by: at least one pair."""

from collections.abc import Mapping
from typing import Any

from pandas.api.types import is_numeric_dtype

from embrm.datasets import Preferences, read_preferences
from embrm.datasets.reading import OnError
from embrm.exceptions import DataError, three_parts

_PAIRED_BY = ("score", "label")


def read_pairs(
    data: Any,
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
) -> Preferences:
    """Read preferences; ratings and unpaired labels become all same-prompt pairs.

    Parameters
    ----------
    data : DataFrame, path, list of dicts or Preferences
    format, columns, on_error
        As in `read_preferences`.

    Returns
    -------
    Preferences
        With a pair at least.

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
    preferences = (
        data
        if isinstance(data, Preferences)
        else read_preferences(data, format=format, columns=columns, on_error=on_error)
    )
    for column in _PAIRED_BY:
        if not len(preferences) and column in preferences.items:
            preferences = preferences.prefer_by_score(column)
    if not len(preferences):
        raise _no_pair(preferences)
    return preferences


def _no_pair(preferences: Preferences) -> DataError:
    """Say why there is no pair: no row was kept, no score was named, or all tie."""
    account, items = preferences.read_report, preferences.items
    got = f"{len(items)} items and no pair"
    cure = "give each prompt two responses with different scores"
    numeric = [
        str(name)
        for name, column in items.items()
        if name not in ("prompt_id", "source_row", *_PAIRED_BY)
        and is_numeric_dtype(column)
    ]
    if not account.n_kept:
        got = f"no row kept of {account.n_read} ({account.left_out[0].reason})"
        cure = "mend the rows; on_error='raise' (--on-error raise) names the first"
    elif numeric and not any(column in items for column in _PAIRED_BY):
        got += f", with ratings in {', '.join(numeric[:5])}"
        cure = (
            f"name the one to compare by: columns={{'score': {numeric[0]!r}}}, "
            f"or --column score={numeric[0]}"
        )
    return DataError(
        three_parts(
            expected="at least one pair of responses to the same prompt",
            got=got,
            cure=cure,
        ),
        reason="no pair",
    )
