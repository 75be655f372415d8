"""Formats: the columns of their rows, and how a row becomes items and pairs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from embrm._typing import Prompt
from embrm.exceptions import (
    DataError,
    InvalidInputError,
    NoPreferenceError,
    invalid_input,
)
from embrm.messages import as_messages, prompt_key

if TYPE_CHECKING:
    from embrm.datasets.formats._plain import PlainRows

Row: TypeAlias = Mapping[str, Any]
"""One row of a source, by column; cells are text, numbers, None, lists and dicts."""


MEANS_OTHERWISE = "values mean something else"
"""Why a row is refused whose label or winner is a number that the others cannot mean.

Where many are, the rows that could be read were misread, too: none is kept.
"""


@dataclass(frozen=True)
class ReadOptions:
    r"""What the reader was told about the meaning of the columns.

    Attributes
    ----------
    prompt_template : str, optional
        Writes the prompt from several columns: `"{system}\n\n{instruction}"`.
    winner : mapping, optional
        What each value of the winner's column means: `"first"`, `"second"`, `"tie"`,
        `"both bad"`, or the probability that first is preferred.
    lower_is_better : bool, optional
        Which way scores count; None where it was not said. Of labels, whether true is
        a bad response.
    images : {"refuse", "mark"}
        Whether images in messages are refused or marked by `[image]`.
    """

    prompt_template: str | None = None
    winner: Mapping[Any, str | float] | None = None
    lower_is_better: bool | None = None
    images: Literal["refuse", "mark"] = "refuse"


@dataclass
class RowReader:
    """Collects the items and pairs of one row, until the row is known to be good.

    A format calls `item` and `pair`; the row's items and pairs enter the data
    together, or not at all when anything in the row is refused. What a user should
    know about how the row was understood goes into `said`.
    """

    options: ReadOptions = field(default_factory=ReadOptions)
    items: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    origins: list[tuple[str, int | None]] = field(default_factory=list)
    filled_template: bool = False
    used_tools: bool = False
    is_context: bool = False
    """Whether the row holds no answer itself, but belongs to rows that do."""

    def item(
        self,
        prompt: Any,
        response: Any,
        *,
        origin: tuple[str, int | None] = ("response", None),
        **attributes: Any,
    ) -> int:
        """Add an item; return its number within the row.

        Parameters
        ----------
        prompt : str or messages
        response : str
        origin : (str, int or None)
            The column that holds the response, and its place in a list there.
        **attributes
            Columns of the item.

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
        self.origins.append(origin)
        return len(self.items) - 1

    def items_of(self, prompt: Any, row: Row, *columns: str) -> list[int]:
        """Add the text of each of these columns as it is; return their numbers."""
        return [self.item(prompt, row[name], origin=(name, None)) for name in columns]

    def say(self, note: str) -> None:
        """Tell the user something about how rows were understood, once."""
        if note not in self.said:
            self.said.append(note)

    def check_template(self, source: str) -> None:
        """Refuse a prompt_template that nothing was written with.

        Raises
        ------
        InvalidInputError
            If there are items, and their prompts are the row's own.
        """
        if self.options.prompt_template and self.items and not self.filled_template:
            raise invalid_input(
                expected=f"no prompt_template: {source} has prompts of its own",
                got=repr(self.options.prompt_template)[:60],
                fix="leave it out",
            )

    def _key(self, prompt: Any) -> str:
        """Check a prompt and write its key, but once where items share it."""
        if self.items and self.items[-1]["prompt"] is prompt:
            return str(self.items[-1]["key"])
        _check_prompt(prompt)
        return prompt_key(prompt)

    def pair(self, first: int, second: int, y: float, **attributes: Any) -> None:
        """Add a pair of two items of this row, with its label and columns.

        Raises
        ------
        DataError
            If the two responses are identical.
        """
        a, b = self.items[first], self.items[second]
        if a["key"] == b["key"] and a["response"] == b["response"]:
            raise NoPreferenceError.of(
                expected="two different responses to compare",
                got="the same response twice",
                fix="drop the row; it holds no preference",
                reason="identical chosen and rejected",
            )
        self.pairs.append({"first": first, "second": second, "y": y, **attributes})


def _no_roles(_: Row) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Format:
    """One preference format.

    Attributes
    ----------
    name : str
        Lower-case name by which `format=` names it.
    columns : str
        The columns, as a person would list them; shown in errors and docs/formats.md.
    detect : callable
        Takes the first usable row; returns whether this format reads it.
    read : callable
        Takes a row and a `RowReader`, and adds items and pairs; raises `DataError`
        for a row that cannot be used.
    roles : callable
        Takes a row; returns what each column that is read is read as.
    about : str
        Whose files are so, in one line.
    needs : tuple of tuple of str
        Spellings of each column without which the format is none, to find the format
        that comes nearest to a row.
    says_winner : bool
        Whether a column says which side won, so that both sides should win at times.
    gather : callable, optional
        Joins the rows of a whole source, where an item is spread over several.
    plain : callable, optional
        Takes a row and the options; returns how rows of its columns are read without
        `read` as long as their cells are plain (`_plain.PlainRows`).
    score : callable, optional
        Takes a row and a `RowReader`, and adds the items alone, for rows that are to be
        scored; returns whether the texts are there. Only for formats whose texts stand
        in columns that no other format knows.
    texts : tuple of str
        Columns of texts of its own, which are text even where they look like numbers.
    """

    name: str
    columns: str
    detect: Callable[[Row], bool]
    read: Callable[[Row, RowReader], None]
    roles: Callable[[Row], dict[str, str]] = _no_roles
    about: str = ""
    needs: tuple[tuple[str, ...], ...] = ()
    says_winner: bool = False
    gather: Callable[[list[tuple[int, Row]]], list[tuple[int, Row]]] | None = None
    plain: "Callable[[Row, ReadOptions], PlainRows | None] | None" = None
    score: Callable[[Row, RowReader], bool] | None = None
    texts: tuple[str, ...] = ()


def has_columns(*names: str) -> Callable[[Row], bool]:
    """Recognise rows that have all of these columns.

    Examples
    --------
    >>> has_columns("input", "label")({"input": "Hi", "label": 1, "id": 3})
    True
    """
    return lambda row: row.keys() >= {*names}


def static_roles(**roles: str) -> Callable[[Row], dict[str, str]]:
    """Say what columns are read as, where that is the same for every row.

    Examples
    --------
    >>> static_roles(input="prompt")({"input": "Hi", "id": 3})
    {'input': 'prompt'}
    """
    return lambda row: {name: role for name, role in roles.items() if name in row}


PAIR_ROLES = {
    "y": "label: probability that chosen is preferred",
    "margin": "margin",
    "weight": "weight",
}
"""What columns are read as wherever they stand beside a chosen and a rejected side."""


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
        raise DataError.of(
            expected="a response that is text",
            got=type(response).__name__,
            fix="write the response as a string",
            reason="response is not text",
        )
    if not response.strip():
        raise no_text("empty", "response")


def lacking(
    expected: str, *, reason: str, fix: str = "drop the row"
) -> NoPreferenceError:
    """Write the error for a row that lacks what it should say."""
    return NoPreferenceError.of(expected, "none", fix, reason)


def no_text(how: str, what: str) -> DataError:
    """Write the error for a prompt or response that is missing or empty."""
    return NoPreferenceError.of(
        expected=f"a {what} with text in it",
        got="none" if how == "missing" else "an empty one",
        fix="drop the row or fill it in",
        reason=f"{how} {what}",
    )
