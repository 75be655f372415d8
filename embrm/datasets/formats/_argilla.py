"""Argilla's records: rankings, choices and ratings of their fields."""

import json
from contextlib import suppress
from itertools import zip_longest
from typing import Any

from embrm.datasets.formats._fields import first_fields, is_list, number, record_of
from embrm.datasets.formats._records import Record
from embrm.datasets.formats._texts import prompt_columns
from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.exceptions import DataError

_SUBMITTED = (None, "submitted")
_NO_FIELDS = ("metadata", "status", "vectors", "inserted_at", "updated_at")
"""Columns beside the fields, where both are columns."""


def _is_argilla(row: Row) -> bool:
    if isinstance(row.get("fields"), dict):
        return "responses" in row
    return _argilla_columns(row) != []


def _argilla_columns(row: Row) -> list[str]:
    """Find the questions of a record whose fields are columns, as on the hub."""
    answers = {"user_id", "value"}
    return [
        name
        for name, cell in row.items()
        if first_fields(cell) >= answers
        or (name.endswith(".responses") and f"{name}.users" in row)
    ]


def _read_argilla(row: Row, reader: RowReader) -> None:
    """Read Argilla's records: rankings, choices and ratings by submitted responses.

    Records of version 1 have `responses [{values {question {value}}, status}]`, those
    of version 2 `responses {question [{value, status, user_id}]}`; on the hub, and in
    flat exports, fields and questions are columns. A question rates the field that
    its name holds (`generations-1-rating`, `rating-1`), or the only response. Metadata
    go along with every pair. The client of version 2 writes a ranking as the names of
    all options in the order in which they were offered, without ranks: what was said
    is lost (argilla-io/argilla#5712), and such records are refused.
    """
    if isinstance(row.get("fields"), dict):
        fields, answers = row["fields"], _argilla_answers(row)
    else:
        questions = _argilla_columns(row)
        fields = {
            name: cell
            for name, cell in row.items()
            if name not in _NO_FIELDS and not name.startswith(tuple(questions))
        }
        answers = [
            (name.removesuffix(".responses"), each.get("value"), each.get("user_id"))
            for name in questions
            for each in _answers_in(row, name)
        ]
    record = Record(fields, "fields", reader, beside=_metadata(row))
    for question, value, who in answers:
        ranks = _ranks_in(value, fields)
        if ranks:
            record.rank(question, ranks, who)
        else:
            record.answer(question, value, who)
    record.finish("a submitted answer that ranks, chooses or rates fields", "record")


def _metadata(row: Row) -> Row:
    """Read the metadata of a record, which on the hub are columns or JSON."""
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        with suppress(ValueError):
            metadata = json.loads(metadata)
    if isinstance(metadata, dict):
        return metadata
    begin = "metadata."
    return {n.removeprefix(begin): v for n, v in row.items() if n.startswith(begin)}


def _argilla_answers(row: Row) -> list[tuple[str, Any, Any]]:
    """List the answers that were submitted, by question, with who submitted them."""
    responses = row["responses"]
    if isinstance(responses, dict):
        given = [
            (question, answer)
            for question, answers in responses.items()
            for answer in (answers if is_list(answers) else ())
            if isinstance(answer, dict)
        ]
    else:
        given = []
        for response in responses if is_list(responses) else ():
            values = record_of(response, "response").get("values") or {}
            for question, answer in values.items() if isinstance(values, dict) else ():
                if isinstance(answer, dict):
                    told = {**response, "value": answer.get("value")}
                    given.append((question, told))
    return [
        (question, answer.get("value"), answer.get("user_id"))
        for question, answer in given
        if answer.get("status") in _SUBMITTED
    ]


def _answers_in(row: Row, column: str) -> list[Row]:
    """List the submitted answers to a question that is a column."""
    cell = row[column]
    if not column.endswith(".responses"):
        answers = [record_of(each, "answer") for each in cell]
    else:
        status, users = (row.get(f"{column}.{part}") for part in ("status", "users"))
        answers = [
            {"value": value, "status": said, "user_id": who}
            for value, said, who in zip_longest(*map(_entries, (cell, status, users)))
        ]
    return [each for each in answers if each.get("status") in _SUBMITTED]


def _entries(cell: Any) -> list[Any]:
    return list(cell) if is_list(cell) else []


def _ranks_in(value: Any, fields: Row) -> dict[str, float]:
    """Read the rank of each field in an answer; none where it is no ranking."""
    if isinstance(value, dict) and {"rank", "value"} <= value.keys():
        pairs = zip(*map(_entries, (value["rank"], value["value"])), strict=False)
        value = [{"rank": rank, "value": name} for rank, name in pairs]
    entries = _entries(value)
    names = [entry for entry in entries if isinstance(entry, str)]
    if len(names) > 1 and all(name in fields for name in names):
        raise DataError.of(
            expected="rankings with the rank of each field",
            got="lists of names, in which Argilla's client loses the ranks",
            fix="read the records from the server's API, whose answers are "
            "[{'rank': 1, 'value': name}, ...]",
            reason="ranks were lost",
        )
    return {
        str(entry["value"]): number(entry["rank"], "rank")
        for entry in entries
        if isinstance(entry, dict) and entry.keys() >= {"rank", "value"}
    }


def _argilla_roles(row: Row) -> dict[str, str]:
    if "fields" in row:
        return {"fields": "prompt and responses", "responses": "answers"}
    place = prompt_columns(tuple(row))
    roles = {} if place is None else place.roles()
    reader = RowReader()
    # Without what the user said of values, there may be no answer.
    with suppress(DataError):
        _read_argilla(row, reader)
    roles |= dict.fromkeys((name for name, _ in reader.origins), "response")
    questions = _argilla_columns(row)
    roles |= dict.fromkeys(questions, "answers")
    beside = (f"{name}.{part}" for name in questions for part in ("users", "status"))
    return roles | {name: "who answered" for name in beside if name in row}


ARGILLA = Format(
    name="argilla",
    columns="fields {prompt, reply-1, reply-2, ...}, responses (rankings [{rank, "
    "value}], names of fields, or ratings); or fields and questions as columns",
    about="Argilla's records with rankings, choices or ratings: versions 1 and 2, "
    "client exports, and as on the hub",
    detect=_is_argilla,
    read=_read_argilla,
    roles=_argilla_roles,
)
