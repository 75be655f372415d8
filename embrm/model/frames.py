"""What a reward model takes from preferences: pairs, prompt hashes, lengths."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets import Preferences, read_preferences
from embrm.datasets.reading import OnError
from embrm.exceptions import DataError, format_error
from embrm.messages import canonical_json, normalised_prompt
from embrm.model._examples import other_ratings
from embrm.pairs import Pairs

_CHUNK_PAIRS = 4096
_PAIRED_BY = ("score", "rank", "label")


def prompt_hashes(prompts: Iterable[Prompt]) -> IntArray:
    """Hash prompts to uint64, equal for spellings that look alike.

    These are both spellings of a single user turn, and prompts that differ in white
    space around them or in how Unicode composes their letters.

    Examples
    --------
    >>> a, b = prompt_hashes(["Hi", [{"role": "user", "content": "Hi"}]])
    >>> bool(a == b)
    True
    """
    digests = b"".join(
        hashlib.blake2b(
            canonical_json(normalised_prompt(prompt)).encode("utf-8", "surrogatepass"),
            digest_size=8,
        ).digest()
        for prompt in prompts
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def response_lengths(preferences: Preferences) -> IntArray:
    """Measure both responses of each pair in characters: shape (n_pairs, 2)."""
    lengths = preferences.items["response"].str.len().to_numpy(np.int64)
    ids = preferences.pairs[["first", "second"]].to_numpy()
    return np.asarray(lengths[ids])


def equal_vectors(pairs: Pairs) -> BoolArray:
    """Mark pairs of two equal vectors, which no reward on vectors can order.

    Parameters
    ----------
    pairs : Pairs

    Returns
    -------
    ndarray of bool of shape (n_pairs,)

    Examples
    --------
    >>> equal_vectors(Pairs([[1.0], [1.0], [2.0]], [[0, 1], [0, 2]])).tolist()
    [True, False]
    """
    equal = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _CHUNK_PAIRS):
        part = slice(start, start + _CHUNK_PAIRS)
        first, second = pairs.first[part], pairs.second[part]
        equal[part] = (pairs.items[first] == pairs.items[second]).all(axis=1)
    return equal


def read_pairs(
    data: Any,
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
) -> Preferences:
    """Read preferences that have, or can be made into, at least one pair.

    Parameters
    ----------
    data : DataFrame, path, list of dicts or Preferences
    format, columns, on_error
        As in `read_preferences`.

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
        data
        if isinstance(data, Preferences)
        else read_preferences(data, format=format, columns=columns, on_error=on_error)
    )
    if not len(preferences):
        got, fix = why_no_pair(preferences)
        expected = "at least one pair of responses to the same prompt"
        raise DataError(
            format_error(expected=expected, got=got, fix=fix), reason="no pair"
        )
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
            "fix the rows; on_error='raise' (--on-error raise) names the first",
        )
    got = f"{len(items)} items and no pair"
    if not numeric or any(column in items for column in _PAIRED_BY):
        return got, "give each prompt two responses with different scores"
    return (
        f"{got}, with ratings in {', '.join(numeric[:5])}",
        (
            f"name the one to compare by: columns={{'score': {numeric[0]!r}}}, "
            f"or --column score={numeric[0]}"
        ),
    )
