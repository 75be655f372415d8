"""Formats with ratings of responses: plain ratings, UltraFeedback, HelpSteer."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from embrm.datasets.formats._fields import (
    check_rated,
    first_fields,
    is_list,
    is_number,
    list_of,
    number,
    record_of,
    says_missing,
    texts_among,
)
from embrm.datasets.formats._plain import PlainRating
from embrm.datasets.formats._texts import (
    RESPONSES,
    PromptColumns,
    read_prompt,
    response_beside_prompt,
    response_cell,
)
from embrm.datasets.formats.base import (
    Format,
    ReadOptions,
    Row,
    RowReader,
    is_missing,
    static_roles,
)

_RESERVED = frozenset({"key", "prompt_id", "source_row"})
_COUNTS = re.compile(
    r"(^|_)(id|ids|index|idx|turn|turns|step|epoch|seed|year|position|place|order|page|"
    r"version|tstamp|timestamp|time|date|seconds|duration|latency|length|len|tokens|"
    r"words|chars|characters|count|num|n|temperature|top|cost|price|size|row|rows|no|nr|"
    r"number|line|worker|annotator|rater|labeler|user|batch|fold|split)(_|$)"
    r"|_at$|^unnamed: \d+$|^#$",
    re.IGNORECASE,
)
"""Names of columns whose numbers count, date or number something, and rate nothing."""

ANNOTATORS = (
    *("annotator", "annotator_id", "rater", "rater_id", "labeler", "labeler_id"),
    *("labeller", "labeller_id", "worker", "worker_id", "evaluator", "evaluator_id"),
    *("judge", "judge_id", "coder", "coder_id", "annotated_by", "completed_by"),
)
"""Columns that say whose rating or vote it is, the likeliest first."""

_SCORE_NAMES = ("rating", "reward", "overall_score", "overall_rating", "overall")
"""Names of columns that are taken as the score where there is none of that name."""

HELPSTEER_ATTRIBUTES = (
    "helpfulness",
    "correctness",
    "coherence",
    "complexity",
    "verbosity",
)
"""Ratings of a format of its own, which knows what they mean."""

_ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def is_rating(column: str, value: Any) -> bool:
    """Say whether a column rates or ranks the response, and does not describe it."""
    if column == "score":
        return True
    if column in _SCORE_NAMES and _is_written_number(value):
        return True
    if column == "rank":
        return is_number(value) or says_missing(value) or _is_written_number(value)
    if _COUNTS.search(column) or column in _RESERVED:
        return False
    if column in ANNOTATORS:
        return False
    return is_number(value) or (says_missing(value) and value != "")


def _is_written_number(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _others(row: Row, places: tuple[PromptColumns, str]) -> Mapping[str, Any]:
    used = {*places[0].roles(), places[1]}
    return {str(name): cell for name, cell in row.items() if name not in used}


def _attributes(
    row: Row, places: tuple[PromptColumns, str], sign: float
) -> tuple[dict[str, float], dict[str, Any]]:
    """Split the columns besides prompt and response into ratings and the rest."""
    ratings: dict[str, float] = {}
    others: dict[str, Any] = {}
    for column, value in _others(row, places).items():
        if is_rating(column, value):
            ratings[column] = number(value, column[:40])
        elif isinstance(value, str | bool) or (
            is_number(value) and not is_missing(value)
        ):
            # Ids stay exact as text; a column of numbers would become float.
            kept = value if isinstance(value, bool) else str(value)
            others[f"source_{column}" if column in _RESERVED else column] = kept
    who = _annotator(row)
    if who is not None and who in others:
        others["annotator"] = str(others.pop(who))
    named = _score_among(ratings)
    if named is not None:
        ratings.setdefault("score", ratings[named])
    if "score" in ratings:
        ratings["score"] *= sign
    return ratings, others


def _annotator(row: Row) -> str | None:
    return next((name for name in ANNOTATORS if name in row), None)


def _score_among(names: Collection[str]) -> str | None:
    if "rank" in names:
        return None
    return next((name for name in _SCORE_NAMES if name in names), None)


def _is_rated(row: Row) -> bool:
    places = response_beside_prompt(row)
    if places is None or row.keys() >= {*HELPSTEER_ATTRIBUTES}:
        return False
    if row.keys() & {"chosen", "rejected"}:
        return False
    others = _others(row, places)
    rated = any(is_rating(column, value) for column, value in others.items())
    return "score" in row or (rated and "label" not in row)


def _rating_roles(row: Row) -> dict[str, str]:
    places = response_beside_prompt(row)
    if places is None:
        return {}
    roles = places[0].roles() | {places[1]: "response"}
    others = _others(row, places)
    score = None if "score" in others else _score_among(others)
    for column, value in others.items():
        if column == score:
            roles[column] = "rating: the score"
        elif column == _annotator(row):
            roles[column] = "annotator: ratings are compared within each"
        elif is_rating(column, value):
            is_rank = column == "rank"
            roles[column] = "rank: the lowest is best" if is_rank else "rating"
    return roles


def _read_ratings(row: Row, reader: RowReader) -> None:
    """Read one rated response in each row.

    Every numeric column is a rating, except those that number, count or date rows
    (`id`, `..._id`, `turn`, `n_tokens`, `timestamp`). A column `rank` ranks within the
    prompt, the lowest first. Text and boolean columns (`category`, `source`, `model`,
    ...) go along as columns of the item. What the items table already names itself is
    carried under another name: `prompt_id` becomes `source_prompt_id`. Who rated
    (`annotator`, `rater_id`, `worker`, ...) is the column `annotator`.

    Examples
    --------
    >>> reader = RowReader()
    >>> row = {"prompt": "2 + 2?", "response": "4", "score": 5, "source": "sums"}
    >>> RATINGS.read(row, reader)
    >>> reader.items[0]["score"], reader.items[0]["source"]
    (5.0, 'sums')
    """
    places = response_beside_prompt(row)
    if places is None:
        raise KeyError("response" if "prompt" in row else "prompt")
    sign = -1.0 if reader.options.lower_is_better else 1.0
    ratings, others = _attributes(row, places, sign)
    check_rated(ratings.values())
    prompt = read_prompt(row, places[0], reader)
    text = response_cell(row[places[1]], reader)
    reader.item(prompt, text, origin=(places[1], None), **ratings, **others)


def _plain_rating(row: Row, options: ReadOptions) -> PlainRating | None:
    """Say where prompt, response and numbers are, if nothing else needs a look."""
    places = response_beside_prompt(row)
    others = {} if places is None else _others(row, places)
    if places is None or len(places[0].roles()) > 1 or "tools" in row:
        return None
    ratings, texts, counts = [], [], []
    for column, value in others.items():
        if isinstance(value, str | bool) and column in (*_SCORE_NAMES, "score", "rank"):
            return None
        if is_number(value) and is_rating(column, value):
            ratings.append(column)
        elif isinstance(value, str | bool):
            texts.append(column)
        elif isinstance(value, int):
            counts.append(column)
        else:
            return None
    if not ratings or _RESERVED & {*texts, *counts}:
        return None
    score = "" if "score" in ratings else _score_among(ratings) or ""
    sign = -1.0 if options.lower_is_better else 1.0
    who = _annotator(row) or ""
    return PlainRating(
        tuple(row),
        places[0].main,
        places[1],
        tuple(ratings),
        tuple(texts),
        tuple(counts),
        score,
        who,
        sign,
    )


RATINGS = Format(
    name="ratings",
    columns="prompt, response, score (or rating, reward, ...; or rank: 1 is best), and "
    "any other numeric columns",
    about="one response a row with numbers that rate it, by one or more annotators",
    detect=_is_rated,
    read=_read_ratings,
    roles=_rating_roles,
    plain=_plain_rating,
    needs=(("prompt",), RESPONSES, ("score",)),
)


def _is_axis(row: Row) -> bool:
    summary = row.get("summary")
    return isinstance(row.get("info"), Mapping) and (
        isinstance(summary, Mapping) and "axes" in summary
    )


def _read_axis(row: Row, reader: RowReader) -> None:
    """Read OpenAI's axis ratings of summaries: `score` is the axis `overall`."""
    summary = record_of(row["summary"], "summary")
    axes = record_of(summary.get("axes"), "axes")
    ratings = {str(axis): number(value, str(axis)[:40]) for axis, value in axes.items()}
    check_rated(ratings.values())
    if "overall" in ratings:
        ratings["score"] = ratings["overall"]
    worker = row.get("worker")
    named = {"annotator": worker} if isinstance(worker, str) else {}
    info = record_of(row["info"], "info")
    post = info.get("post") or info.get("article")
    attributes: dict[str, Any] = {**ratings, **named}
    reader.item(post, summary.get("text"), origin=("summary", None), **attributes)


