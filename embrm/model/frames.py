"""What a reward model takes from a frame: texts, prompt groups, hashes, lengths."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import IntArray, Prompt, Text
from embrm.datasets import Preferences
from embrm.exceptions import DataError, three_parts
from embrm.messages import canonical_json


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
    DataError
        If a column is missing, or a text is; names the row by position and index.
    """
    prompts, responses = (_column(df, name, columns) for name in ("prompt", "response"))
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        if _is_missing(prompt) or not isinstance(response, str) or not response.strip():
            raise DataError(
                three_parts(
                    expected="a prompt and a response with text in every row",
                    got=f"{_kind(prompt)} and {_kind(response)} at row {row} "
                    f"(index {df.index[row]!r})",
                    cure="fill the row in, or drop it: df.dropna()",
                ),
                reason="missing text",
            )
    return list(zip(prompts, responses, strict=True))


def prompt_keys(
    df: pd.DataFrame, columns: Mapping[str, str] | None = None
) -> list[str]:
    """Write each row's prompt in canonical JSON, to group rows by prompt."""
    return [canonical_json(prompt) for prompt in _column(df, "prompt", columns)]


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


def _column(
    df: pd.DataFrame, name: str, columns: Mapping[str, str] | None
) -> list[Any]:
    actual = (columns or {}).get(name, name)
    if actual not in df:
        raise DataError(
            three_parts(
                expected=f"a column {actual!r}",
                got=f"columns {list(map(str, df.columns))}",
                cure=f"rename it, or pass columns={{{name!r}: 'your name'}}",
            ),
            reason="missing column",
        )
    return df[actual].tolist()


def _is_missing(value: Any) -> bool:
    return value is None or isinstance(value, float) or value is pd.NA


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text" if value.strip() else "an empty text"
    return "nothing" if _is_missing(value) else type(value).__name__
