"""Formats of labelling tools: one record with the annotations of several people."""

import contextlib
import json
import math
from datetime import datetime
from itertools import zip_longest
from typing import Any

from embrm.datasets.formats._fields import (
    extras_of,
    first_fields,
    is_list,
    is_number,
    list_of,
    number,
    record_of,
)
from embrm.datasets.formats._texts import (
    prompt_columns,
    read_prompt,
)
from embrm.datasets.formats._two_responses import (
    TWO_RESPONSES,
    WINNERS,
    read_two_responses,
    two_sides,
    winner_column,
)
from embrm.datasets.formats._verdicts import (
    LETTERS,
    TIE,
    verdict,
)
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    refusal,
    static_roles,
)
from embrm.exceptions import NoPreferenceError

_SUBMITTED = (None, "submitted")


def _is_label_studio(row: Row) -> bool:
    data, annotations = row.get("data"), row.get("annotations")
    return isinstance(data, dict) and (
        "result" in first_fields(annotations) or (annotations == [] and "drafts" in row)
    )


def _read_label_studio(row: Row, reader: RowReader) -> None:
    """Read Label Studio's pairwise export: one pair for each annotation.

    Cancelled annotations, and results of another type, are no preferences. The export
    does not say which text stood left: where `to_name` names no two of them, it is the
    one that is called first by its number or letter, as in Label Studio's templates.
    What else `data` holds goes along, and the annotation's `time` and `seconds`.
    """
    data = record_of(row["data"], "data")
    numbers: dict[str, int] = {}
    for entry in _listed(row["annotations"], "annotations"):
        annotation = record_of(entry, "annotation")
        if annotation.get("was_cancelled"):
            continue
        for each in _listed(annotation.get("result"), "result"):
            result = record_of(each, "result")
            if result.get("type") != "pairwise":
                continue
            sides = _compared(data, str(result.get("to_name")), reader)
            for side in sides:
                if side not in numbers:
                    prompt = _prompt_of(data, "data", reader)
                    numbers[side] = reader.item(prompt, data[side], origin=(side, None))
            selected = record_of(result.get("value"), "value").get("selected")
            y, tie = verdict(selected, LETTERS, "selected", reader)
            columns = _beside(data, *sides) | tie | _annotated(annotation)
            reader.pair(numbers[sides[0]], numbers[sides[1]], y, **columns)
    _check_annotated(reader, "an annotation of type pairwise", "task")


def _annotated(annotation: Row) -> dict[str, Any]:
    """Say who annotated, when (in seconds of the epoch), and for how many seconds."""
    found: dict[str, Any] = {}
    who, when = annotation.get("completed_by"), annotation.get("created_at")
    if who is not None:
        found["annotator"] = _annotator(who)
    if isinstance(when, str):
        with contextlib.suppress(ValueError):
            found["time"] = datetime.fromisoformat(when).timestamp()
    if is_number(annotation.get("lead_time")):
        found["seconds"] = float(annotation["lead_time"])
    return found


def _beside(fields: Row, *texts: str) -> dict[str, Any]:
    """Take what stands beside the prompt and the texts, as columns of a pair."""
    place = prompt_columns(tuple(fields))
    prompt = () if place is None else place.roles()
    others = {name: value for name, value in fields.items() if name != "y"}
    extras = extras_of(others, *texts, *prompt)
    del extras["y"]
    return extras


def _metadata(row: Row) -> dict[str, Any]:
    """Read the metadata of a record, which on the hub are columns or JSON."""
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        with contextlib.suppress(ValueError):
            metadata = json.loads(metadata)
    if not isinstance(metadata, dict):
        begin = "metadata."
        metadata = {
            name.removeprefix(begin): value
            for name, value in row.items()
            if name.startswith(begin)
        }
    return _beside(metadata)


def _listed(value: Any, what: str) -> list[Any]:
    """Read a list that may be empty or missing."""
    return [] if value in (None, []) else list_of(value, what)


def _compared(data: Row, to_name: str, reader: RowReader) -> tuple[str, str]:
    """Find the texts that were compared, the left one first."""
    named = [name.strip() for name in to_name.split(",")]
    if len(named) == 2 and all(name in data for name in named):
        return named[0], named[1]
    sides = two_sides(data)
    if sides is None or sides[0] not in data:
        raise refusal(
            expected="two texts in data called answer1 and answer2, or alike",
            got=_fields(data),
            fix="export as JSON-MIN, whose columns can be named: columns={'first': the "
            "left text's, 'second': the right one's, 'winner': the pairwise tag's}",
            reason="no two texts",
        )
    note = f"left is read as {sides[0]}, right as {sides[1]}: the export does not say"
    if note not in reader.said:
        reader.said.append(note)
    return sides


def _prompt_of(fields: Row, column: str, reader: RowReader) -> Any:
    """Read the prompt among the fields of a record."""
    place = prompt_columns(tuple(fields))
    if place is None:
        raise refusal(
            expected=f"a prompt in {column!r}, called prompt, question, text or alike",
            got=_fields(fields),
            fix=f"call it prompt in {column!r}, or write the fields as columns, which "
            "can be named: columns={'prompt': 'your name for it'}",
            reason="no prompt",
        )
    return read_prompt(fields, place, reader)


def _fields(record: Row) -> str:
    return f"fields {', '.join(str(name)[:40] for name in [*record][:8])}"


