"""The preference formats that embrm reads, most specific first.

A new format of two responses and a winner is one call of `two_responses` in
`_published`, ten lines; any other is a `Format` in a module here and one entry in
`_FORMATS`. Both are then detected, documented and listed by `embrm formats`.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from embrm.datasets.formats._benchmarks import BENCHMARKS
from embrm.datasets.formats._chosen_rejected import (
    HH,
    PAIRS,
    SIDES,
    SWIFT,
    TRL,
    is_name,
    unused_texts,
)
from embrm.datasets.formats._fields import is_list
from embrm.datasets.formats._helpsteer import HELPSTEER
from embrm.datasets.formats._labelled import (
    LABELLED_MESSAGES,
    REWARDMATH,
    UNPAIRED,
    is_label,
)
from embrm.datasets.formats._numbered import NUMBERED_BEST, NUMBERED_RATED
from embrm.datasets.formats._published import PUBLISHED
from embrm.datasets.formats._ranked import ALPACA_LIST, NECTAR, RANKED, SCORED
from embrm.datasets.formats._rated import RATINGS, SUMMARY_RATINGS, ULTRAFEEDBACK
from embrm.datasets.formats._responses import find_responses, no_responses
from embrm.datasets.formats._stepwise import PUBLISHED_STEPS, STEPWISE
from embrm.datasets.formats._texts import (
    PROMPTS,
    RESPONSE_LISTS,
    RESPONSES,
    SYSTEMS,
    add_tools,
    prompt_beside,
    prompt_roles,
)
from embrm.datasets.formats._trees import OASST_MESSAGES, OASST_TREE
from embrm.datasets.formats._two_responses import SIDES as TWO_SIDES
from embrm.datasets.formats._two_responses import (
    TWO_RESPONSES,
    WINNERS,
    two_sides,
    winner_column,
)
from embrm.datasets.formats._verdicts import names_a_side
from embrm.datasets.formats._votes import VOTES
from embrm.datasets.formats.base import Format, ReadOptions, Row, RowReader
from embrm.exceptions import (
    DataError,
    NoPreferenceError,
    invalid_input,
)

__all__ = [
    "Format",
    "ReadOptions",
    "RowReader",
    "detect_format",
    "find_format",
    "known_formats",
    "name_it",
    "read_responses",
    "respelt",
    "usual_names",
]

# A row may fit several formats: the first one wins, so general ones stand last.
_FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        *BENCHMARKS,
        REWARDMATH,
        *HELPSTEER,
        ULTRAFEEDBACK,
        SUMMARY_RATINGS,
        OASST_TREE,
        OASST_MESSAGES,
        *PUBLISHED_STEPS,
        *PUBLISHED,
        NECTAR,
        RANKED,
        SCORED,
        STEPWISE,
        SWIFT,
        TRL,
        HH,
        ALPACA_LIST,
        TWO_RESPONSES,
        VOTES,
        NUMBERED_BEST,
        NUMBERED_RATED,
        LABELLED_MESSAGES,
        UNPAIRED,
        RATINGS,
        PAIRS,
    )
}

TEXT_COLUMNS = frozenset(
    {
        *(*PROMPTS, *SYSTEMS, *RESPONSES),
        *(column for sides in (*SIDES, *TWO_SIDES) for column in sides),
        *("post", "text", "answer1", "answer2"),
        *(column for fmt in _FORMATS.values() for column in fmt.texts),
    }
)
"""Columns of texts: their cells are text, even where they look like numbers."""

_OF_LISTS = frozenset((*RESPONSE_LISTS, "ranks", "ranking", "scores", "ratings"))
ROLES = (
    *("prompt", "system", "instruction", "input", "history", "chosen", "rejected"),
    *("response", "completion", "responses", "ranks", "ranking", "rank", "scores"),
    *("score", "label", "y", "margin", "weight", "annotator", "first", "second"),
    *("winner", "subset", "id", "question", "messages"),
)
"""Names by which `columns=` may say what a column is read as."""


def known_formats() -> dict[str, Format]:
    """Return the known formats by name, in the order in which they are tried.

    Examples
    --------
    >>> known_formats()["llmbar"].columns
    'input, output_1, output_2, label (1 or 2)'
    """
    return dict(_FORMATS)


def known_roles() -> frozenset[str]:
    """Return every name that `columns=` may map: roles, and columns of the formats."""
    named = {name for fmt in _FORMATS.values() for need in fmt.needs for name in need}
    return frozenset(ROLES) | named | TEXT_COLUMNS


def find_format(name: str) -> Format:
    """Return the format of this name.

    Raises
    ------
    InvalidInputError
        If there is none; the message lists those there are.
    """
    if isinstance(name, str) and name in _FORMATS:
        return _FORMATS[name]
    near = difflib.get_close_matches(str(name), _FORMATS, n=1)
    raise invalid_input(
        expected="the name of a format",
        got=f"unknown format {str(name)[:40]!r}; known: {', '.join(_FORMATS)}",
        fix=f"did you mean {near[0]!r}?" if near else "name one of these, or none",
    )


def detect_format(row: Row) -> Format:
    """Return the first format that explains a row.

    Raises
    ------
    DataError
        If none does; the message says what the nearest format lacks.
    """
    for fmt in _FORMATS.values():
        if fmt.detect(row):
            return fmt
    raise unknown_format(row)


def read_responses(row: Row, reader: RowReader) -> None:
    """Add the responses of a row that is to be scored, with or without a label.

    Parameters
    ----------
    row : mapping
    reader : RowReader
        Its `items` and `origins` are filled: one response, both sides, or a list.

    Raises
    ------
    DataError
        If there is no response in the row, or a text is missing or malformed.

    Examples
    --------
    >>> reader = RowReader()
    >>> read_responses({"prompt": "Hi", "responses": ["Hello!", "Go."]}, reader)
    >>> reader.origins
    [('responses', 0), ('responses', 1)]
    """
    found = (
        _read_own(row, reader)
        or find_responses(row, reader)
        # The same data without its labels.
        or any(f.score is not None and f.score(row, reader) for f in PUBLISHED)
    )
    if not found:
        _read_respelt(row, reader)
    add_tools(row, reader)


def _read_own(row: Row, reader: RowReader) -> bool:
    """Read the responses of a row whose format alone knows where they are."""
    for fmt in _FORMATS.values():
        if fmt.score is not None and fmt.detect(row):
            return fmt.score(row, reader)
        own = not fmt.needs or fmt in (TRL, SWIFT, STEPWISE)
        if own and fmt.gather is None and fmt.detect(row):
            with suppress(NoPreferenceError):
                _read_if_whole(fmt, row, reader)
            if reader.items:
                return True
    return False


def _read_if_whole(fmt: Format, row: Row, reader: RowReader) -> None:
    """Read a row as a format does, unless a column is lacking: scoring needs no id."""
    try:
        fmt.read(row, reader)
    except KeyError:
        reader.items.clear()
        reader.origins.clear()


def _read_respelt(row: Row, reader: RowReader) -> None:
    """Read a row whose columns only case and the like tell from known names."""
    spelt = usual_names(row)
    if not spelt:
        raise no_responses(row, column_names(row), reader.options)
    again = RowReader(reader.options)
    read_responses(respelt(row, spelt), again)
    reader.items += again.items
    reader.origins += [(spelt.get(name, name), n) for name, n in again.origins]


def usual_names(names: Iterable[str]) -> dict[str, str]:
    """Find the columns that case, spaces or hyphens alone tell from names embrm knows.

    Returns
    -------
    dict of str to str
        Names as the file has them, by embrm's.

    Examples
    --------
    >>> usual_names(["Prompt", "Response 1", "response-2", "Language"])
    {'prompt': 'Prompt', 'response_1': 'Response 1', 'response_2': 'response-2'}
    """
    names, known = [str(name) for name in names], known_roles()
    # "userPrompt" and "User prompt" are "user_prompt".
    parted = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()) for name in names]
    usual = [re.sub(r"[\s-]+", "_", name).lower() for name in parted]
    return {
        ours: theirs
        for ours, theirs in zip(usual, names, strict=True)
        if ours in known and ours not in names and usual.count(ours) == 1
    }


def respelt(row: Row, columns: Mapping[str, str]) -> dict[str, Any]:
    """Name the cells of a row as embrm does: `columns` maps its names to the row's."""
    taken = set(columns.values())
    kept = {name: cell for name, cell in row.items() if name not in taken}
    return kept | {o: row[t] for o, t in columns.items() if t in row}


