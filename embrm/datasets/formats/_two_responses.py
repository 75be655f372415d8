"""Formats of two responses, and a column that says which of them is better.

One reader serves them all. `two_responses` declares a format: how its columns are
spelt, and what each value of the winner's column means.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

from embrm.datasets.formats._fields import (
    as_float,
    check_rated,
    extras_of,
    in_short,
    is_list,
    is_number,
    number,
)
from embrm.datasets.formats._texts import (
    PROMPTS,
    PromptColumns,
    prompt_columns,
    read_prompt,
    response_cell,
)
from embrm.datasets.formats.base import Format, Row, RowReader, is_missing, refusal
from embrm.exceptions import (
    NoPreferenceError,
    invalid_input,
)

FIRST, SECOND, TIE = 1.0, 0.0, 0.5
BOTH_BAD = "both bad"
Verdict: TypeAlias = float | str
"""Probability that the first response is preferred, or that both are bad (a tie)."""

WORDS: Mapping[Any, Verdict] = {
    **dict.fromkeys(("first", "left", "model_a", "response_a", "assistant_a"), FIRST),
    **dict.fromkeys(("second", "right", "model_b", "response_b"), SECOND),
    "assistant_b": SECOND,
    **dict.fromkeys(("tie", "same", "equal", "draw", "both", "neither"), TIE),
    **dict.fromkeys(("both good", "both_good", "both-good"), TIE),
    **dict.fromkeys(("both bad", "both_bad", "tie (bothbad)", "bothbad"), BOTH_BAD),
}
LETTERS: Mapping[Any, Verdict] = {
    **WORDS,
    **dict.fromkeys(("a", "a>b", "a>>b", "b<a", "b<<a"), FIRST),
    **dict.fromkeys(("b", "b>a", "b>>a", "a<b", "a<<b"), SECOND),
    **dict.fromkeys(("a=b", "b=a", "a==b", "a~b", "c"), TIE),
}
FROM_ZERO: Mapping[Any, Verdict] = {**WORDS, 0: FIRST, 1: SECOND}
FROM_ONE: Mapping[Any, Verdict] = {**WORDS, 1: FIRST, 2: SECOND}

WINNERS = (
    *("winner", "preference", "preferred", "preferred_response", "choice", "better"),
    *("better_response", "better_response_id", "vote", "selection", "selected"),
    *("verdict", "judgment", "judgement", "label", "human_preference", "chosen"),
    *("pairwise_label", "best"),
)
"""Columns that say which response won, the likeliest first."""

# Of these, a number means the number of a response, not whether the first one won.
_COUNT_RESPONSES = frozenset(WINNERS) - {"label", "preference", "pairwise_label"}
_STEMS = (
    *("response", "answer", "completion", "output", "text", "generation"),
    *("candidate", "option", "reply", "summary", "assistant", "conversation"),
)
_SCORES = ("score", "rating", "reward")
_SUFFIXES = (("a", "b"), ("A", "B"), ("1", "2"), ("0", "1"))
SIDES = (
    ("first", "second"),
    ("left", "right"),
    *(
        (f"{stem}{link}{one}", f"{stem}{link}{other}")
        for stem in _STEMS
        for link in ("_", "")
        for one, other in _SUFFIXES
    ),
)
"""Columns of the first and the second response."""


def two_responses(
    name: str,
    *,
    about: str,
    first: str,
    second: str,
    winner: str,
    values: Mapping[Any, Verdict],
    prompt: str = "prompt",
    columns: str = "",
) -> Format:
    """Declare a format of two responses and a winner.

    Parameters
    ----------
    name, about
        As in `Format`.
    first, second, winner, prompt : str
        Its columns; `"question.full_text"` is a field of a column. The user may name
        other columns by these four words.
    values : mapping
        What each value of the winner's column means: `FIRST`, `SECOND`, `TIE`,
        `BOTH_BAD`. Texts in lower case, without white space around them.
    columns : str, optional
        As a person would list them; by default the four.

    Examples
    --------
    >>> toy = two_responses(
    ...     "toy", about="", first="x", second="y", winner="w", values={"x": FIRST}
    ... )
    >>> reader = RowReader()
    >>> toy.read({"prompt": "Hi", "x": "Hello!", "y": "Go.", "w": " X "}, reader)
    >>> reader.pairs
    [{'first': 0, 'second': 1, 'y': 1.0}]
    """
    spec = _TwoResponses(prompt, first, second, winner, values)
    heads = [path.split(".", 1)[0] for path in (prompt, first, second, winner)]
    return Format(
        name=name,
        columns=columns or f"{', '.join((prompt, first, second))}, {winner}",
        detect=spec.detect,
        read=spec.read,
        roles=spec.roles,
        about=about,
        needs=tuple((head,) for head in heads),
        says_winner=True,
    )


@dataclass(frozen=True)
class _TwoResponses:
    """Where a format has its texts and its verdict."""

    prompt: str
    first: str
    second: str
    winner: str
    values: Mapping[Any, Verdict]

    def detect(self, row: Row) -> bool:
        paths = (self.first, self.second)
        return (
            all(_has(row, path) for path in paths)
            and (_has(row, self.winner) or "winner" in row)
            and (_has(row, self.prompt) or "prompt" in row)
        )

    def roles(self, row: Row) -> dict[str, str]:
        winner = "winner" if "winner" in row else self.winner
        paths = {self.prompt: "prompt", self.first: "first", self.second: "second"}
        heads = {path.split(".", 1)[0]: role for path, role in paths.items()}
        named = {name: name for name in ("margin", "weight") if name in row}
        return heads | {winner.split(".", 1)[0]: "winner"} | named

    def read(self, row: Row, reader: RowReader) -> None:
        winner = "winner" if "winner" in row else self.winner
        y, tie = verdict(_cell(row, winner), self.values, winner, reader)
        if _has(row, self.prompt):
            main = _cell(row, self.prompt)
            place = PromptColumns("prompt")
            prompt = read_prompt({**row, "prompt": main}, place, reader)
        else:
            prompt = read_prompt(row, PromptColumns("prompt"), reader)
        keep_pair(
            row,
            reader,
            prompt,
            (_cell(row, self.first), _cell(row, self.second)),
            (self.first, self.second),
            y,
            tie,
            set(self.roles(row)) - {"margin", "weight"},
        )


def keep_pair(
    row: Row,
    reader: RowReader,
    prompt: Any,
    cells: tuple[Any, Any],
    columns: tuple[str, str],
    y: float,
    tie: dict[str, str],
    used: set[str],
) -> None:
    """Add two responses and their pair, with the columns that go along."""
    first, second = (
        reader.item(prompt, response_cell(cell, reader), origin=(column, None))
        for cell, column in zip(cells, columns, strict=True)
    )
    extras = extras_of({k: v for k, v in row.items() if k != "y"}, *used)
    reader.pair(first, second, **(extras | {"y": y} | tie))


def verdict(
    value: Any, values: Mapping[Any, Verdict], column: str, reader: RowReader
) -> tuple[float, dict[str, str]]:
    """Read which response won; of a tie, the column `tie` says of which kind.

    Raises
    ------
    DataError
        If it is missing, or not among the values that are known.
    """
    known = values
    if reader.options.winner is not None:
        known = _told(reader.options.winner)
    if is_missing(value):
        raise refusal(
            expected=f"a winner in {column!r}",
            got="none",
            fix="drop the row or fill it in",
            reason="missing winner",
            kind=NoPreferenceError,
        )
    key = _key(value)
    if key not in known:
        raise refusal(
            expected=f"one of {_listed(known)} in {column[:40]!r}",
            got=in_short(value),
            fix="say what each value means: winner={value: 'first', 'second', 'tie' or "
            "'both bad'}",
            reason="unknown winner",
        )
    found = known[key]
    if found == BOTH_BAD:
        return TIE, {"tie": BOTH_BAD}
    return float(found), ({"tie": "tie"} if found == TIE else {})


def _told(winner: Mapping[Any, str | float]) -> dict[Any, Verdict]:
    """Read what the user said the values of the winner's column mean."""
    known: dict[Any, Verdict] = {}
    for value, meaning in winner.items():
        if isinstance(meaning, str) and meaning.strip().lower() in WORDS:
            known[_key(value)] = WORDS[meaning.strip().lower()]
        elif is_number(meaning) and 0 <= meaning <= 1:
            known[_key(value)] = float(meaning)
        else:
            raise invalid_input(
                expected="winner that maps values to 'first', 'second', 'tie', "
                "'both bad' or a probability of first",
                got=repr(meaning)[:40],
                fix="pass e.g. winner={0: 'first', 1: 'second', 'tie': 0.5}",
            )
    return known


