"""What a format is: how its rows look, and how one row becomes items and pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from embrm._typing import Prompt
from embrm.exceptions import DataError, NoPreferenceError, three_parts
from embrm.messages import canonical_json

Row: TypeAlias = Mapping[str, Any]
"""One row of a source, by column."""


def refusal(
    *,
    expected: str,
    got: str,
    cure: str,
    reason: str,
    kind: type[DataError] = DataError,
) -> DataError:
    """Write the error for a source or a row that cannot be used."""
    return kind(three_parts(expected=expected, got=got, cure=cure), reason=reason)


@dataclass
class RowReader:
    """Collects the items and pairs of one row, until the row is known to be good.

    A format calls `item` and `pair`; the row's items and pairs enter the data
    together, or not at all when anything in the row is refused.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)

    def item(self, prompt: Prompt, response: Any, **attributes: Any) -> int:
        """Add an item; return its number within the row.

        Raises
        ------
        DataError
            If the prompt or the response is empty or not text.
        """
        _check_given(prompt, "prompt")
        key = canonical_json(prompt)
        _check_text(response, "response")
        self.items.append(
            {"key": key, "prompt": prompt, "response": response, **attributes}
        )
        return len(self.items) - 1

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
                cure="drop the row; it says nothing about a preference",
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


def _check_given(value: Any, what: str) -> None:
    # NaN, by which frames mark what is missing, differs from itself.
    if value is None or (isinstance(value, float) and value != value):
        raise refusal(
            expected=f"a {what}",
            got="none",
            cure="drop the row or fill it in",
            reason=f"missing {what}",
            kind=NoPreferenceError,
        )


def _check_text(text: Any, what: str) -> None:
    _check_given(text, what)
    if not isinstance(text, str):
        raise refusal(
            expected=f"a {what} that is text",
            got=type(text).__name__,
            cure=f"write the {what} as a string",
            reason=f"{what} is not text",
        )
    if not text.strip():
        raise refusal(
            expected=f"a {what} with text in it",
            got="an empty one",
            cure="drop the row or fill it in",
            reason=f"empty {what}",
            kind=NoPreferenceError,
        )