def unknown_format(row: Row, own: Row | None = None) -> DataError:
    """Write the error for a row that no format explains: what the nearest one lacks.

    Parameters
    ----------
    row : mapping
        Its columns named as the user said, with a prompt where a template writes it.
    own : mapping, optional
        The row as the source has it, whose columns are listed.
    """
    nearest, lacking = _nearest(row)
    has_prompt = prompt_beside(row) is not None
    response = next((name for name in RESPONSES if name in row), None)
    chosen = row.keys() & {"chosen", "rejected"}
    misspelt = _misspelt(row)
    who_won = winner_column(row, ())
    votes = who_won is not None and names_a_side(row[who_won])
    long = [name for name in _two_texts(row) if " " in str(row[name])]
    if votes and two_sides(row) is None and len(long) < 2:
        expected = f"the two responses of which {who_won!r} names the better one"
        fix = (
            "add their texts as response_a and response_b; votes without texts rank "
            "models alone: embrm.heads.ItemBradleyTerry"
        )
    elif has_prompt and response is not None and "chosen" not in chosen:
        expected = f"what says how good {_called(response, row, own)!r} is, beside it"
        fix = _name_what_grades(row, response)
    elif response is not None and not has_prompt and "winner" not in row:
        called = _called(response, row, own)
        expected = f"the prompt of {called!r}, and what says how good it is"
        fix = (
            "name both: columns={'prompt': 'your name for it', 'score': 'your name for "
            "it'}, or 'label' (true or false) or 'rank' in place of 'score'"
        )
    elif has_prompt and not chosen and len(sides := _two_texts(row)) == 2:
        one, other = (name[:40] for name in sides)
        expected = f"what says which of {one!r} and {other!r} is better"
        fix = (
            "if one is better in every row, pass columns={'chosen': 'your name for "
            "it', 'rejected': 'your name for it'}; if a column says which, name all "
            f"three: columns={{'first': {one!r}, 'second': {other!r}, 'winner': 'your "
            "name for it'}"
        )
    elif misspelt:
        expected = f"the columns of a known format, such as {', '.join(misspelt)}"
        fix = f"if they are misspelt: columns={misspelt}"
    elif nearest is None:
        expected = "the columns of a known format"
        fix = (
            "name yours: columns={'prompt': 'your name for it', 'chosen': 'your name "
            "for it', 'rejected': 'your name for it'}; embrm formats lists all formats"
        )
    else:
        expected = f"the columns of format {nearest.name}: {nearest.columns}"
        fix = name_it(lacking, row)
    got = column_names(row if own is None else own)
    return DataError.of(expected=expected, got=got, fix=fix, reason="no known format")


