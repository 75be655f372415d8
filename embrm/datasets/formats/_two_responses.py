"""Formats of two responses, and a column that says which of them is better.

One reader serves them all. `two_responses` declares a format: how its columns are
spelt, and what each value of the winner's column means.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from embrm.datasets.formats._conversations import parsed_list
from embrm.datasets.formats._fields import (
    extras_of,
    needs_a_look,
    pair_label,
)
from embrm.datasets.formats._plain import PlainLabels, PlainPair
from embrm.datasets.formats._texts import (
    PROMPTS,
    RESPONSE_LISTS,
    PromptColumns,
    add_responses,
    prompt_beside,
    prompt_roles,
    read_prompt,
    read_prompt_beside,
)
from embrm.datasets.formats._verdicts import (
    FIRST,
    FROM_ONE,
    FROM_ZERO,
    LETTERS,
    SECOND,
    SELECTIONS,
    Verdict,
    key_of,
    verdict,
    wrapped,
)
from embrm.datasets.formats.base import Format, ReadOptions, Row, RowReader

WINNERS = (
    *("winner", "preference", "preferred", "preferred_response", "choice", "better"),
    *("better_response", "better_response_id", "vote", "selection", "selected"),
    *("verdict", "judgment", "judgement", "label", "human_preference", "chosen"),
    *("pairwise_label", "pairwise", "best", "y"),
)
"""Columns that say which response won, the likeliest first."""

# Of these, a number means the number of a response, not whether the first one won.
COUNT_RESPONSES = frozenset(WINNERS) - {"label", "preference", "pairwise_label"}
STEMS = (
    *("response", "answer", "completion", "output", "text", "generation"),
    *("candidate", "option", "reply", "summary", "assistant", "conversation"),
)
SUFFIXES = (("a", "b"), ("A", "B"), ("1", "2"), ("0", "1"))
SIDES = (
    ("first", "second"),
    ("left", "right"),
    ("answer1_body", "answer2_body"),
    *(
        (f"{stem}{link}{one}", f"{stem}{link}{other}")
        for stem in STEMS
        for link in ("_", "")
        for one, other in SUFFIXES
    ),
)
"""Columns of the first and the second response."""

_NAMED_SIDES = frozenset(name for sides in SIDES for name in sides)
_NEXT = {"b": "c", "B": "C", "2": "3", "1": "2"}
"""By the sign of a second side, that of a third."""

_CALLED = ("model", "response", "answer", "option", "output", "candidate", "assistant")


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
        score=spec.score,
        plain=spec.plain,
        texts=(prompt, first, second),
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
        cells = {path: _cell(row, path) for path in (self.first, self.second)}
        used = set(self.roles(row)) - {"margin", "weight"}
        keep_pair(row, reader, self._prompt(row, reader), cells, y, tie, used)

    def plain(self, row: Row, options: ReadOptions) -> PlainPair | None:
        winner = "winner" if "winner" in row else self.winner
        if self.prompt not in row:
            return None
        return plain_pair(
            row, (self.prompt, self.first, self.second), winner, self.values, options
        )

    def score(self, row: Row, reader: RowReader) -> bool:
        if not all(_has(row, path) for path in (self.prompt, self.first, self.second)):
            return False
        cells = {path: _cell(row, path) for path in (self.first, self.second)}
        add_responses(cells, [*cells], self._prompt(row, reader), reader)
        return True

    def _prompt(self, row: Row, reader: RowReader) -> Any:
        place = PromptColumns("prompt")
        if not _has(row, self.prompt):
            return read_prompt(row, place, reader)
        return read_prompt({**row, "prompt": _cell(row, self.prompt)}, place, reader)


def keep_pair(
    row: Row,
    reader: RowReader,
    prompt: Any,
    cells: Row,
    y: float,
    tie: dict[str, str],
    used: Collection[str],
) -> None:
    """Add two responses, by their columns, and their pair with what goes along."""
    first, second = add_responses(cells, [*cells], prompt, reader)
    reader.pair(first, second, **(extras_of(row, *used, y=y) | tie))


def plain_pair(
    row: Row,
    texts: tuple[str, str, str],
    winner: str,
    values: Mapping[Any, Verdict],
    options: ReadOptions,
) -> PlainPair | None:
    """Say where prompt, responses and winner are, if nothing else needs a look."""
    named = (*texts, winner)
    others = tuple(name for name in row if name not in named)
    simple = all(name in row for name in named) and options.winner is None
    if not simple or needs_a_look(others):
        return None
    labels = PlainLabels(values, winner)
    return PlainPair(tuple(row), *texts, others, winner, labels)


def _has(row: Row, path: str) -> bool:
    with suppress(KeyError):
        _cell(row, path)
        return True
    return False


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
    listed = parsed_list(cell)
    if listed is not None:
        return {str(place): entry for place, entry in enumerate(listed)}
    return cell if isinstance(cell, Mapping) else None


def two_sides(row: Row) -> tuple[str, str] | None:
    """Find two responses: in two columns, or as the two entries of a list."""
    named = _named_sides(tuple(row))
    if named is not None:
        return named
    lists = (name for name in RESPONSE_LISTS if name in row)
    two = next((name for name in lists if len(parsed_list(row[name]) or ()) == 2), None)
    return None if two is None else (f"{two}.0", f"{two}.1")


@lru_cache(maxsize=1024)
def _named_sides(columns: tuple[str, ...]) -> tuple[str, str] | None:
    """Find two columns; none where a third is numbered like them."""
    names = frozenset(columns)
    return next(
        (
            (one, other)
            for one, other in SIDES
            if one in names
            and other in names
            and f"{other[:-1]}{_NEXT.get(other[-1])}" not in names
        ),
        None,
    )


@lru_cache(maxsize=1024)
def _named_winner(columns: tuple[str, ...], used: tuple[str, ...]) -> str | None:
    return next((n for n in WINNERS if n in columns and n not in used), None)


def winner_column(row: Row, used: tuple[str, ...]) -> str | None:
    """Find the column that says who won, by its name or, if it is one, by its form."""
    named = _named_winner(tuple(row), used)
    if named is not None:
        return named
    found = [
        name
        for name, cell in row.items()
        if name not in used
        and (name.rpartition(".")[2] in SELECTIONS or wrapped(cell) is not None)
    ]
    return found[0] if len(found) == 1 else None


def _places(row: Row) -> tuple[str, str, str] | None:
    """Find the columns of two responses and a winner, in any of their spellings."""
    sides = two_sides(row)
    winner = None if sides is None else winner_column(row, _heads(sides))
    return None if sides is None or winner is None else (*sides, winner)


def _heads(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Name the columns that paths begin in; both sides may stand in one."""
    heads = (path[:-2] if path.endswith((".0", ".1")) else path for path in paths)
    return tuple(dict.fromkeys(heads))


