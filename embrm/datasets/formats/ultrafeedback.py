"""UltraFeedback: several completions of an instruction, each rated on four aspects.

Each completion becomes an item with `instruction_following`, `honesty`, `truthfulness`
and `helpfulness` (1 to 5; "N/A" is NaN), `overall_score`, `fine_grained_score`, `model`
and the row's `source`. `score` is the mean of those of the four ratings that are there,
and not `overall_score`: 2,628 completions of the first release have 10 where 1 was
meant. There are no pairs; pair by score.

References
----------
Cui et al. 2023, arXiv:2310.01377.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> ratings = {"honesty": {"Rating": "4"}, "helpfulness": {"Rating": "N/A"}}
>>> completion = {"response": "4", "annotations": ratings, "overall_score": 10}
>>> FORMATS[0].read({"instruction": "2 + 2?", "completions": [completion]}, reader)
>>> reader.items[0]["score"], reader.items[0]["helpfulness"]
(4.0, nan)
"""

import math
from collections.abc import Mapping
from typing import Any

from embrm.datasets.formats.base import Format, Row, RowReader, refusal
from embrm.datasets.formats.ratings import number, prompt_of
from embrm.datasets.formats.rewardbench import first_fields, list_of, texts_among
from embrm.exceptions import NoPreferenceError

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def _detect(row: Row) -> bool:
    fields = first_fields(row.get("completions"))
    return "instruction" in row and fields >= {"response", "annotations"}


def _read(row: Row, reader: RowReader) -> None:
    prompt = prompt_of(row, "instruction")
    scores = []
    for completion in list_of(row, "completions"):
        _check_mapping(completion, "completion")
        attributes = _attributes(completion)
        scores.append(attributes["score"])
        reader.item(
            prompt,
            completion.get("response"),
            **attributes,
            **texts_among(completion, "model"),
            **texts_among(row, "source"),
        )
    if all(math.isnan(score) for score in scores):
        raise refusal(
            expected="a rating of at least one completion",
            got="none",
            cure="drop the row",
            reason="no rating",
            kind=NoPreferenceError,
        )


def _attributes(completion: Mapping[str, Any]) -> dict[str, float]:
    annotations = completion.get("annotations")
    _check_mapping(annotations, "annotations")
    attributes = {name: _rating(annotations, name) for name in ASPECTS}
    known = [rating for rating in attributes.values() if not math.isnan(rating)]
    attributes["score"] = math.fsum(known) / len(known) if known else math.nan
    for name, column in (
        ("overall_score", "overall_score"),
        ("fine_grained_score", "fine-grained_score"),
    ):
        attributes[name] = number(completion.get(column), column)
    return attributes


def _rating(annotations: Any, aspect: str) -> float:
    annotation = annotations.get(aspect)
    if annotation is None:
        return math.nan
    _check_mapping(annotation, aspect)
    return number(annotation.get("Rating"), aspect, low=1, high=5)


def _check_mapping(value: Any, what: str) -> None:
    if not isinstance(value, Mapping):
        raise refusal(
            expected=f"{what} with named fields",
            got=type(value).__name__,
            cure="compare the row with UltraFeedback's own files",
            reason=f"{what} has no fields",
        )


FORMATS = (
    Format(
        name="ultrafeedback",
        columns="instruction, completions [response, annotations, overall_score, ...]",
        detect=_detect,
        read=_read,
    ),
)
