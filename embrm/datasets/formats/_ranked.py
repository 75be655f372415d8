"""Formats of several responses to a prompt: ranked, or with scores."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

from embrm.datasets.formats._conversations import (
    is_transcript,
    plain_if_single,
    transcript_turns,
)
from embrm.datasets.formats._fields import (
    as_float,
    check_rated,
    extras_of,
    first_fields,
    is_list,
    is_number,
    is_text_list,
    list_of,
    number,
    record_of,
    whole_number,
)
from embrm.datasets.formats._texts import (
    RESPONSE_LISTS,
    PromptColumns,
    prompt_beside,
    prompt_roles,
    read_prompt,
    read_prompt_beside,
    response_cell,
)
from embrm.datasets.formats.base import (
    PAIR_ROLES,
    Format,
    Row,
    RowReader,
    static_roles,
)
from embrm.exceptions import DataError, NoPreferenceError

_AN_ORDER = (
    "ranking is read as the rank of each response, not as their numbers from best to "
    "worst: with those, write the responses in that order and rank them 0, 1, 2, ..."
)


def _is_ranked(row: Row) -> bool:
    if "responses" in row and row.keys() & {"ranks", "ranking"}:
        return prompt_beside(row) is not None
    if _ranked_records(row) is not None:
        return prompt_beside(row) is not None
    fields = first_fields(row.get("completions"))
    return "context" in row and fields >= {"rank", "completion"}


def _ranked_records(row: Row) -> str | None:
    """Find a list of responses that are records, each with its rank."""
    lists = (name for name in RESPONSE_LISTS if "rank" in first_fields(row.get(name)))
    return None if "context" in row else next(lists, None)


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
    records = _ranked_records(row)
    if records is not None and not row.keys() & {"ranks", "ranking"}:
        prompt, responses, ranks = _record_columns(row, records, reader)
    elif "context" in row and "responses" not in row:
        prompt, responses, ranks = _nemo_columns(row, reader)
    else:
        prompt, responses, ranks = _ranked_columns(row, reader)
    keep_ranked(reader, prompt, responses, ranks)


def keep_ranked(
    reader: RowReader,
    prompt: Any,
    responses: list[Any],
    ranks: list[Any],
    column: str = "responses",
) -> None:
    """Add ranked responses and all their pairs.

    Raises
    ------
    DataError
        If there are fewer than two different responses, or the ranks are none.
    """
    ranked = _distinct(responses, ranks)
    if len(ranked) < 2:
        raise NoPreferenceError.of(
            expected="at least two different responses",
            got=str(len(ranked)),
            fix="drop the row; one response cannot be compared",
            reason="fewer than two responses",
        )
    best = min(ranked.values())
    _check_ranks(ranked.values())
    for place, (response, rank) in enumerate(ranked.items()):
        reader.item(prompt, response, origin=(column, place), rank=rank - best)
    for i, j in combinations(range(len(ranked)), 2):
        better, worse = sorted((i, j), key=lambda n: int(reader.items[n]["rank"]))
        tie = reader.items[i]["rank"] == reader.items[j]["rank"]
        reader.pair(better, worse, 0.5 if tie else 1.0, k=len(ranked))


def _check_ranks(ranks: Collection[int]) -> None:
    """Refuse numbers that rank nothing: scores, say, of which the highest is best."""
    if max(ranks) - min(ranks) >= len(ranks):
        raise _no_ranks(f"{max(ranks)} and {min(ranks)} among {len(ranks)} responses")


def _no_ranks(got: str) -> DataError:
    return DataError.of(
        expected="ranks: whole numbers in a row, the lowest for the best response",
        got=got,
        fix="if they are scores, pass columns={'scores': 'ranking'} and which way they "
        "count: lower_is_better=False where the highest is best, else "
        "lower_is_better=True",
        reason="no ranks",
    )


def _ranked_columns(row: Row, reader: RowReader) -> tuple[Any, list[Any], list[Any]]:
    """Read prompt, responses and ranks of a plain row."""
    listed = list_of(row["responses"], "responses")
    responses = [response_cell(each, reader) for each in listed]
    name = "ranks" if "ranks" in row else "ranking"
    ranks = list_of(row[name], name, len(responses))
    for rank in ranks:
        if is_number(rank) and not as_float(rank).is_integer():
            raise _no_ranks(f"{as_float(rank):g}")
    if name == "ranking" and _may_be_an_order(ranks):
        reader.say(_AN_ORDER)
    return read_prompt_beside(row, (), reader), responses, ranks


def _record_columns(
    row: Row, column: str, reader: RowReader
) -> tuple[Any, list[Any], list[Any]]:
    """Read prompt, responses and ranks of a row whose responses hold their ranks."""
    place = prompt_beside(row) or PromptColumns("prompt")
    records = [record_of(entry, "response") for entry in list_of(row[column], column)]
    texts = [{k: v for k, v in each.items() if k != "rank"} for each in records]
    responses = [response_cell(each, reader) for each in texts]
    ranks = [each.get("rank") for each in records]
    return read_prompt(row, place, reader), responses, ranks


def _may_be_an_order(ranks: list[Any]) -> bool:
    """Say whether numbers would mean another thing as places, from best to worst."""
    low = 0 if 0 in ranks else 1
    places = [*range(low, low + len(ranks))]
    if not all(isinstance(n, int) for n in ranks) or sorted(ranks) != places:
        return False
    return ranks != [ranks.index(n) + low for n in places]


def _ranked_roles(row: Row) -> dict[str, str]:
    roles = prompt_roles(row)
    records = _ranked_records(row)
    if records is not None and not row.keys() & {"ranks", "ranking"}:
        return roles | {records: "responses and ranks"}
    if "responses" not in row:
        return {"context": "prompt", "completions": "responses and ranks"}
    return roles | static_roles(responses="responses", ranks="ranks", ranking="ranks")(
        row
    )


def _nemo_columns(row: Row, reader: RowReader) -> tuple[Any, list[Any], list[Any]]:
    """Read prompt, responses and ranks of a row in the shape of NeMo-RL."""
    completions = [
        record_of(completion, "completion")
        for completion in list_of(row["completions"], "completions")
    ]
    responses = [
        response_cell(completion.get("completion"), reader)
        for completion in completions
    ]
    prompt = read_prompt(row, PromptColumns("context"), reader)
    return prompt, responses, [each.get("rank") for each in completions]


def _distinct(responses: list[Any], ranks: list[Any]) -> dict[Any, int]:
    """Join responses with their ranks, each response once."""
    ranked: dict[Any, int] = {}
    for response, value in zip(responses, ranks, strict=True):
        if not isinstance(response, str):
            raise DataError.of(
                expected="responses that are text",
                got=type(response).__name__,
                fix="write every response as a string",
                reason="response is not text",
            )
        rank = whole_number(value, "rank")
        if ranked.setdefault(response, rank) != rank:
            raise DataError.of(
                expected="one rank for each response",
                got="the same response with two ranks",
                fix="drop the row or fix its ranks",
                reason="identical responses with different ranks",
            )
    return ranked


RANKED = Format(
    name="ranked",
    columns="prompt, responses [list], ranks (or ranking) [list, lowest is best]; or "
    "responses [{text, rank}]",
    about="K responses and their ranks; NeMo-RL's context and completions",
    detect=_is_ranked,
    read=_read_ranked,
    roles=_ranked_roles,
    needs=(("prompt",), ("responses",), ("ranks", "ranking")),
)


def _is_nectar(row: Row) -> bool:
    return "prompt" in row and first_fields(row.get("answers")) >= {"answer", "rank"}


def _read_nectar(row: Row, reader: RowReader) -> None:
    """Read Nectar: answers with ranks, 1 the best, and a transcript as the prompt."""
    answers = [record_of(a, "answer") for a in list_of(row["answers"], "answers")]
    prompt = row["prompt"]
    if is_transcript(prompt):
        prompt = plain_if_single(transcript_turns(prompt))
    responses = [answer.get("answer") for answer in answers]
    keep_ranked(reader, prompt, responses, [a.get("rank") for a in answers], "answers")


NECTAR = Format(
    name="nectar",
    columns="prompt (a transcript), answers [{answer, rank (1 is best), model}]",
    about="Berkeley's Nectar",
    detect=_is_nectar,
    read=_read_nectar,
    roles=static_roles(prompt="prompt", answers="responses and ranks"),
)

_SCORES = ("scores", "ratings", "rating", "rewards", "correct", "is_correct")
_SCORE_OF_RECORD = ("score", "rating", "reward", "pm_score")


def _scored_columns(row: Row) -> tuple[str, str] | None:
    """Find a list of responses, and the list of their scores or of both together."""
    lists = next((name for name in RESPONSE_LISTS if is_list(row.get(name))), None)
    scores = next((name for name in _SCORES if is_list(row.get(name))), None)
    # Labels of completions are those of the steps of one solution.
    if scores is None and lists != "completions" and _are_labels(row.get("labels")):
        scores = "labels"
    if lists is not None and scores is None and _score_field(row[lists]):
        return lists, lists
    return None if lists is None or scores is None else (lists, scores)


def _are_labels(labels: Any) -> bool:
    """Say whether a list holds 1 and 0 alone, or true and false."""
    return is_list(labels) and all(label in (0, 1) for label in labels)


def _score_field(responses: Any) -> str | None:
    """Name the field with the score, where responses are records that have one."""
    fields = first_fields(responses)
    return next((name for name in _SCORE_OF_RECORD if name in fields), None)


def _is_scored(row: Row) -> bool:
    return _scored_columns(row) is not None and prompt_beside(row) is not None


def _scored_roles(row: Row) -> dict[str, str]:
    roles, columns = prompt_roles(row), _scored_columns(row)
    if columns is None:
        return roles
    if columns[0] == columns[1]:
        return roles | {columns[0]: "responses and scores"}
    return roles | dict(zip(columns, ("responses", "scores"), strict=True))


def _read_scored(row: Row, reader: RowReader) -> None:
    """Read K responses and a score for each; the higher is better unless told so.

    They become rated items: pairs are made of those with different scores.
    """
    columns = _scored_columns(row)
    if columns is None:
        raise KeyError("scores")
    prompt = read_prompt_beside(row, (), reader)
    responses = list_of(row[columns[0]], columns[0])
    scores = list_of(row[columns[1]], columns[1], len(responses))
    field = _score_field(responses)
    if columns[0] == columns[1] and field is not None:
        scores = [record_of(each, "response").get(field) for each in responses]
    sign = -1.0 if reader.options.lower_is_better else 1.0
    # Whether an answer is right is a score, too.
    cells = [float(score) if isinstance(score, bool) else score for score in scores]
    read = [sign * number(cell, "score") for cell in cells]
    check_rated(read)
    for place_in_list, (response, score) in enumerate(
        zip(responses, read, strict=True)
    ):
        if field is not None and isinstance(response, Mapping):
            response = {k: v for k, v in response.items() if k != field}  # noqa: PLW2901
        text = response_cell(response, reader)
        reader.item(prompt, text, origin=(columns[0], place_in_list), score=score)


SCORED = Format(
    name="scored",
    columns="prompt, responses (or candidates, generations, ...) [list], scores (or "
    "ratings; or correct, labels: 1 or 0) [list]; or responses [{text, score}]",
    about="K responses and a score for each; distilabel's generations and ratings; "
    "Gemini's preference tuning",
    detect=_is_scored,
    read=_read_scored,
    roles=_scored_roles,
    needs=(("prompt",), RESPONSE_LISTS, _SCORES),
)


def _is_alpaca_list(row: Row) -> bool:
    return "instruction" in row and _are_two_texts(row.get("output"))


def _are_two_texts(output: Any) -> bool:
    return is_list(output) and is_text_list(output) and len(output) == 2


def _read_alpaca_list(row: Row, reader: RowReader) -> None:
    """Read an instruction with a list of two outputs, of which the first is better."""
    if not _are_two_texts(row["output"]):
        wanted, fix = "a list of two texts in 'output'", "leave format= out"
        raise DataError.of(
            expected=wanted, got="others", fix=fix, reason="no two outputs"
        )
    place = prompt_beside(row) or PromptColumns("instruction")
    prompt = read_prompt(row, place, reader)
    first, second = (
        reader.item(prompt, text, origin=("output", n))
        for n, text in enumerate(row["output"])
    )
    reader.pair(first, second, **extras_of(row, *prompt_roles(row), "output"))


ALPACA_LIST = Format(
    name="alpaca-list",
    columns="instruction, input, output [better, worse]",
    about="LLaMA-Factory's Alpaca preference data of two outputs",
    detect=_is_alpaca_list,
    read=_read_alpaca_list,
    roles=static_roles(
        instruction="prompt",
        input="prompt, below it",
        system="system turn of the prompt",
        output="chosen and rejected",
        **PAIR_ROLES,
    ),
)
