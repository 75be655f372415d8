"""Rows of plain cells, which are read without their format's own reading.

A class says where the texts of such rows are, and `add` puts a row into the tables as
the format would, in a fraction of the time. It returns False, and does nothing, for a
row that needs a closer look.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from embrm.datasets.formats._fields import says_missing
from embrm.datasets.formats._verdicts import Verdict, verdict
from embrm.datasets.formats.base import ReadOptions, Row, RowReader
from embrm.exceptions import DataError
from embrm.messages import is_unicode

if TYPE_CHECKING:
    from embrm.datasets._building import PreferencesBuilder

_INT64 = 2**63
_ROLES = ("user", "assistant", "system")
_MOST_LABELS = 1000


@dataclass
class PlainLabels:
    """What each value of a winner's column means, found out once."""

    values: Mapping[Any, Verdict]
    column: str
    _known: dict[Any, tuple[float, dict[str, str]] | None] = field(
        default_factory=dict, repr=False
    )

    def of(self, value: Any) -> tuple[float, dict[str, str]] | None:
        """Return label and kind of tie; None where the value is not plain."""
        # A truth value would be found as the number that equals it.
        if type(value) is not str and type(value) is not int:
            return None
        if value in self._known:
            return self._known[value]
        try:
            said = verdict(value, self.values, self.column, RowReader(ReadOptions()))
        except DataError:
            said = None
        if len(self._known) < _MOST_LABELS:
            self._known[value] = said
        return said


@dataclass(frozen=True)
class PlainPair:
    """Rows of one prompt and two responses: the better one first, or a winner.

    Attributes
    ----------
    shape : tuple of str
        All columns, in their order.
    prompt, first, second : str
    others : tuple of str
        Columns that go along.
    winner : str, optional
    labels : PlainLabels, optional
        What the winner's values mean.
    """

    shape: tuple[str, ...]
    prompt: str
    first: str
    second: str
    others: tuple[str, ...]
    winner: str = ""
    labels: PlainLabels | None = None

    def add(self, row: Row, tables: "PreferencesBuilder", source_row: int) -> bool:
        """Add a row; False, and nothing done, if it is not plain."""
        prompt, one, other = row[self.prompt], row[self.first], row[self.second]
        if not (is_plain(one) and is_plain(other)) or one == other:
            return False
        attributes = plain_attributes(row, self.others)
        if attributes is None or type(prompt) is not str:
            return False
        y = 1.0
        if self.labels is not None:
            said = self.labels.of(row[self.winner])
            if said is None:
                return False
            y, tie = said
            attributes.update(tie)
        number = tables.text_prompt(prompt)
        if number is None:
            return False
        tables.plain_pair(number, (one, other), y, attributes, source_row)
        return True


@dataclass(frozen=True)
class PlainTurns:
    """Rows of two conversations that differ in the answer at their end alone.

    Attributes
    ----------
    shape : tuple of str
    first, second : str
    others : tuple of str
    prompt : str, optional
        A column that repeats a turn of the user.
    """

    shape: tuple[str, ...]
    first: str
    second: str
    others: tuple[str, ...]
    prompt: str = ""

    def add(self, row: Row, tables: "PreferencesBuilder", source_row: int) -> bool:
        """Add a row; False, and nothing done, if it is not plain."""
        a, b = row[self.first], row[self.second]
        if type(a) is not list or type(b) is not list or not len(a) == len(b) > 1:
            return False
        turns = a[:-1]
        if turns != b[:-1] or not _are_plain((*a, b[-1])):
            return False
        if self.prompt and not _repeats(turns, row[self.prompt]):
            return False
        texts = a[-1]["content"], b[-1]["content"]
        ends = a[-1]["role"] == b[-1]["role"] == "assistant"
        if not ends or texts[0] == texts[1] or "" in map(str.strip, texts):
            return False
        attributes = plain_attributes(row, self.others)
        if attributes is None or not any(turn["content"].strip() for turn in turns):
            return False
        number = tables.turns_prompt(turns)
        tables.plain_pair(number, texts, 1.0, attributes, source_row)
        return True