def _misspelt(row: Row) -> dict[str, str]:
    """Find columns that are nearly called prompt, chosen and rejected, if all are."""
    names = [str(name) for name in row if not is_name(str(name))]
    found = {
        ours: near[0]
        for ours in ("prompt", "chosen", "rejected")
        if (near := difflib.get_close_matches(ours, names, n=1, cutoff=0.75))
    }
    renamed = {ours: theirs for ours, theirs in found.items() if ours != theirs}
    return renamed if len(set(found.values())) == 3 else {}


def _name_what_grades(row: Row, response: str) -> str:
    """Propose how to name the column that says how good a response is."""
    used = {response, *prompt_roles(row, (response,))}
    others = {str(n)[:40]: c for n, c in row.items() if n not in used}
    flags = [name for name, cell in others.items() if isinstance(cell, bool)]
    if len(flags) == 1:
        return (
            f"if true means a good response: columns={{'label': {flags[0]!r}}}; if a "
            "bad one, with lower_is_better=True as well"
        )
    words = [name for name, cell in others.items() if is_label(cell)]
    if len(words) == 1:
        return f"if that is it: columns={{'label': {words[0]!r}}}"
    named = "name the column that does: columns={'score': 'your name for it'} "
    more = ""
    if any(name in row for name in WINNERS):
        more = (
            "; or, of two responses, columns={'first': 'your name for it', 'second': "
            "'your name for it', 'winner': 'your name for it'}"
        )
    return f"{named}(a number), or 'label' (true or false) or 'rank'{more}"