def _is_generic(row: Row) -> bool:
    places = _places(row)
    return places is not None and prompt_beside(row, _heads(places)) is not None


def _generic_roles(row: Row) -> dict[str, str]:
    places = _places(row)
    if places is None:
        return {}
    named = {name: name for name in ("margin", "weight") if name in row}
    heads = _heads(places)
    words = ("first", "second", "winner") if len(heads) > 2 else ("first and second",)
    roles = dict(zip(heads, (*words, "winner"), strict=False))
    return prompt_roles(row, heads) | roles | named


def _plain_generic(row: Row, options: ReadOptions) -> PlainPair | None:
    places = _places(row)
    place = None if places is None else prompt_beside(row, _heads(places))
    if places is None or place is None or len(place.roles()) > 1 or places[2] == "y":
        return None
    one, other, winner = places
    values = values_of(one, other, winner)
    return plain_pair(row, (place.main, one, other), winner, values, options)


def read_two_responses(row: Row, reader: RowReader) -> None:
    """Read two responses in any usual spelling of their columns.

    Letters and words say which one won. A number does where it cannot mean two things:
    it is the number of a response, in a column that counts responses (`winner`, not
    `label`), or the user said what it means.
    """
    places = _places(row)
    if places is None:
        raise KeyError("winner")
    one, other, winner = places
    used = _heads(places)
    if prompt_beside(row, used) is None and reader.options.prompt_template is None:
        raise KeyError("prompt")
    tie: dict[str, str] = {}
    if winner == "y":
        y = pair_label(row)
    else:
        values = values_of(one, other, winner)
        named = _named_by_content(row, places, values)
        y, tie = verdict(named or row[winner], values, winner, reader)
    prompt = read_prompt_beside(row, used, reader)
    cells = {path: _cell(row, path) for path in (one, other)}
    others = set(_generic_roles(row)) - {"margin", "weight"}
    keep_pair(row, reader, prompt, cells, y, tie, others)


def _named_by_content(
    row: Row, places: tuple[str, str, str], values: Mapping[Any, Verdict]
) -> str | None:
    """Say which side the winner's cell names by its model or its very text."""
    one, other, winner = places
    value = row[winner]
    if not isinstance(value, str) or key_of(value) in values:
        return None
    models = tuple(row.get(f"model_{path[-1]}") for path in (one, other))
    for sides in (models, (_cell(row, one), _cell(row, other))):
        if value in sides and sides[0] != sides[1]:
            return "first" if value == sides[0] else "second"
    return None


@lru_cache(maxsize=1024)
def values_of(one: str, other: str, winner: str) -> Mapping[Any, Verdict]:
    """Say what can be meant by a winner without being told, given its column."""
    values: Mapping[Any, Verdict] = LETTERS
    # Places in a list may be counted from 0 or from 1.
    if winner in COUNT_RESPONSES and one[-1] in "01" and one in _NAMED_SIDES:
        values = FROM_ZERO if one[-1] == "0" else FROM_ONE
    for column, sure in ((one, FIRST), (other, SECOND)):
        sign = column[-1].lower()
        named = {column.lower(), column.lower().replace("_", " ")}
        if sign in "012ab" and column in _NAMED_SIDES:
            # Of response_1, the model is model_1.
            signs = {sign, {"a": "1", "b": "2"}.get(sign, sign)}
            named |= {
                f"{stem}{link}{one}"
                for stem in _CALLED
                for link in ("_", " ")
                for one in signs
            }
        values = {**values, **dict.fromkeys(named, sure)}
    return values


TWO_RESPONSES = Format(
    name="two-responses",
    columns="prompt, response_a, response_b (or responses [two]), winner (A, B, tie, "
    "A>B, the model, the text itself, ...; or y: probability that the first is better)",
    about="any two responses (_a/_b, _1/_2, _0/_1; answer, output, completion, ...) "
    "and a winner (preference, choice, label, ...); Potato",
    detect=_is_generic,
    read=read_two_responses,
    roles=_generic_roles,
    plain=_plain_generic,
    needs=(PROMPTS, *zip(*SIDES, strict=True), WINNERS),
    says_winner=True,
)
