"""Formats of labelling tools: one record with the annotations of several people."""

import math
from typing import Any

from embrm.datasets.formats._fields import (
    first_fields,
    is_list,
    list_of,
    number,
    record_of,
)
from embrm.datasets.formats._texts import (
    prompt_columns,
    read_prompt,
)
from embrm.datasets.formats._two_responses import (
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


def _is_label_studio(row: Row) -> bool:
    data, annotations = row.get("data"), row.get("annotations")
    return isinstance(data, dict) and "result" in first_fields(annotations)


def _read_label_studio(row: Row, reader: RowReader) -> None:
    """Read Label Studio's pairwise export: one pair for each annotation.

    Cancelled annotations, and results of another type, are no preferences.
    """
    data = record_of(row["data"], "data")
    place = prompt_columns(tuple(data))
    if place is None:
        raise KeyError("prompt")
    prompt = read_prompt(data, place, reader)
    numbers: dict[str, int] = {}
    for annotation in list_of(row["annotations"], "annotations"):
        if record_of(annotation, "annotation").get("was_cancelled"):
            continue
        for result in annotation.get("result") or ():
            if result.get("type") != "pairwise":
                continue
            sides = [name.strip() for name in str(result.get("to_name")).split(",")]
            for side in sides:
                if side not in numbers:
                    numbers[side] = reader.item(
                        prompt, data.get(side), origin=(side, None)
                    )
            selected = record_of(result.get("value"), "value").get("selected")
            y, tie = verdict(selected, LETTERS, "selected", reader)
            who = annotation.get("completed_by")
            named = {} if who is None else {"annotator": _annotator(who)}
            reader.pair(numbers[sides[0]], numbers[sides[-1]], y, **tie, **named)
    if not reader.pairs:
        raise refusal(
            expected="an annotation of type pairwise",
            got="none that was completed",
            fix="drop the task",
            reason="no annotation",
            kind=NoPreferenceError,
        )


def _annotator(who: Any) -> str:
    if isinstance(who, dict):
        return str(who.get("email", who.get("id")))
    return str(who)


LABEL_STUDIO = Format(
    name="label-studio",
    columns="data {prompt, answer1, answer2}, annotations [{result [{type: pairwise, "
    "value {selected: left or right}}]}]",
    about="Label Studio's JSON export of pairwise labels",
    detect=_is_label_studio,
    read=_read_label_studio,
    roles=static_roles(data="prompt, first and second", annotations="winner"),
    says_winner=True,
)


def _is_argilla(row: Row) -> bool:
    return isinstance(row.get("fields"), dict) and "responses" in row


def _read_argilla(row: Row, reader: RowReader) -> None:
    """Read Argilla's records: rankings of the fields, by submitted responses.

    Records of version 1 have `responses [{values {question {value}}, status}]`, those
    of version 2 `responses {question [{value, status, user_id}]}`.
    """
    fields = record_of(row["fields"], "fields")
    place = prompt_columns(tuple(fields))
    if place is None:
        raise KeyError("prompt")
    prompt = read_prompt(fields, place, reader)
    numbers: dict[str, int] = {}
    for value, who in _argilla_answers(row["responses"]):
        ranks = {
            str(entry["value"]): number(entry["rank"], "rank")
            for entry in value
            if isinstance(entry, dict) and entry.keys() >= {"rank", "value"}
        }
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
                reader.pair(numbers[one], numbers[other], y, **named)
    if not reader.pairs:
        raise refusal(
            expected="a submitted ranking of fields of the record",
            got="none",
            fix="drop the record",
            reason="no annotation",
            kind=NoPreferenceError,
        )


def _argilla_answers(responses: Any) -> list[tuple[list[Any], Any]]:
    """List the rankings that were submitted, with who submitted them."""
    found = []
    if isinstance(responses, dict):
        listed = [answers for answers in responses.values() if is_list(answers)]
        given = [each for answers in listed for each in answers if type(each) is dict]
    else:
        given = []
        for response in responses if is_list(responses) else ():
            values = record_of(response, "response").get("values") or {}
            for answer in values.values():
                if isinstance(answer, dict):
                    given.append({**response, "value": answer.get("value")})
    for answer in given:
        submitted = answer.get("status", "submitted") == "submitted"
        if submitted and is_list(answer.get("value")):
            found.append((list(answer["value"]), answer.get("user_id")))
    return found


ARGILLA = Format(
    name="argilla",
    columns="fields {prompt, reply-1, reply-2, ...}, responses (rankings: "
    "[{rank, value}])",
    about="Argilla's records with rankings, versions 1 and 2",
    detect=_is_argilla,
    read=_read_argilla,
    roles=static_roles(fields="prompt and responses", responses="rankings"),
)
