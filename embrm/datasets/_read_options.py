"""What a user may say about a file, and what of it means nothing or could mislead."""

import re
from collections.abc import Mapping
from itertools import chain
from typing import Literal, TypeAlias

from embrm.datasets._rows import ReadLimits
from embrm.datasets.formats import ReadOptions, check_columns
from embrm.datasets.formats._texts import template_columns
from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError, NoPreferenceError, invalid_input

OnError: TypeAlias = Literal["raise", "skip", "skip-uninformative"]
"""What to do about a row that cannot be used."""

SKIPPED: dict[str, tuple[type[DataError], ...]] = {
    "raise": (),
    "skip": (DataError,),
    "skip-uninformative": (NoPreferenceError,),
}

_LOWER_NAMES = frozenset(
    {
        *("rank", "ranks", "ranking", "place", "position", "order", "loss", "nll"),
        *("perplexity", "ppl", "error", "errors", "mistakes", "cost", "penalty"),
        *("toxicity", "harm", "harmfulness", "distance", "latency"),
    }
)
"""Words in the names of columns whose lowest number is often the best."""


def check_options(
    columns: Mapping[str, str] | None,
    on_error: str,
    max_rows: int | None,
    limits: ReadLimits,
    options: ReadOptions,
) -> None:
    """Check what a user said about a file, before anything is read.

    Raises
    ------
    InvalidInputError
        If it means nothing, or could turn preferences round.
    """
    if on_error not in tuple(SKIPPED):
        words = " or ".join(map(repr, SKIPPED))
        raise invalid_input(
            f"on_error {words}", repr(on_error)[:40], "pass one of these"
        )
    if columns is not None and not (
        isinstance(columns, Mapping)
        and all(isinstance(name, str) for name in chain(*columns.items()))
    ):
        raise invalid_input(
            "columns that maps canonical names to actual ones",
            f"a {type(columns).__name__} that does not",
            "pass a dict such as {'prompt': 'question'}",
        )
    named = {
        "max_rows": max_rows,
        "max_line_bytes": limits.max_line_bytes,
        "max_json_bytes": limits.max_json_bytes,
    }
    for name, limit in named.items():
        if limit is not None and not (isinstance(limit, int) and limit >= 1):
            raise invalid_input(
                f"{name} that is an int >= 1", repr(limit)[:40], "pass 1 or more"
            )
    check_columns(columns or {})
    _check_meaning(columns or {}, options)
    check_encoding(limits.encoding)


def _check_meaning(columns: Mapping[str, str], options: ReadOptions) -> None:
    """Refuse options that may read preferences the wrong way round, or not at all."""
    check_images(options.images)
    if options.prompt_template is not None:
        template_columns(options.prompt_template)
    if options.winner is not None and not isinstance(options.winner, Mapping):
        raise invalid_input(
            "winner that maps values of the winner's column to what they mean",
            type(options.winner).__name__,
            "pass e.g. winner={0: 'first', 1: 'second', 'tie': 0.5}",
        )
    for ours in ("score", "scores"):
        theirs = columns.get(ours, "")
        words = re.split(r"[\W_]+", theirs.lower())
        if options.lower_is_better is None and _LOWER_NAMES.intersection(words):
            raise invalid_input(
                f"to be told which way {theirs!r} counts, as it is read as a score",
                "a name that suggests that the lowest is best",
                "pass lower_is_better=True or lower_is_better=False",
            )


def check_images(images: str) -> None:
    """Check what is to be done about images.

    Raises
    ------
    InvalidInputError
        If it is nothing that can be done.
    """
    if images not in ("refuse", "mark"):
        raise invalid_input(
            "images 'refuse' or 'mark'", repr(images)[:40], "pass one of these"
        )


def check_encoding(encoding: str) -> None:
    """Check that Python knows an encoding.

    Raises
    ------
    InvalidInputError
        If it does not.
    """
    try:
        "".encode(encoding)
    except (LookupError, TypeError, ValueError) as error:
        raise invalid_input(
            "an encoding that Python knows", repr(encoding)[:40], "pass e.g. 'cp1252'"
        ) from error


def difference(row: Row, ours: str, theirs: str) -> Row:
    """Compute a column that was asked for as the difference of two."""
    one, other = theirs.split(" - ", 1)
    cells = [row.get(one), row.get(other)]
    if not all(isinstance(cell, int | float) for cell in cells):
        return {ours: None}
    return {ours: cells[0] - cells[1]}  # type: ignore[operator]
