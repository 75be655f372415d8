"""What a reward model takes from a frame: texts, prompt groups, hashes, pairs."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import IntArray, Prompt, Text
from embrm.datasets import Preferences, read_preferences
from embrm.datasets.reading import OnError
from embrm.exceptions import DataError, InvalidInputError, format_error
from embrm.messages import as_messages, canonical_json
from embrm.model._examples import other_ratings

_PAIRED_BY = ("score", "label")


def item_texts(
    df: pd.DataFrame, columns: Mapping[str, str] | None = None
) -> list[Text]:
    """Take (prompt, response) from every row.

    Parameters
    ----------
    df : DataFrame
    columns : mapping of str to str, optional
        Actual names of the columns `prompt` and `response`.

    Raises
    ------
    InvalidInputError
        If `df` is no DataFrame.
    DataError
        If a column is missing or stands twice, or a text is missing, empty or no
        text; names the row by position and index.
    """
    prompts, responses = (_column(df, name, columns) for name in ("prompt", "response"))
    texts = list(zip(prompts, responses, strict=True))
    for position, text in enumerate(texts):
        try:
            _check_text(*text)
        except (DataError, InvalidInputError) as error:
            reason = getattr(error, "reason", "malformed messages")
            label = str(df.index[position])[:40]
            place = f"frame, row {position + 1} (index {label})"
            raise DataError(f"{place}: {error}", reason=reason) from error
    return texts


def row_prompts(df: pd.DataFrame, columns: Mapping[str, str] | None = None) -> IntArray:
    """Hash each row's prompt, to group rows by prompt: shape (n_rows,)."""
    return prompt_hashes(_column(df, "prompt", columns))


def with_ranks(
    df: pd.DataFrame, reward: pd.Series, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Add columns `reward` and `rank` within each prompt: 1 is best, ties share it."""
    by_prompt = reward.groupby(row_prompts(df, columns), sort=False)
    rank = by_prompt.rank(ascending=False, method="min").astype(int)
    return df.assign(reward=reward, rank=rank)


def best_rows(
    df: pd.DataFrame, reward: pd.Series, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Keep for each prompt the row with the highest reward, the first of equal ones."""
    by_position = pd.Series(reward.to_numpy())
    best = by_position.groupby(row_prompts(df, columns), sort=False).idxmax()
    return df.assign(reward=reward).iloc[np.sort(best.to_numpy(np.intp))]


def prompt_hashes(prompts: Iterable[Prompt]) -> IntArray:
    """Hash prompts to uint64, equal for both spellings of a single user turn.

    Examples
    --------
    >>> a, b = prompt_hashes(["Hi", [{"role": "user", "content": "Hi"}]])
    >>> bool(a == b)
    True
    """
    digests = b"".join(
        hashlib.blake2b(
            canonical_json(prompt).encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for prompt in prompts
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def response_lengths(preferences: Preferences) -> IntArray:
    """Measure both responses of each pair in characters: shape (n_pairs, 2)."""
    lengths = preferences.items["response"].str.len().to_numpy(np.int64)
    ids = preferences.pairs[["first", "second"]].to_numpy()
    return np.asarray(lengths[ids])


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


def _column(
    df: pd.DataFrame, name: str, columns: Mapping[str, str] | None
) -> list[Any]:
    if not isinstance(df, pd.DataFrame):
        raise InvalidInputError(
            format_error(
                expected="a DataFrame with columns prompt and response",
                got=type(df).__name__,
                fix="pass pd.DataFrame(rows), or embrm.datasets.read_frame(path)",
            )
        )
    actual = (columns or {}).get(name, name)
    n_found = int((df.columns == actual).sum())
    if n_found != 1:
        there = ", ".join(map(str, df.columns[:15])) or "none"
        raise DataError(
            format_error(
                expected=f"one column {actual!r}",
                got=f"{n_found} among the columns {there}",
                fix="rename the columns, or name yours: "
                f"columns={{{name!r}: 'yours'}}, or --column {name}=yours",
            ),
            reason="missing column" if n_found == 0 else "bad header",
        )
    return df[actual].tolist()


def _check_text(prompt: Any, response: Any) -> None:
    """Check that a prompt and a response can be embedded."""
    for name, part in {"prompt": prompt, "response": response}.items():
        if _is_missing(part):
            fix = f"drop such rows: df.dropna(subset=[{name!r}]), or fill them in"
            raise _no_text(name, "none", f"missing {name}", fix)
    if not isinstance(response, str):
        fix = "write responses as text, e.g. the content of the last message"
        kind = type(response).__name__
        raise _no_text("response", f"a {kind}", "response is not text", fix)
    question = "".join(turn["content"] for turn in as_messages(prompt))
    for name, text in {"prompt": question, "response": response}.items():
        if not text.strip():
            fix = "fill it in, or drop the row"
            raise _no_text(name, "an empty one", f"empty {name}", fix)
        if not _is_unicode(text):
            fix = "write the character whole, or drop the row"
            raise _no_text(name, "half of a surrogate pair", "not Unicode", fix)


def _no_text(name: str, got: str, reason: str, fix: str) -> DataError:
    expected = f"a {name} with text"
    return DataError(format_error(expected=expected, got=got, fix=fix), reason=reason)


def _is_missing(value: Any) -> bool:
    return value is None or isinstance(value, float) or value is pd.NA


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