def _key(value: Any) -> Any:
    """Write a value so that 1, 1.0 and "1" are one, and texts are in lower case."""
    if isinstance(value, bool):
        return value
    if is_number(value):
        read = as_float(value)
        return int(read) if math.isfinite(read) and read.is_integer() else read
    if isinstance(value, str):
        word = value.strip().lower()
        try:
            return _key(float(word))
        except ValueError:
            return word
    return in_short(value)


def _listed(values: Mapping[Any, Verdict]) -> str:
    meaning: Mapping[Any, str] = {FIRST: "first", SECOND: "second", TIE: "tie"}
    # Words say what they mean; numbers and letters are what differs between formats.
    order = sorted(values.items(), key=lambda entry: len(str(entry[0])))
    shown = [f"{key} ({meaning.get(value, value)})" for key, value in order]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")


def _has(row: Row, path: str) -> bool:
    head, _, rest = path.partition(".")
    if path in row or not rest:
        return path in row
    inner = _as_mapping(row.get(head))
    return inner is not None and _has(inner, rest)


def _cell(row: Row, path: str) -> Any:
    head, _, rest = path.partition(".")
    if path in row or not rest:
        return row[path]
    inner = _as_mapping(row[head])
    if inner is None:
        raise KeyError(path)
    return _cell(inner, rest)