@dataclass(frozen=True)
class PlainRating:
    """Rows of one response with numbers that rate it.

    Attributes
    ----------
    shape : tuple of str
    prompt, response : str
    ratings, texts, counts : tuple of str
        Columns of ratings, of texts and truth values that go along, and of numbers that
        do so as texts.
    score : str
        The rating that is also the score, if it is not called so.
    annotator : str
        The column that says who rated.
    sign : float
        -1 where lower scores are better.
    """

    shape: tuple[str, ...]
    prompt: str
    response: str
    ratings: tuple[str, ...]
    texts: tuple[str, ...]
    counts: tuple[str, ...]
    score: str = ""
    annotator: str = ""
    sign: float = 1.0

    def add(self, row: Row, tables: "PreferencesBuilder", source_row: int) -> bool:
        """Add a row; False, and nothing done, if it is not plain."""
        prompt, text = row[self.prompt], row[self.response]
        attributes = self._attributes(row)
        if attributes is None or not is_plain(text) or type(prompt) is not str:
            return False
        number = tables.text_prompt(prompt)
        if number is None:
            return False
        tables.plain_item(number, text, attributes, source_row)
        return True

    def _attributes(self, row: Row) -> dict[str, Any] | None:
        attributes: dict[str, Any] = {}
        for name in self.ratings:
            value = _plain_number(row[name])
            if value is None:
                return None
            attributes[name] = value
        if self.score:
            attributes["score"] = attributes[self.score]
        if self.sign < 0 and "score" in attributes:
            attributes["score"] *= self.sign
        for name in self.texts:
            if not _is_plain_word(row[name]):
                return None
            attributes[name] = row[name]
        for name in self.counts:
            if type(row[name]) is not int:
                return None
            attributes[name] = str(row[name])
        if self.annotator:
            attributes["annotator"] = str(attributes.pop(self.annotator))
        return attributes


PlainRows: TypeAlias = PlainPair | PlainTurns | PlainRating
"""Rows of one shape: `add` puts one into the tables, as long as it is plain."""


def _plain_number(value: Any) -> float | None:
    if type(value) is float:
        return value if math.isfinite(value) else None
    return float(value) if type(value) is int and -_INT64 <= value < _INT64 else None


def _is_plain_word(value: Any) -> bool:
    """Say whether a cell is a truth value, or a text that is no missing number."""
    if type(value) is not str:
        return type(value) is bool
    return is_unicode(value) and not (len(value) < 6 and says_missing(value))


def is_plain(text: Any) -> bool:
    """Say whether a cell is text that is nothing but text: no messages in JSON."""
    if type(text) is not str:
        return False
    return text.lstrip()[:1] not in ("", "[", "{") and is_unicode(text)


def plain_attributes(row: Row, names: Sequence[str]) -> dict[str, Any] | None:
    """Take what goes along with a pair; None where a cell needs a closer look."""
    attributes: dict[str, Any] = {}
    for name in names:
        value = row[name]
        kind = type(value)
        if kind is str:
            if not is_unicode(value):
                return None
        elif value is None or kind is list or kind is dict:
            continue
        elif kind is int:
            if not -_INT64 <= value < _INT64:
                return None
        elif kind is float:
            if math.isnan(value):
                continue
        elif kind is not bool:
            return None
        attributes[name] = value
    return attributes


def _are_plain(turns: Sequence[Any]) -> bool:
    """Say whether all turns have a usual role and a text, and nothing else."""
    for turn in turns:
        if type(turn) is not dict or len(turn) != 2:
            return False
        content = turn.get("content")
        if type(content) is not str or turn.get("role") not in _ROLES:
            return False
        if not is_unicode(content):
            return False
    return True


def _repeats(turns: list[Any], prompt: Any) -> bool:
    """Say whether a prompt is one of the user's turns."""
    return is_plain(prompt) and {"role": "user", "content": prompt} in turns
