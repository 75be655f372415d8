"""What the values of a winner's column mean: first, second, a tie, both bad."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from embrm.datasets.formats._fields import (
    as_float,
    in_short,
    is_list,
    is_number,
    says_missing,
)
from embrm.datasets.formats.base import (
    MEANS_OTHERWISE,
    RowReader,
    is_missing,
    lacking,
)
from embrm.exceptions import (
    DataError,
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
    **dict.fromkeys(("tied", "no preference", "no difference", "equally good"), TIE),
    **dict.fromkeys(("both good", "both_good", "both-good", "no_preference"), TIE),
    **dict.fromkeys(("both are good", "about the same", "roughly equal"), TIE),
    **dict.fromkeys(("both are bad", "both-bad", "neither is good"), BOTH_BAD),
    "first response": FIRST,
    "second response": SECOND,
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

SELECTIONS = ("selection", "selected")
_SIGNS = re.compile(r"\s*([<>=~]+)\s*")
_IS_BETTER = re.compile(
    r"[\s_-]+(is[\s_-]+)?((slightly|somewhat|much|far|clearly|significantly)[\s_-]+)?"
    r"better$"
)


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
    inner = wrapped(value)
    value = value if inner is None else inner
    if is_missing(value) or says_missing(value):
        raise lacking(
            f"a winner in {column!r}",
            reason="missing winner",
            fix="drop the row or fill it in",
        )
    key = key_of(value)
    if key not in known:
        raise DataError.of(
            expected=f"one of {_listed(known)} in {column[:40]!r}",
            got=in_short(value),
            fix=_fix_for(value),
            reason=MEANS_OTHERWISE if is_number(value) else "unknown winner",
        )
    found = known[key]
    if found == BOTH_BAD:
        return TIE, {"tie": BOTH_BAD}
    return float(found), ({"tie": "tie"} if found == TIE else {})


def names_a_side(value: Any) -> bool:
    """Say whether a cell can be nothing but a verdict: A, model_b, tie, ...

    Examples
    --------
    >>> names_a_side("model_a"), names_a_side("A"), names_a_side(1), names_a_side("Yes")
    (True, True, False, False)
    """
    return isinstance(value, str) and key_of(value) in LETTERS


def _fix_for(value: Any) -> str:
    """Say what to do about a value of the winner's column that is not known."""
    told = (
        "say what each value means: winner={value: 'first', 'second', 'tie' or "
        "'both bad'}"
    )
    if is_number(value) and 0 < value < 1:
        return (
            "if it is the probability that the first response is better, pass "
            f"columns={{'y': 'your name for it'}}; else {told}"
        )
    return told


def _told(winner: Mapping[Any, str | float]) -> dict[Any, Verdict]:
    """Read what the user said the values of the winner's column mean."""
    known: dict[Any, Verdict] = {}
    for value, meaning in winner.items():
        if isinstance(meaning, str) and meaning.strip().lower() in WORDS:
            known[key_of(value)] = WORDS[meaning.strip().lower()]
        elif is_number(meaning) and 0 <= meaning <= 1:
            known[key_of(value)] = float(meaning)
        else:
            raise invalid_input(
                expected="winner that maps values to 'first', 'second', 'tie', "
                "'both bad' or a probability of first",
                got=repr(meaning)[:40],
                fix="pass e.g. winner={0: 'first', 1: 'second', 'tie': 0.5}",
            )
    return known


def wrapped(cell: Any) -> Any:
    """Take a verdict out of what labelling tools wrap it in; None where it is plain.

    Label Studio writes `[{"selected": "left"}]`, also as JSON in a string, and Potato
    `{"selection": "A"}`.
    """
    if isinstance(cell, str) and cell.lstrip().startswith(("[{", "{")):
        with suppress(ValueError, RecursionError):
            cell = json.loads(cell)
    if is_list(cell) and len(cell) == 1:
        cell = cell[0]
    found = cell if isinstance(cell, Mapping) else {}
    return next((found[name] for name in SELECTIONS if name in found), None)


def key_of(value: Any) -> Any:
    """Write a value so that 1, 1.0 and "1" are one, and texts are in lower case.

    "A > B" is "a>b", "[[A]]" and "A is better" are "a".
    """
    if isinstance(value, bool):
        return str(value).lower()
    if is_number(value):
        read = as_float(value)
        return int(read) if math.isfinite(read) and read.is_integer() else read
    if isinstance(value, str):
        word = value.strip().lower()
        if word in LETTERS:
            return word
        word = _SIGNS.sub(r"\1", word.strip("[]").strip())
        word = _IS_BETTER.sub("", word)
        try:
            return key_of(float(word))
        except ValueError:
            return word
    return in_short(value)


def _listed(values: Mapping[Any, Verdict]) -> str:
    meaning: Mapping[Any, str] = {FIRST: "first", SECOND: "second", TIE: "tie"}
    # Words say what they mean; numbers and letters are what differs between formats.
    order = sorted(values.items(), key=lambda entry: len(str(entry[0])))
    shown = [f"{key} ({meaning.get(value, value)})" for key, value in order]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")
