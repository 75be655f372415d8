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

from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.datasets.formats.extras import texts_among
from embrm.datasets.formats.fields import (
    check_rated,
    first_fields,
    is_list,
    list_of,
    number,
    record_of,
)

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def _detect(row: Row) -> bool:
    completions = row.get("completions")
    if "instruction" not in row or not is_list(completions):
        return False
    # Some instructions have no completions: such a row says nothing, but is of here.
    return not completions or first_fields(completions) >= {"response", "annotations"}


def _read(row: Row, reader: RowReader) -> None:
    scores = []
    for each in list_of(row["completions"], "completions"):
        completion = record_of(each, "completion")
        attributes = _attributes(completion)
        scores.append(attributes["score"])
        reader.item(
            row["instruction"],
            completion.get("response"),
            **attributes,
            **texts_among(completion, "model"),
            **texts_among(row, "source"),
        )
    check_rated(scores)


def _attributes(completion: Row) -> dict[str, float]:
    annotations = record_of(completion.get("annotations"), "annotations")
    attributes = {name: _rating(annotations, name) for name in ASPECTS}
    known = [rating for rating in attributes.values() if not math.isnan(rating)]
    attributes["score"] = math.fsum(known) / len(known) if known else math.nan
    for name, column in (
        ("overall_score", "overall_score"),
        ("fine_grained_score", "fine-grained_score"),
    ):
        attributes[name] = number(completion.get(column), column)
    return attributes


def _rating(annotations: Row, aspect: str) -> float:
    annotation = annotations.get(aspect)
    if annotation is None:
        return math.nan
    rating = record_of(annotation, aspect).get("Rating")
    return number(rating, aspect, low=1, high=5)


FORMATS = (
    Format(
        name="ultrafeedback",
        columns="instruction, completions [response, annotations, overall_score, ...]",
        detect=_detect,
        read=_read,
    ),
)