SUMMARY_RATINGS = Format(
    name="summary-ratings",
    columns="info {post}, summary {text, axes {overall, accuracy, ...}}, worker",
    about="OpenAI's summaries, ratings on axes",
    detect=_is_axis,
    read=_read_axis,
    roles=static_roles(
        info="prompt", summary="response and ratings", worker="annotator"
    ),
)


def _is_ultrafeedback(row: Row) -> bool:
    completions = row.get("completions")
    if "instruction" not in row or not is_list(completions):
        return False
    # Some instructions have no completions: such a row says nothing, but is of here.
    return not completions or first_fields(completions) >= {"response", "annotations"}


def _read_ultrafeedback(row: Row, reader: RowReader) -> None:
    """Read UltraFeedback: completions of an instruction, each rated on four aspects.

    Each completion becomes an item with `instruction_following`, `honesty`,
    `truthfulness` and `helpfulness` (1 to 5; "N/A" is NaN), `overall_score`,
    `fine_grained_score`, `model` and the row's `source`. `score` is the mean of those
    of the four ratings that are there, and not `overall_score`: 2,628 completions of
    the first release have 10 where 1 was meant. There are no pairs; pair by score.

    References
    ----------
    Cui et al. 2023, arXiv:2310.01377.

    Examples
    --------
    >>> reader = RowReader()
    >>> ratings = {"honesty": {"Rating": "4"}, "helpfulness": {"Rating": "N/A"}}
    >>> completion = {"response": "4", "annotations": ratings, "overall_score": 10}
    >>> ULTRAFEEDBACK.read(
    ...     {"instruction": "2 + 2?", "completions": [completion]}, reader
    ... )
    >>> reader.items[0]["score"], reader.items[0]["helpfulness"]
    (4.0, nan)
    """
    scores = []
    for each in list_of(row["completions"], "completions"):
        completion = record_of(each, "completion")
        attributes = _completion_ratings(completion)
        scores.append(attributes["score"])
        reader.item(
            row["instruction"],
            completion.get("response"),
            origin=("completions", len(reader.items)),
            **attributes,
            **texts_among(completion, "model"),
            **texts_among(row, "source"),
        )
    check_rated(scores)


def _completion_ratings(completion: Row) -> dict[str, float]:
    annotations = record_of(completion.get("annotations"), "annotations")
    attributes = {name: _aspect_rating(annotations, name) for name in _ASPECTS}
    known = [rating for rating in attributes.values() if not math.isnan(rating)]
    attributes["score"] = math.fsum(known) / len(known) if known else math.nan
    for name, column in (
        ("overall_score", "overall_score"),
        ("fine_grained_score", "fine-grained_score"),
    ):
        attributes[name] = number(completion.get(column), column)
    return attributes


def _aspect_rating(annotations: Row, aspect: str) -> float:
    annotation = annotations.get(aspect)
    if annotation is None:
        return math.nan
    rating = record_of(annotation, aspect).get("Rating")
    return number(rating, aspect, low=1, high=5)


ULTRAFEEDBACK = Format(
    name="ultrafeedback",
    columns="instruction, completions [response, annotations, overall_score, ...]",
    about="UltraFeedback: four completions, each rated on four aspects",
    detect=_is_ultrafeedback,
    read=_read_ultrafeedback,
    roles=static_roles(
        instruction="prompt", completions="responses and ratings", source="source"
    ),
)