def _called(name: str, row: Row, own: Row | None) -> str:
    """Say what a column is called in the source, where the user named it to embrm."""
    if own is None or name in own:
        return name[:40]
    same = (theirs for theirs, cell in own.items() if cell is row[name])
    return str(next(same, name))[:40]


def _two_texts(row: Row) -> list[str]:
    """Name the texts beside the prompt that may be responses."""
    known = prompt_roles(row)
    texts = [name for name in unused_texts(row) if name not in known]
    alike = len({is_list(row[name]) for name in texts}) == 1
    return texts if alike else []


def _nearest(row: Row) -> tuple[Format | None, str]:
    """Find the format of which a row has the most columns, and what it lacks."""
    best: tuple[float, Format | None, str] = (0.0, None, "")
    for fmt in _FORMATS.values():
        if not fmt.needs:
            continue
        absent = [
            need[0] for need in fmt.needs if not any(name in row for name in need)
        ]
        share = 1 - len(absent) / len(fmt.needs)
        if absent and share > best[0]:
            best = (share, fmt, absent[0])
    return best[1:]


def name_it(lacking: str, row: Row) -> str:
    """Propose how to name a column that is lacking; a guess only for misspellings."""
    # A list is not called for by a name in the singular, nor a text by one of lists.
    # An id is never meant, however near its name.
    likely = [
        str(name)
        for name, cell in row.items()
        if is_list(cell) == (lacking in _OF_LISTS) and not is_name(str(name))
    ]
    near = difflib.get_close_matches(lacking, likely, n=1, cutoff=0.75)
    texts = []
    if lacking == "prompt":
        texts = [name for name in unused_texts(row) if name not in SYSTEMS]
    yours = near or ([texts[0]] if len(texts) == 1 else [])
    if yours:
        return f"if that is it: columns={{{lacking!r}: {yours[0][:40]!r}}}"
    among = f" ({', '.join(name[:40] for name in texts[:4])})" if texts else ""
    return f"say which column{among} it is: columns={{{lacking!r}: 'your name for it'}}"


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse names in `columns=` that nothing is read as.

    Raises
    ------
    InvalidInputError
        With the nearest name that is known.
    """
    known = known_roles()
    for name, theirs in columns.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            if theirs in known and not near:
                raise invalid_input(
                    expected="columns that maps embrm's names to yours",
                    got=f"yours, {name[:40]!r}, mapped to embrm's {theirs!r}",
                    fix=f"turn it round: columns={{{theirs!r}: {name[:40]!r}}}",
                )
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise invalid_input(
                expected="columns that maps embrm's names to yours",
                got=f"{name[:40]!r}, which embrm has no use for",
                fix=f"did you mean {near[0]!r}?"
                if near
                else f"name one of {', '.join(ROLES)}",
            )


def column_names(row: Row) -> str:
    """List the columns of a row, shortened, for a message.

    Examples
    --------
    >>> column_names({"question": "", "answer": ""})
    'columns question, answer'
    """
    names = [str(name)[:40] for name in row][:15]
    more = ", ..." if len(row) > len(names) else ""
    return f"columns {', '.join(names)}{more}" if names else "no columns"
