"""Formats of several responses in numbered columns: a score for each, or the best."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from typing import Any

from embrm.datasets.formats._conversations import parsed_list
from embrm.datasets.formats._fields import (
    check_rated,
    extras_of,
    is_list,
    is_number,
    number,
)
from embrm.datasets.formats._texts import (
    PROMPTS,
    add_responses,
    prompt_beside,
    prompt_roles,
    read_prompt_beside,
    response_cell,
)
from embrm.datasets.formats._two_responses import SIDES, STEMS, WINNERS, winner_column
from embrm.datasets.formats._verdicts import key_of
from embrm.datasets.formats.base import (
    MEANS_OTHERWISE,
    Format,
    Row,
    RowReader,
    is_missing,
)
from embrm.exceptions import DataError

_NAMES = (
    *(f"{stem}{link}{{}}" for stem in STEMS for link in ("_", "")),
    "answer{}_body",
)
_SIGNS = (
    *([*map(str, range(start, start + 100))] for start in (1, 0)),
    list("abcdefghijklmnop"),
    list("ABCDEFGHIJKLMNOP"),
)
_SCORES = ("score", "rating", "reward", "rank", "votes", "upvotes")
_SCORE_LISTS = ("score", "scores", "ratings", "rewards")


@lru_cache(maxsize=1024)
def numbered_columns(
    columns: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find columns of responses that are numbered or lettered, and their signs."""
    for name in _NAMES:
        for signs in _SIGNS:
            names = (name.format(sign) for sign in signs)
            found = tuple(takewhile(columns.__contains__, names))
            if len(found) > 1:
                return found, tuple(signs[: len(found)])
    return next(((s, s) for s in SIDES if {*s} <= {*columns}), ((), ()))


@lru_cache(maxsize=1024)
def _score_columns(columns: tuple[str, ...], signs: tuple[str, ...]) -> tuple[str, ...]:
    """Find the columns of the scores of numbered responses."""
    for stem in _SCORES:
        for link in ("_", ""):
            names = tuple(f"{stem}{link}{sign}" for sign in signs)
            if {*names} <= {*columns}:
                return names
    return ()


def _scores(row: Row) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the columns of responses, and those of their scores, or a list of them."""
    responses, signs = numbered_columns(tuple(row))
    if not responses:
        return (), ()
    apart = _score_columns(tuple(row), signs)
    if apart:
        return responses, apart
    lists = (n for n in _SCORE_LISTS if len(parsed_list(row.get(n)) or ()) > 1)
    return responses, tuple(lists)[:1]


def _is_rated(row: Row) -> bool:
    responses, scores = _scores(row)
    return bool(scores) and prompt_beside(row, (*responses, *scores)) is not None


def _rated_roles(row: Row) -> dict[str, str]:
    responses, scores = _scores(row)
    roles = prompt_roles(row, (*responses, *scores))
    roles |= dict.fromkeys(responses, "response")
    return roles | dict.fromkeys(scores, "scores" if len(scores) == 1 else "score")


def _read_rated(row: Row, reader: RowReader) -> None:
    """Read numbered responses with a score each; the higher is better unless told so.

    They become rated items: pairs are made of those with different scores. A response
    that is missing with its score, as rows of fewer responses have it, is left out.
    """
    responses, columns = _scores(row)
    if not columns:
        raise KeyError("score_a")
    prompt = read_prompt_beside(row, (*responses, *columns), reader)
    lower = reader.options.lower_is_better
    if lower is None:
        # Of ranks, the lowest is the best.
        lower = columns[0].startswith("rank")
    cells = _score_cells(row, responses, columns)
    scores = [(-1.0 if lower else 1.0) * number(cell, "score") for cell in cells]
    check_rated(scores)
    for column, score in zip(responses, scores, strict=True):
        if is_missing(row[column]) and score != score:
            continue
        text = response_cell(row[column], reader)
        reader.item(prompt, text, origin=(column, None), score=score)


def _score_cells(
    row: Row, responses: tuple[str, ...], columns: tuple[str, ...]
) -> list[Any]:
    if len(columns) > 1:
        cells = [row[name] for name in columns]
    else:
        cells = parsed_list(row[columns[0]]) or []
        if len(cells) != len(responses):
            raise DataError.of(
                expected=f"{len(responses)} scores, of {responses[0]} and so on",
                got=f"{len(cells)} in {columns[0]}",
                fix="drop the row or fix the list",
                reason="wrong number of scores",
            )
    # Whether an answer is right is a score, too.
    return [float(cell) if isinstance(cell, bool) else cell for cell in cells]


NUMBERED_RATED = Format(
    name="two-scores",
    columns="prompt, response_a, response_b, ..., score_a, score_b, ... (or scores "
    "[list])",
    about="two or more responses (_a/_b, _1/_2, _0/_1) with a score, a rating, votes "
    "or a rank each (rank 1 is best); JudgeLM",
    detect=_is_rated,
    read=_read_rated,
    roles=_rated_roles,
    needs=(
        PROMPTS,
        *zip(*SIDES, strict=True),
        ("score_a", "rating_a"),
        ("score_b", "rating_b"),
    ),
    texts=tuple(name.format(sign) for name in _NAMES for sign in "0123456789abcdefgh"),
)


def _best(row: Row) -> tuple[tuple[str, ...], str | None]:
    """Find three or more responses, and the column that names the best."""
    responses, _ = numbered_columns(tuple(row))
    if len(responses) < 3:
        return (), None
    return responses, winner_column(row, responses)


def _is_best(row: Row) -> bool:
    responses, winner = _best(row)
    return winner is not None and prompt_beside(row, (*responses, winner)) is not None


def _best_roles(row: Row) -> dict[str, str]:
    responses, winner = _best(row)
    roles = prompt_roles(row, (*responses, winner or ""))
    return roles | dict.fromkeys(responses, "response") | {winner or "": "the best one"}


def _named(value: Any, row: Row, responses: tuple[str, ...]) -> Iterator[int]:
    """Find the response that a value names: its column, letter or number, its text."""
    _, signs = numbered_columns(tuple(row))
    for n, (column, sign) in enumerate(zip(responses, signs, strict=True)):
        known = {sign.lower(), key_of(sign), column.lower()}
        if key_of(value) in known or value == row[column]:
            yield n


def _read_best(row: Row, reader: RowReader) -> None:
    """Read the best of three or more responses: it beats each of the others."""
    responses, winner = _best(row)
    if winner is None:
        raise KeyError("winner")
    value = row[winner]
    found = list(_named(value, row, responses))
    if len(found) != 1:
        raise DataError.of(
            expected=f"one of {', '.join(responses[:4])} in {winner[:40]!r}",
            got="none" if is_missing(value) or is_list(value) else repr(value)[:30],
            fix="write which response is the best: the name of its column",
            reason=MEANS_OTHERWISE if is_number(value) else "unknown winner",
        )
    used = (*responses, winner)
    prompt = read_prompt_beside(row, used, reader)
    numbers = add_responses(row, responses, prompt, reader)
    columns = extras_of(row, *used, *prompt_roles(row, used), y=1.0)
    for n in numbers:
        if n != found[0]:
            reader.pair(found[0], n, **columns)


NUMBERED_BEST = Format(
    name="best-of-several",
    columns="prompt, response_1, response_2, response_3, ..., best (the column, its "
    "number or letter, or the text itself)",
    about="three or more responses of which one is the best",
    detect=_is_best,
    read=_read_best,
    roles=_best_roles,
    needs=(PROMPTS, ("response_1",), ("response_2",), ("response_3",), WINNERS),
)