def _as_mapping(cell: Any) -> Row | None:
    """Take a list as the mapping of its places, so that a path may go through it."""
    if is_list(cell):
        return {str(place): entry for place, entry in enumerate(cell)}
    return cell if isinstance(cell, Mapping) else None


def _places(row: Row) -> tuple[str, str, str] | None:
    """Find the columns of two responses and a winner, in any of their spellings."""
    sides = next((s for s in SIDES if s[0] in row and s[1] in row), None)
    if sides is None:
        return None
    winner = next((n for n in WINNERS if n in row and n not in sides), None)
    return None if winner is None else (*sides, winner)


def _is_generic(row: Row) -> bool:
    places = _places(row)
    if places is None:
        return False
    is_prompt = tuple(name for name in row if name not in places)
    return prompt_columns(is_prompt) is not None


def _generic_roles(row: Row) -> dict[str, str]:
    places = _places(row)
    if places is None:
        return {}
    place = prompt_columns(tuple(name for name in row if name not in places))
    named = {name: name for name in ("margin", "weight") if name in row}
    words = ("first", "second", "winner")
    roles = dict(zip(places, words, strict=True))
    return ({} if place is None else place.roles()) | roles | named


def _read_generic(row: Row, reader: RowReader) -> None:
    """Read two responses in any usual spelling of their columns.

    Letters and words say which one won. A number does where it cannot mean two things:
    it is the number of a response, in a column that counts responses (`winner`, not
    `label`), or the user said what it means.
    """
    places = _places(row)
    if places is None:
        raise KeyError("winner")
    one, other, winner = places
    place = prompt_columns(tuple(name for name in row if name not in places))
    if place is None and reader.options.prompt_template is None:
        raise KeyError("prompt")
    values: Mapping[Any, Verdict] = LETTERS
    if winner in _COUNT_RESPONSES and one[-1] in "01":
        values = FROM_ZERO if one[-1] == "0" else FROM_ONE
    for column, sure in ((one, FIRST), (other, SECOND)):
        named = {column.lower(), column.lower().replace("_", " ")}
        # Of response_1, the model is model_1.
        models = {f"model_{column[-1].lower()}"} if column[-1] in "012abAB" else set()
        values = {**values, **dict.fromkeys(named | models, sure)}
    y, tie = verdict(row[winner], values, winner, reader)
    prompt = read_prompt(row, place or PromptColumns("prompt"), reader)
    cells = (row[one], row[other])
    used = set(_generic_roles(row)) - {"margin", "weight"}
    keep_pair(row, reader, prompt, cells, (one, other), y, tie, used)


