"""Formats of ranked responses, and of single ones labelled good or bad."""

from itertools import combinations
from typing import Any

from embrm.datasets.formats._fields import (
    first_fields,
    in_short,
    is_number,
    list_of,
    record_of,
    response_of,
    whole_number,
)
from embrm.datasets.formats.base import Format, Row, RowReader, is_missing, refusal
from embrm.exceptions import DataError, NoPreferenceError

_LABELS = {"true": True, "false": False, "1": True, "0": False}


def _is_ranked(row: Row) -> bool:
    if row.keys() >= {"prompt", "responses"}:
        return bool(row.keys() & {"ranks", "ranking"})
    fields = first_fields(row.get("completions"))
    return "context" in row and fields >= {"rank", "completion"}


def _read_ranked(row: Row, reader: RowReader) -> None:
    """Read K responses to a prompt and the rank of each; the best has the lowest.

    `ranks` (or `ranking`) holds one whole number for each response, in the order of
    `responses`: it is not a list of responses from best to worst. Equal ranks are ties.
    Ranks may start anywhere; items have `rank` counted from 0, the best.

    All K (K - 1) / 2 pairs of a row enter, each with the column `k` = K. K-wise heads
    weight a pair by 2 / (K (K - 1)), so that every prompt counts alike (Ouyang et al.
    2022, arXiv:2203.02155, equation 1); no weight is set here. The better response
    stands first; of a tie, the one listed first.

    A response listed twice with one rank counts once; listed with two ranks, it
    contradicts itself and the row is refused.

    The same data is also read in the shape of NeMo-RL: `{"context": [messages],
    "completions": [{"rank": 0, "completion": [message]}, ...]}`.

    Examples
    --------
    >>> reader = RowReader()
    >>> RANKED.read(
    ...     {"prompt": "2 + 2?", "responses": ["5", "4", "four"], "ranks": [1, 0, 0]},
    ...     reader,
    ... )
    >>> [(pair["first"], pair["second"], pair["y"]) for pair in reader.pairs]
    [(1, 0, 1.0), (2, 0, 1.0), (1, 2, 0.5)]
    """
    if "context" in row and "responses" not in row:
        prompt, responses, ranks = _nemo_columns(row)
    else:
        prompt, responses, ranks = _ranked_columns(row)
    ranked = _distinct(responses, ranks)
    if len(ranked) < 2:
        raise refusal(
            expected="at least two different responses",
            got=str(len(ranked)),
            fix="drop the row; one response cannot be compared",
            reason="fewer than two responses",
            kind=NoPreferenceError,
        )
    best = min(ranked.values())
    for response, rank in ranked.items():
        reader.item(prompt, response, rank=rank - best)
    for i, j in combinations(range(len(ranked)), 2):
        better, worse = sorted((i, j), key=lambda n: int(reader.items[n]["rank"]))
        tie = reader.items[i]["rank"] == reader.items[j]["rank"]
        reader.pair(better, worse, 0.5 if tie else 1.0, k=len(ranked))


def _ranked_columns(row: Row) -> tuple[Any, list[Any], list[Any]]:
    """Read prompt, responses and ranks of a plain row."""
    responses = [response_of(each) for each in list_of(row["responses"], "responses")]
    name = "ranks" if "ranks" in row else "ranking"
    return row["prompt"], responses, list_of(row[name], name, len(responses))


def _nemo_columns(row: Row) -> tuple[Any, list[Any], list[Any]]:
    """Read prompt, responses and ranks of a row in the shape of NeMo-RL."""
    completions = [
        record_of(completion, "completion")
        for completion in list_of(row["completions"], "completions")
    ]
    responses = [
        response_of(completion.get("completion")) for completion in completions
    ]
    return row["context"], responses, [each.get("rank") for each in completions]


def _distinct(responses: list[Any], ranks: list[Any]) -> dict[Any, int]:
    """Join responses with their ranks, each response once."""
    ranked: dict[Any, int] = {}
    for response, value in zip(responses, ranks, strict=True):
        if not isinstance(response, str):
            raise refusal(
                expected="responses that are text",
                got=type(response).__name__,
                fix="write every response as a string",
                reason="response is not text",
            )
        rank = whole_number(value, "rank")
        if ranked.setdefault(response, rank) != rank:
            raise refusal(
                expected="one rank for each response",
                got="the same response with two ranks",
                fix="drop the row or fix its ranks",
                reason="identical responses with different ranks",
            )
    return ranked


RANKED = Format(
    name="ranked",
    columns="prompt, responses [list], ranks (or ranking) [list, 0 is best]",
    detect=_is_ranked,
    read=_read_ranked,
)


def _label(value: Any) -> bool:
    """Read true or false, also as 1 and 0 and as words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _LABELS:
        return _LABELS[value.strip().lower()]
    if is_number(value) and value in (0, 1):
        return bool(value)
    missing = is_missing(value)
    raise refusal(
        expected="a label that is true or false",
        got=in_short(value),
        fix="write true for a good response, false for a bad one; numbers with more "
        "than two values are ratings: name the column 'score'",
        reason="missing label" if missing else "label is not true or false",
        kind=NoPreferenceError if missing else DataError,
    )


def _is_unpaired(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "label"}
        and bool(row.keys() & {"completion", "response"})
        and "score" not in row
    )


def _read_unpaired(row: Row, reader: RowReader) -> None:
    """Read one response in each row, labelled good or bad by itself (KTO).

    A completion is text or, in conversational data, a list of one assistant message.

    References
    ----------
    Ethayarajh et al. 2024, arXiv:2402.01306; TRL's type "unpaired preference".

    Examples
    --------
    >>> reader = RowReader()
    >>> UNPAIRED.read({"prompt": "2 + 2?", "completion": "4", "label": True}, reader)
    >>> reader.items[0]["label"]
    True
    """
    response = row["completion"] if "completion" in row else row["response"]
    label = _label(row["label"])
    reader.item(row["prompt"], response_of(response), label=label)


UNPAIRED = Format(
    name="unpaired",
    columns="prompt, completion (or response), label (true or false)",
    detect=_is_unpaired,
    read=_read_unpaired,
)
