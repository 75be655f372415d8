"""Exports of Label Studio and Argilla: pairwise labels, choices, rankings, ratings."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import zip_longest
from typing import Any

from embrm.datasets.formats._conversations import parsed_list
from embrm.datasets.formats._fields import (
    first_fields,
    is_list,
    is_number,
    list_of,
    number,
    record_of,
)
from embrm.datasets.formats._records import Record, fields_in
from embrm.datasets.formats._texts import prompt_roles
from embrm.datasets.formats._two_responses import (
    TWO_RESPONSES,
    WINNERS,
    read_two_responses,
    two_sides,
    winner_column,
)
from embrm.datasets.formats._verdicts import (
    LETTERS,
    verdict,
)
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    static_roles,
)
from embrm.exceptions import DataError

_BODY = ("body", "text", "content", "html", "title")
"""Keys of an item that is ranked, the likeliest to hold its text first."""

_SUBMITTED = (None, "submitted")
_NO_FIELDS = ("metadata", "status", "vectors", "inserted_at", "updated_at")
"""Columns beside the fields, where both are columns."""


def _is_label_studio(row: Row) -> bool:
    data, annotations = row.get("data"), row.get("annotations")
    return isinstance(data, dict) and (
        "result" in first_fields(annotations) or (annotations == [] and "drafts" in row)
    )


def _read_label_studio(row: Row, reader: RowReader) -> None:
    """Read a task of Label Studio: a pair for each comparison, an item for each rating.

    Cancelled annotations, and results of another type, are no preferences. The export
    of pairwise labels does not say which text stood left: where `to_name` names no two
    of them, it is the one that is called first by its number or letter, as in Label
    Studio's templates. What else `data` holds goes along with a pair, and the
    annotation's `time` and `seconds`.
    """
    data = record_of(row["data"], "data")
    items = _items_in(data)
    record = Record({**data, **items}, "data", reader, beside=data)
    for entry in _listed(row["annotations"], "annotations"):
        annotation = record_of(entry, "annotation")
        if annotation.get("was_cancelled"):
            continue
        for each in _listed(annotation.get("result"), "result"):
            result = record_of(each, "result")
            _take(result, record, data, annotation, reader)
    record.finish("an annotation that compares, ranks or rates texts", "task")


def _take(
    result: Row, record: Record, data: Row, annotation: Row, reader: RowReader
) -> None:
    """Take one result of an annotation; those of other types say nothing."""
    who, spent = annotation.get("completed_by"), _time_of(annotation)
    kind, question = result.get("type"), str(result.get("from_name"))
    value = result.get("value")
    if kind == "pairwise":
        sides = _compared(data, str(result.get("to_name")), reader)
        selected = record_of(value, "value").get("selected")
        y, tie = verdict(selected, LETTERS, "selected", reader)
        record.prefer(question, sides, y, who, **tie, **spent)
    elif kind == "ranker":
        order = _order(record_of(value, "value").get("ranker"))
        ranks = {str(name): n for n, name in enumerate(order)}
        record.rank(question, ranks, who, **spent)
    elif kind in ("rating", "choices", "number"):
        given = record_of(value, "value").get(kind)
        to_name = str(result.get("to_name"))
        # A tag that stands at one text is about that, whatever its name.
        about = question if to_name not in data else f"{to_name} {question}"
        record.answer(about, given[0] if is_list(given) and given else given, who)


def _time_of(annotation: Row) -> dict[str, float]:
    """Say when it was annotated, in seconds of the epoch, and for how many seconds."""
    found, when = dict[str, float](), annotation.get("created_at")
    if isinstance(when, str):
        with suppress(ValueError):
            found["time"] = datetime.fromisoformat(when).timestamp()
    if is_number(annotation.get("lead_time")):
        found["seconds"] = float(annotation["lead_time"])
    return found


def _items_in(data: Row) -> dict[str, Any]:
    """Find the list that was ranked: the text of each entry, by its id."""
    for cell in data.values():
        if first_fields(cell) >= {"id"}:
            entries = [record_of(each, "item") for each in cell]
            return {
                str(each["id"]): next((each[k] for k in _BODY if each.get(k)), None)
                for each in entries
                if "id" in each
            }
    return {}


def _order(ranker: Any) -> list[Any]:
    """Read the ids from best to worst; of several buckets none is known to be best."""
    if isinstance(ranker, dict):
        filled = {name: ids for name, ids in ranker.items() if name != "_" and ids}
        if len(filled) > 1:
            raise DataError.of(
                expected="items in one order, from best to worst",
                got=f"buckets {', '.join(map(str, filled))}"[:120],
                fix="write the items as rows with prompt, response and a rank or a "
                "score for each bucket",
                reason="buckets without an order",
            )
        ranker = next(iter(filled.values()), [])
    return _listed(ranker, "ranker")


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
        raise DataError.of(
            expected="two texts in data called answer1 and answer2, or alike",
            got=fields_in(data),
            fix="export as JSON-MIN, whose columns can be named: columns={'first': the "
            "left text's, 'second': the right one's, 'winner': the pairwise tag's}",
            reason="no two texts",
        )
    note = f"left is read as {sides[0]}, right as {sides[1]}: the export does not say"
    reader.say(note)
    return sides


LABEL_STUDIO = Format(
    name="label-studio",
    columns="data {prompt, answer1, answer2}, annotations [{completed_by, result "
    "[{type: pairwise, value {selected: left or right}}]}]; or data {prompt, items "
    "[{id, body}]} with type ranker; or types rating and choices",
    about="Label Studio's JSON export of pairwise labels, rankings, ratings and "
    "choices",
    detect=_is_label_studio,
    read=_read_label_studio,
    roles=static_roles(data="prompt and responses", annotations="answers"),
    says_winner=True,
)


_EXPORTED = frozenset({"annotation_id", "annotator", "lead_time"})


def _is_label_studio_flat(row: Row) -> bool:
    if not row.keys() >= _EXPORTED:
        return False
    sides = two_sides(row)
    if sides is None:
        return bool(_flat_results(row))
    # Of a task without annotations, no column says who won.
    winner = winner_column(row, sides)
    return winner in (None, "pairwise") or winner not in WINNERS


def _flat_results(row: Row) -> dict[str, tuple[str, Any]]:
    """Find the columns that hold a result, with its type and what it says."""
    found: dict[str, tuple[str, Any]] = {}
    for name, cell in row.items():
        listed = parsed_list(cell) or ()
        first = listed[0] if len(listed) == 1 else None
        for kind in ("ranker", "rating"):
            if isinstance(first, Mapping) and kind in first:
                found[name] = kind, first[kind]
    return found


def _read_label_studio_flat(row: Row, reader: RowReader) -> None:
    """Read one annotation in a row; the tag's column may have any name."""
    if winner_column(row, two_sides(row) or ()) is not None:
        read_two_responses(row, reader)
        return
    results = _flat_results(row)
    data = {name: row[name] for name in row.keys() - _EXPORTED - results.keys()}
    record = Record({**data, **_items_in(data)}, "data", reader)
    for question, (kind, given) in results.items():
        if kind == "ranker":
            ranks = {str(name): n for n, name in enumerate(_order(given))}
            record.rank(question, ranks, row["annotator"])
        else:
            record.answer(question, given, row["annotator"])
    record.finish("the annotation of a tag that compares, ranks or rates", "row")


def _flat_roles(row: Row) -> dict[str, str]:
    results = _flat_results(row)
    if not results:
        return TWO_RESPONSES.roles(row)
    reader = RowReader()
    with suppress(DataError):
        _read_label_studio_flat(row, reader)
    lists = (n for n, cell in row.items() if first_fields(cell) >= {"id"})
    responses = [*lists, *(name for name, _ in reader.origins if name in row)]
    return (
        prompt_roles(row)
        | dict.fromkeys(responses, "response")
        | dict.fromkeys(results, "answers")
        | {"annotator": "annotator"}
    )


LABEL_STUDIO_FLAT = Format(
    name="label-studio-min",
    columns="prompt, answer1, answer2, comparison [{selected: left or right}], "
    "annotator, annotation_id, lead_time",
    about="Label Studio's pairwise labels, rankings and ratings, exported as JSON_MIN "
    "or CSV; the tag's column may have any name",
    detect=_is_label_studio_flat,
    read=_read_label_studio_flat,
    roles=_flat_roles,
    says_winner=True,
)


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
    roles, reader = prompt_roles(row), RowReader()
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
