"""Two responses, and what each of several annotators preferred."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from embrm.datasets.formats._conversations import parsed_list
from embrm.datasets.formats._fields import extras_of, is_list, is_number
from embrm.datasets.formats._rated import ANNOTATORS
from embrm.datasets.formats._texts import (
    PROMPTS,
    PromptColumns,
    add_responses,
    prompt_beside,
    prompt_roles,
    read_prompt,
    read_prompt_beside,
)
from embrm.datasets.formats._two_responses import (
    COUNT_RESPONSES,
    SIDES,
    WINNERS,
    two_sides,
    values_of,
)
from embrm.datasets.formats._verdicts import FROM_ONE, TIE, Verdict, key_of, verdict
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    has_columns,
    is_missing,
    lacking,
)

_OF_ONE = re.compile(
    r"((?P<who>annotator|rater|judge|labell?er|worker|evaluator|expert|human|coder|"
    r"person|voter)|annotation|vote|label|preference|choice)[_ -]?(\d+|[a-zA-Z])",
    re.IGNORECASE,
)
"""Names of columns that hold what one annotator said."""

_OF_SEVERAL = re.compile(
    r"(.*_)?(annotations|votes|labels|preferences|judge?ments|preference_labels)",
    re.IGNORECASE,
)
"""Names of columns that hold what several said, in a list or by their names."""

_VERDICTS = ("overall_pref", "overall_preference", *WINNERS, "pref", "value")


def vote_columns(row: Row) -> list[str]:
    """Find the columns that hold what each annotator preferred."""
    several = [
        name
        for name, cell in row.items()
        if _OF_SEVERAL.fullmatch(name) and any(True for _ in _votes_in(name, cell))
    ]
    if several:
        return several
    single = [name for name, cell in row.items() if _of_one(name, cell)]
    return single if len(single) > 1 else []


def is_vote(column: str) -> bool:
    """Say whether a column may hold one annotator's vote, by what it is called.

    Examples
    --------
    >>> is_vote("annotator_1"), is_vote("rater2"), is_vote("annotator")
    (True, True, False)
    """
    return _OF_ONE.fullmatch(column) is not None


def _of_one(name: str, cell: Any) -> bool:
    """Say whether a column holds one annotator's vote.

    Of `label_1` and `label_2`, numbers may label the responses of these numbers.
    """
    match = _OF_ONE.fullmatch(name)
    return match is not None and (match["who"] is not None or not is_number(cell))


def _votes_in(name: str, cell: Any) -> Iterator[tuple[str, Any]]:
    """List who voted, and how, in one column.

    Numbers in a list, or by name, may as well be scores of the responses: they are no
    votes. In a record they are where their key counts responses.
    """
    if isinstance(cell, Mapping):
        voted = ((str(who), value) for who, value in cell.items())
        yield from ((who, value) for who, value in voted if not is_number(value))
        return
    listed = parsed_list(cell)
    if listed is None:
        if not is_missing(cell):
            yield name, cell
        return
    for n, entry in enumerate(listed):
        record = entry if isinstance(entry, Mapping) else {"winner": entry}
        key = next((key for key in _VERDICTS if key in record), "")
        who = next((record[key] for key in ANNOTATORS if key in record), None)
        counts = key in COUNT_RESPONSES and record is entry
        if key and (counts or not is_number(record[key])):
            yield f"{name} {n + 1}" if who is None else str(who), record[key]


def _is_votes(row: Row) -> bool:
    sides = two_sides(row)
    if sides is None or prompt_beside(row, sides) is None:
        return False
    values = values_of(*sides, "winner")
    votes = [v for name in vote_columns(row) for _, v in _votes_in(name, row[name])]
    given = [v for v in votes if not is_missing(v)]
    return bool(given) and all(not is_list(v) and _known(v, values) for v in given)


def _known(value: Any, values: Mapping[Any, Verdict]) -> bool:
    return isinstance(value, str | int | float) and key_of(value) in values


def _votes_roles(row: Row) -> dict[str, str]:
    sides = two_sides(row) or ("", "")
    votes = dict.fromkeys(vote_columns(row), "winner, by annotator")
    named = dict(zip(sides, ("first", "second"), strict=True))
    return prompt_roles(row, sides) | named | votes


def _read_votes(row: Row, reader: RowReader) -> None:
    """Read two responses and a vote of each annotator: a pair for each.

    A vote is read as the winner of `two-responses` is. One that is missing is none.
    """
    sides = two_sides(row)
    if sides is None:
        raise KeyError("response_a")
    columns = vote_columns(row)
    prompt = read_prompt_beside(row, sides, reader)
    votes = [vote for name in columns for vote in _votes_in(name, row[name])]
    values = values_of(*sides, "winner")
    used = {*sides, *columns, *prompt_roles(row, sides)}
    _keep_votes(row, reader, prompt, sides, votes, values, used)


def _keep_votes(
    row: Row,
    reader: RowReader,
    prompt: Any,
    sides: tuple[str, str],
    votes: list[tuple[str, Any]],
    values: Mapping[Any, Verdict],
    used: set[str],
) -> None:
    first, second = add_responses(row, sides, prompt, reader)
    columns = extras_of(row, *used, y=TIE)
    for who, value in votes:
        if not is_missing(value) and value != "":
            y, tie = verdict(value, values, who, reader)
            named = {"y": y, "annotator": who}
            reader.pair(first, second, **(columns | named | tie))
    if not reader.pairs:
        raise lacking("the vote of at least one annotator", reason="missing winner")


VOTES = Format(
    name="votes",
    columns="prompt, response_a, response_b, annotator_1, annotator_2, ... (A, B, tie, "
    "...); or annotations: a list of votes, of records {annotator, label}, or votes by "
    "name",
    about="two responses and the vote of each annotator; GAIR's preference dissection",
    detect=_is_votes,
    read=_read_votes,
    roles=_votes_roles,
    needs=(PROMPTS, *zip(*SIDES, strict=True), ("votes",)),
    says_winner=True,
)


def by_annotator(
    name: str,
    *,
    about: str,
    first: str,
    second: str,
    votes: tuple[str, ...],
    values: Mapping[Any, Verdict],
    prompt: str = "prompt",
    columns: str = "",
) -> Format:
    """Declare a format of two responses and the votes of several annotators.

    Parameters
    ----------
    name, about, columns
        As in `Format`.
    first, second, prompt : str
        Its columns.
    votes : tuple of str
        Columns of votes: one for each annotator, or lists of records.
    values : mapping
        What a vote means, as in `two_responses`.
    """

    def place_of(row: Row) -> PromptColumns:
        place = prompt_beside(row, (first, second)) if prompt in PROMPTS else None
        return place or PromptColumns(prompt)

    def read(row: Row, reader: RowReader) -> None:
        place = place_of(row)
        asked = read_prompt(row, place, reader)
        cast = [v for column in votes for v in _votes_in(column, row.get(column))]
        used = {first, second, *votes, *place.roles()}
        _keep_votes(row, reader, asked, (first, second), cast, values, used)

    def score(row: Row, reader: RowReader) -> bool:
        if not row.keys() >= {prompt, first, second}:
            return False
        asked = read_prompt(row, place_of(row), reader)
        add_responses(row, (first, second), asked, reader)
        return True

    def roles(row: Row) -> dict[str, str]:
        said = {name: "winner, by annotator" for name in votes if name in row}
        return place_of(row).roles() | {first: "first", second: "second"} | said

    return Format(
        name=name,
        columns=columns or ", ".join((prompt, first, second, *votes)),
        detect=has_columns(prompt, first, second, votes[0]),
        read=read,
        roles=roles,
        about=about,
        needs=tuple((need,) for need in (prompt, first, second, votes[0])),
        says_winner=True,
        score=score,
        texts=(prompt, first, second),
    )


PANDALM = by_annotator(
    "pandalm",
    about="PandaLM's test set: the votes of three people",
    prompt="instruction",
    first="response1",
    second="response2",
    votes=("annotator1", "annotator2", "annotator3"),
    values={**FROM_ONE, 0: TIE},
    columns="instruction, input, response1, response2, annotator1, annotator2, "
    "annotator3 (1, 2, or 0: tie)",
)
MULTIPREF = by_annotator(
    "multipref",
    about="Ai2's MultiPref: the overall preferences of four people",
    prompt="text",
    first="completion_a",
    second="completion_b",
    votes=("normal_worker_annotations", "expert_worker_annotations"),
    values=values_of("completion_a", "completion_b", "winner"),
    columns="text, completion_a, completion_b, normal_worker_annotations "
    "[{evaluator, overall_pref}], expert_worker_annotations [...]",
)