def _check_annotated(reader: RowReader, expected: str, what: str) -> None:
    if not reader.pairs:
        raise refusal(
            expected=expected,
            got="none that was completed",
            fix=f"drop the {what}",
            reason="no annotation",
            kind=NoPreferenceError,
        )


def _annotator(who: Any) -> str:
    if isinstance(who, dict):
        return str(who.get("email", who.get("id")))
    return str(who)


LABEL_STUDIO = Format(
    name="label-studio",
    columns="data {prompt, answer1, answer2}, annotations [{completed_by, result "
    "[{type: pairwise, value {selected: left or right}}]}]",
    about="Label Studio's JSON export of pairwise labels",
    detect=_is_label_studio,
    read=_read_label_studio,
    roles=static_roles(data="prompt, first and second", annotations="winner"),
    says_winner=True,
)


def _is_label_studio_flat(row: Row) -> bool:
    sides = two_sides(row)
    exported = row.keys() >= {"annotation_id", "annotator", "lead_time"}
    if not exported or sides is None:
        return False
    # Of a task without annotations, no column says who won.
    winner = winner_column(row, sides)
    return winner in (None, "pairwise") or winner not in WINNERS


def _read_label_studio_flat(row: Row, reader: RowReader) -> None:
    """Read one annotation in a row; the pairwise tag's column may have any name."""
    if winner_column(row, two_sides(row) or ()) is not None:
        read_two_responses(row, reader)
    _check_annotated(reader, "the annotation of a pairwise tag", "row")


LABEL_STUDIO_FLAT = Format(
    name="label-studio-min",
    columns="prompt, answer1, answer2, comparison [{selected: left or right}], "
    "annotator, annotation_id, lead_time",
    about="Label Studio's pairwise labels, exported as JSON_MIN or CSV; the pairwise "
    "tag's column may have any name",
    detect=_is_label_studio_flat,
    read=_read_label_studio_flat,
    roles=TWO_RESPONSES.roles,
    says_winner=True,
)


def _is_argilla(row: Row) -> bool:
    if isinstance(row.get("fields"), dict):
        return "responses" in row
    return _argilla_columns(row) != []


def _argilla_columns(row: Row) -> list[str]:
    """Find the questions of a record whose fields are columns, as on the hub."""
    answers = {"user_id", "value", "status"}
    return [
        name
        for name, cell in row.items()
        if first_fields(cell) >= answers
        or (name.endswith(".responses") and f"{name}.users" in row)
    ]


def _read_argilla(row: Row, reader: RowReader) -> None:
    """Read Argilla's records: rankings of the fields, by submitted responses.

    Records of version 1 have `responses [{values {question {value}}, status}]`, those
    of version 2 `responses {question [{value, status, user_id}]}`; on the hub, fields
    and questions are columns. Metadata go along with every pair. The client of version
    2 writes a ranking as the names of all options in the order in which they were
    offered, without ranks: what was said is lost (argilla-io/argilla#5712), and such
    records are refused.
    """
    if "fields" in row:
        fields, answers = record_of(row["fields"], "fields"), _argilla_answers(row)
    else:
        fields = row
        answers = [
            (each.get("value"), each.get("user_id"))
            for name in _argilla_columns(row)
            for each in _answers_in(row, name)
        ]
    prompt = _prompt_of(fields, "fields", reader)
    numbers: dict[str, int] = {}
    metadata = _metadata(row)
    for value, who in answers:
        ranks = _ranks_in(value, fields)
        for name in ranks:
            if name in fields and name not in numbers:
                numbers[name] = reader.item(prompt, fields[name], origin=(name, None))
        ranked = [
            (name, rank)
            for name, rank in ranks.items()
            if name in numbers and not math.isnan(rank)
        ]
        for i, (one, rank) in enumerate(ranked):
            for other, other_rank in ranked[i + 1 :]:
                y = TIE if rank == other_rank else float(rank < other_rank)
                named = {} if who is None else {"annotator": str(who)}
                reader.pair(numbers[one], numbers[other], y, **(metadata | named))
    _check_annotated(reader, "a submitted ranking of fields of the record", "record")


def _argilla_answers(row: Row) -> list[tuple[Any, Any]]:
    """List the answers that were submitted, with who submitted them."""
    responses = row["responses"]
    if isinstance(responses, dict):
        listed = [answers for answers in responses.values() if is_list(answers)]
        given = [each for answers in listed for each in answers if type(each) is dict]
    else:
        given = []
        for response in responses if is_list(responses) else ():
            values = record_of(response, "response").get("values") or {}
            for answer in values.values() if isinstance(values, dict) else ():
                if isinstance(answer, dict):
                    given.append({**response, "value": answer.get("value")})
    return [
        (answer.get("value"), answer.get("user_id"))
        for answer in given
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
        raise refusal(
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
        return {"fields": "prompt and responses", "responses": "rankings"}
    place = prompt_columns(tuple(row))
    roles = {} if place is None else place.roles()
    for question in _argilla_columns(row):
        roles[question] = "rankings"
        for answer in _answers_in(row, question):
            ranked = _ranks_in(answer.get("value"), row)
            roles |= dict.fromkeys((name for name in ranked if name in row), "response")
    return roles


ARGILLA = Format(
    name="argilla",
    columns="fields {prompt, reply-1, reply-2, ...}, responses (rankings: "
    "[{rank, value}]); or fields and questions as columns",
    about="Argilla's records with rankings, versions 1 and 2, and as on the hub",
    detect=_is_argilla,
    read=_read_argilla,
    roles=_argilla_roles,
)
