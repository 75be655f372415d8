"""Records of labelling tools: what several people answered about the texts of one."""

import math
import re
from collections.abc import Mapping
from typing import Any

from embrm.datasets.formats._chosen_rejected import is_name
from embrm.datasets.formats._fields import extras_of, is_number, number
from embrm.datasets.formats._labelled import good_or_bad, is_label
from embrm.datasets.formats._texts import (
    prompt_beside,
    prompt_roles,
    read_prompt,
)
from embrm.datasets.formats._two_responses import WINNERS, two_sides, values_of
from embrm.datasets.formats._verdicts import (
    BOTH_BAD,
    TIE,
    WORDS,
    Verdict,
    key_of,
    verdict,
)
from embrm.datasets.formats.base import Row, RowReader
from embrm.exceptions import DataError, NoPreferenceError

_LAST = re.compile(r"[\W_]*(\d+|[abAB])$")
_TIES = {word: v for word, v in WORDS.items() if v in (TIE, BOTH_BAD)}
_DECIDES = ("ranking", "overall", *WINNERS)
_SCORES = ("rating", "score", "overall", "overall_rating", "overall_score")
"""What is left of the name of a question that asks how good a response is."""


class Record:
    """Collects what was answered about the fields of one record.

    Parameters
    ----------
    fields : mapping
        The prompt and the responses, by name.
    column : str
        Where they stand, for errors.
    reader : RowReader
    beside : mapping, optional
        What goes along with every pair: all in it but the prompt and the responses
        that are compared.
    """

    def __init__(
        self, fields: Row, column: str, reader: RowReader, beside: Row | None = None
    ) -> None:
        self.fields = fields
        self._beside = beside or {}
        self._column, self._reader = column, reader
        self._numbers: dict[str, int] = {}
        self._compared: dict[str, list[dict[str, Any]]] = {}
        self._ratings: dict[tuple[str, Any], dict[str, Any]] = {}

    def responses(self) -> list[str]:
        """Name the fields that may be responses."""
        asked = prompt_roles(self.fields)
        return [
            name
            for name, cell in self.fields.items()
            if isinstance(cell, str) and name not in asked and not is_name(name)
        ]

    def prefer(
        self, question: str, ends: tuple[str, str], y: float, who: Any, **columns: Any
    ) -> None:
        """Add that one field was preferred to another, y = 1, or the other way."""
        named = {} if who is None else {"annotator": _called(who)}
        pair = {"ends": ends, "y": y, **columns, **named}
        self._compared.setdefault(question, []).append(pair)

    def rank(
        self, question: str, ranks: Mapping[str, float], who: Any, **columns: Any
    ) -> None:
        """Add the ranks of fields, of which the lowest is the best."""
        # In the order of the fields: the better one does not always stand first.
        known = {name: rank for name, rank in ranks.items() if not math.isnan(rank)}
        ranked = [(name, known[name]) for name in self.fields if name in known]
        for i, (one, rank) in enumerate(ranked):
            for other, other_rank in ranked[i + 1 :]:
                y = TIE if rank == other_rank else float(rank < other_rank)
                self.prefer(question, (one, other), y, who, **columns)

    def answer(self, question: str, value: Any, who: Any) -> None:
        """Add an answer that rates a response or names the better one; or none."""
        about = self._asked_about(question)
        if is_number(value) and about is not None:
            self._rate(*about, number(value, question[:40]), who)
        elif isinstance(value, str) and is_label(value) and about is not None:
            self._rate(*about, good_or_bad(value), who)
        elif isinstance(value, str) or is_number(value):
            self._choose(question, value, who)

    def finish(self, expected: str, what: str) -> None:
        """Hand items and pairs to the reader.

        Raises
        ------
        NoPreferenceError
            If nothing was answered that compares or rates.
        DataError
            If several questions were answered, and which decides is not clear.
        """
        if self._compared:
            pairs = self._compared[self._deciding()]
            beside = self._columns_beside({n for pair in pairs for n in pair["ends"]})
            for pair in pairs:
                one, other = pair.pop("ends")
                y = pair.pop("y")
                columns = beside | pair
                self._reader.pair(self._item(one), self._item(other), y, **columns)
            return
        for (name, who), ratings in self._ratings.items():
            named = {} if who is None else {"annotator": _called(who)}
            self._add(name, **_attributes(ratings), **named)
        if not self._reader.items:
            raise NoPreferenceError.of(
                expected=expected,
                got="none that was completed",
                fix=f"drop the {what}",
                reason="no annotation",
            )

    def _deciding(self) -> str:
        """Name the one question that says which response is better as a whole."""
        asked = list(self._compared)
        named = [name for name in asked if name.lower() in _DECIDES]
        if len(asked) > 1 and len(named) != 1:
            raise DataError.of(
                expected="one question that says which response is better",
                got=f"{', '.join(name[:40] for name in asked[:5])}",
                fix="keep one of them, or call the one that decides 'preference'",
                reason="several questions",
            )
        chosen = asked[0] if len(asked) == 1 else named[0]
        spare = [name[:40] for name in asked if name != chosen]
        spare += ["the ratings"] if self._ratings else []
        note = f"{chosen[:40]} says which response is better; not used: "
        if spare:
            self._reader.say(note + ", ".join(spare))
        return chosen

    def _choose(self, question: str, value: Any, who: Any) -> None:
        named = self.responses()
        sides = two_sides(self.fields)
        if sides is None and len(named) == 2:
            sides = named[0], named[1]
        if sides is None:
            return
        values: dict[Any, Verdict] = {**_TIES, **values_of(*sides, "winner")}
        values |= {sides[0].lower(): 1.0, sides[1].lower(): 0.0}
        told = self._reader.options.winner
        # A number may rate something: it names a side where the user says so.
        known = values if isinstance(value, str) else ()
        if key_of(value) in (known if told is None else map(key_of, told)):
            y, tie = verdict(value, values, question, self._reader)
            self.prefer(question, sides, y, who, **tie)

    def _asked_about(self, question: str) -> tuple[str, str] | None:
        """Find the field that a question rates, and what of it.

        `"generations-1-rating"` and `"rating-1"` rate `"generations-1"`; where there is
        one response, every question rates that.
        """
        names = self.responses()
        within = max((n for n in names if n in question), key=len, default=None)
        if within is not None:
            rest = question.replace(within, "").strip("-_ .")
            return within, _LAST.sub("", rest)
        last = _LAST.search(question)
        same = [n for n in names if last and (m := _LAST.search(n)) and m[1] == last[1]]
        if last is not None and len(same) == 1:
            return same[0], question[: last.start()]
        return (names[0], question) if len(names) == 1 else None

    def _rate(self, name: str, aspect: str, value: float | bool, who: Any) -> None:
        self._ratings.setdefault((name, who), {})[aspect or "rating"] = value

    def _columns_beside(self, compared: set[str]) -> dict[str, Any]:
        extras = extras_of(self._beside, *compared, *prompt_roles(self._beside), y=1.0)
        del extras["y"]
        return extras

    def _item(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = self._add(name)
        return self._numbers[name]

    def _add(self, name: str, **attributes: Any) -> int:
        place = prompt_beside(self.fields)
        if place is None:
            raise DataError.of(
                expected=f"a prompt in {self._column!r}, called prompt, question or "
                "alike",
                got=fields_in(self.fields),
                fix=f"call it prompt in {self._column!r}, or write the fields as "
                "columns, which can be named: columns={'prompt': 'your name for it'}",
                reason="no prompt",
            )
        prompt = read_prompt(self.fields, place, self._reader)
        text = self.fields[name]
        return self._reader.item(prompt, text, origin=(name, None), **attributes)


def _attributes(ratings: Mapping[str, float | bool]) -> dict[str, float | bool]:
    """Find the score, and the label, among what was said of one response.

    The only rating is the score, whatever it is called; of several, the only one that
    is called so.
    """
    flags = [name for name, value in ratings.items() if isinstance(value, bool)]
    if len(flags) > 1:
        raise DataError.of(
            expected="one question that says whether a response is good or bad",
            got=f"{', '.join(name[:40] for name in flags[:5])}",
            fix="keep the answers to one of them",
            reason="several questions",
        )
    scores = {name: value for name, value in ratings.items() if name not in flags}
    called = [name for name in scores if name.lower() in _SCORES]
    decides = list(scores) if len(scores) == 1 else called
    score = {"score": scores[decides[0]]} if len(decides) == 1 else {}
    label = {"label": ratings[flags[0]]} if flags else {}
    others = {} if len(scores) == 1 else scores
    return {**others, **score, **label}


def fields_in(record: Row) -> str:
    """List the fields of a record, for a message."""
    return f"fields {', '.join(str(name)[:40] for name in [*record][:8])}"


def _called(who: Any) -> str:
    return str(who.get("email", who.get("id")) if isinstance(who, dict) else who)
