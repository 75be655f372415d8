"""What a format is: how its rows look, and how one row becomes items and pairs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from embrm._typing import Prompt
from embrm.exceptions import (
    DataError,
    InvalidInputError,
    NoPreferenceError,
    format_error,
)
from embrm.messages import as_messages, canonical_json

Row: TypeAlias = Mapping[str, Any]
"""One row of a source, by column; cells are text, numbers, None, lists and dicts."""


def refusal(
    *,
    expected: str,
    got: str,
    fix: str,
    reason: str,
    kind: type[DataError] = DataError,
) -> DataError:
    """Write the error for a source or a row that cannot be used."""
    return kind(format_error(expected=expected, got=got, fix=fix), reason=reason)


@dataclass
class RowReader:
    """Collects the items and pairs of one row, until the row is known to be good.

    A format calls `item` and `pair`; the row's items and pairs enter the data
    together, or not at all when anything in the row is refused.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)

    def item(self, prompt: Any, response: Any, **attributes: Any) -> int:
        """Add an item; return its number within the row.

        Raises
        ------
        DataError
            If the prompt is empty or neither text nor messages, or the response is
            empty or not text.
        """
        key = self._key(prompt)
        _check_response(response)
        self.items.append(
            {"key": key, "prompt": prompt, "response": response, **attributes}
        )
        return len(self.items) - 1

    def _key(self, prompt: Any) -> str:
        """Check a prompt and write its key, but once where items share it."""
        if self.items and self.items[-1]["prompt"] is prompt:
            return str(self.items[-1]["key"])
        _check_prompt(prompt)
        return canonical_json(prompt)

    def pair(self, first: int, second: int, y: float, **attributes: Any) -> None:
        """Add a pair of two items of this row, with its label and columns.

        Raises
        ------
        DataError
            If the two responses are identical.
        """
        a, b = self.items[first], self.items[second]
        if a["key"] == b["key"] and a["response"] == b["response"]:
            raise refusal(
                expected="two different responses to compare",
                got="the same response twice",
                fix="drop the row; it says nothing about a preference",
                reason="identical chosen and rejected",
                kind=NoPreferenceError,
            )
        self.pairs.append({"first": first, "second": second, "y": y, **attributes})


@dataclass(frozen=True)
class Format:
    """One preference format.

    Attributes
    ----------
    name : str
        Lower-case word by which `format=` names it.
    columns : str
        The columns, as a person would list them; shown in errors and in the README.
    detect : callable
        Takes the first usable row; says whether this format explains it.
    read : callable
        Takes a row and a `RowReader`, and adds items and pairs; raises `DataError`
        for a row that cannot be used.
    """

    name: str
    columns: str
    detect: Callable[[Row], bool]
    read: Callable[[Row, RowReader], None]


def is_missing(value: Any) -> bool:
    """Say whether a cell is None, or NaN, by which frames mark what is missing."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _check_prompt(prompt: Prompt | None) -> None:
    """Refuse a prompt that is missing, malformed or empty."""
    if is_missing(prompt):
        raise no_text("missing", "prompt")
    try:
        messages = as_messages(cast("Prompt", prompt))
    except InvalidInputError as error:
        raise DataError(str(error), reason="malformed prompt") from error
    if not any(message["content"].strip() for message in messages):
        raise no_text("empty", "prompt")


def _check_response(response: Any) -> None:
    """Refuse a response that is missing, empty or not text."""
    if is_missing(response):
        raise no_text("missing", "response")
    if not isinstance(response, str):
        raise refusal(
            expected="a response that is text",
            got=type(response).__name__,
            fix="write the response as a string",
            reason="response is not text",
        )
    if not response.strip():
        raise no_text("empty", "response")


def no_text(how: str, what: str) -> DataError:
    """Write the error for a prompt or response that is missing or empty."""
    return refusal(
        expected=f"a {what} with text in it",
        got="none" if how == "missing" else "an empty one",
        fix="drop the row or fill it in",
        reason=f"{how} {what}",
        kind=NoPreferenceError,
    )