TWO_RESPONSES = Format(
    name="two-responses",
    columns="prompt, response_a, response_b, winner (A, B, tie, A>B, ...)",
    about="any two responses (_a/_b, _1/_2, _0/_1; answer, output, completion, ...) "
    "and a winner (preference, choice, label, ...); Potato",
    detect=_is_generic,
    read=_read_generic,
    roles=_generic_roles,
    needs=(PROMPTS, tuple(s[0] for s in SIDES), tuple(s[1] for s in SIDES), WINNERS),
    says_winner=True,
)


def _rated_places(row: Row) -> tuple[str, str, str, str] | None:
    """Find the columns of two responses and of the score of each."""
    for one, other in SIDES:
        if one in row and other in row:
            for stem, link in product(_SCORES, ("_", "")):
                scores = f"{stem}{link}{one[-1]}", f"{stem}{link}{other[-1]}"
                if scores[0] in row and scores[1] in row:
                    return one, other, *scores
    return None


def _is_rated(row: Row) -> bool:
    places = _rated_places(row)
    others = tuple(name for name in row if name not in (places or ()))
    return places is not None and prompt_columns(others) is not None


def _rated_roles(row: Row) -> dict[str, str]:
    places = _rated_places(row) or ()
    place = prompt_columns(tuple(name for name in row if name not in places))
    words = ("first", "second", "score of first", "score of second")
    roles = dict(zip(places, words, strict=False))
    return ({} if place is None else place.roles()) | roles


def _read_rated(row: Row, reader: RowReader) -> None:
    """Read two responses with a score each; the higher is better unless told so.

    They become rated items: pairs are made of those with different scores.
    """
    places = _rated_places(row)
    if places is None:
        raise KeyError("score_a")
    place = prompt_columns(tuple(name for name in row if name not in places))
    if place is None and reader.options.prompt_template is None:
        raise KeyError("prompt")
    prompt = read_prompt(row, place or PromptColumns("prompt"), reader)
    sign = -1.0 if reader.options.lower_is_better else 1.0
    scores = [sign * number(row[name], name) for name in places[2:]]
    check_rated(scores)
    for column, score in zip(places[:2], scores, strict=True):
        text = response_cell(row[column], reader)
        reader.item(prompt, text, origin=(column, None), score=score)


TWO_RATED = Format(
    name="two-scores",
    columns="prompt, response_a, response_b, score_a, score_b",
    about="any two responses (_a/_b, _1/_2, _0/_1) with a score or rating each",
    detect=_is_rated,
    read=_read_rated,
    roles=_rated_roles,
    needs=(
        PROMPTS,
        tuple(s[0] for s in SIDES),
        tuple(s[1] for s in SIDES),
        ("score_a", "rating_a"),
        ("score_b", "rating_b"),
    ),
)
