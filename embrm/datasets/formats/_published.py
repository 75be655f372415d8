"""Published data of two responses and a winner, one declaration each.

To add a format, copy one: where its columns are, and what each value of the winner's
column means. `find_format` and the documentation find it in `PUBLISHED`.
"""

import math
from itertools import product

from embrm.datasets.formats._annotations import ARGILLA, LABEL_STUDIO, LABEL_STUDIO_FLAT
from embrm.datasets.formats._arena import (
    ARENA,
    ARENA_ONE_HOT,
    UNIFIED_FEEDBACK,
    VOTE_LOG,
)
from embrm.datasets.formats._fields import (
    check_rated,
    extras_of,
    list_of,
    number,
    record_of,
    texts_among,
)
from embrm.datasets.formats._labelled import good_or_bad
from embrm.datasets.formats._texts import (
    PromptColumns,
    prompt_columns,
    read_prompt,
)
from embrm.datasets.formats._two_responses import (
    keep_pair,
    two_responses,
)
from embrm.datasets.formats._verdicts import (
    FIRST,
    FROM_ONE,
    FROM_ZERO,
    LETTERS,
    SECOND,
    TIE,
)
from embrm.datasets.formats._votes import MULTIPREF, PANDALM
from embrm.datasets.formats.base import (
    PAIR_ROLES,
    Format,
    Row,
    RowReader,
    has_columns,
    lacking,
    static_roles,
)

PKU_SAFERLHF = two_responses(
    "pku-saferlhf",
    about="PKU-SafeRLHF; columns={'winner': 'safer_response_id'} for the safer one",
    first="response_0",
    second="response_1",
    winner="better_response_id",
    values=FROM_ZERO,
    columns="prompt, response_0, response_1, better_response_id (0 or 1), "
    "safer_response_id",
)
SHP = two_responses(
    "shp",
    about="Stanford Human Preferences; columns={'weight': 'score_ratio'} weighs pairs",
    prompt="history",
    first="human_ref_A",
    second="human_ref_B",
    winner="labels",
    values={1: FIRST, 0: SECOND},
    columns="history, human_ref_A, human_ref_B, labels (1: A), score_ratio",
)
SUMMARIZE = two_responses(
    "summarize-from-feedback",
    about="OpenAI's summaries, comparisons",
    prompt="info.post",
    first="summaries.0",
    second="summaries.1",
    winner="choice",
    values=FROM_ZERO,
    columns="info {post, title, ...}, summaries [two], choice (0 or 1), worker",
)
PREFERENCE_COLLECTION = two_responses(
    "preference-collection",
    about="Prometheus 2's Preference Collection",
    prompt="orig_instruction",
    first="orig_response_A",
    second="orig_response_B",
    winner="orig_preference",
    values=LETTERS,
)
AUTO_J = two_responses(
    "auto-j",
    about="Auto-J's test set",
    first="response 1",
    second="response 2",
    winner="label",
    values={0: FIRST, 1: SECOND, 2: TIE},
    columns="scenario, prompt, response 1, response 2, label (0: the first, 1, 2: tie)",
)
OFFSET_BIAS = two_responses(
    "offset-bias",
    about="OffsetBias",
    prompt="instruction",
    first="output_1",
    second="output_2",
    winner="label",
    values=FROM_ONE,
    columns="instruction, output_1, output_2, label (1 or 2)",
)
REWARDMATH_PAIRS = two_responses(
    "rewardmath-pairs",
    about="RewardMATH, two solutions in steps",
    prompt="problem",
    first="eval_solution_A",
    second="eval_solution_B",
    winner="chosen_position",
    values=LETTERS,
)


def _read_webgpt(row: Row, reader: RowReader) -> None:
    """Read WebGPT comparisons: the answer with the higher score won, equal ones tie."""
    scores = [number(row[name], name) for name in ("score_0", "score_1")]
    if any(math.isnan(score) for score in scores):
        raise lacking("a number as score_0 and score_1", reason="missing score")
    y = (math.copysign(1, scores[0] - scores[1]) + 1) / 2
    y = TIE if scores[0] == scores[1] else y
    question = row["question"]
    prompt = question.get("full_text") if isinstance(question, dict) else question
    cells = {name: row[name] for name in ("answer_0", "answer_1")}
    keep_pair(row, reader, prompt, cells, y, {}, ("question", *cells))


WEBGPT = Format(
    name="webgpt",
    columns="question {full_text}, answer_0, answer_1, score_0, score_1",
    about="OpenAI's WebGPT comparisons",
    detect=has_columns("question", "answer_0", "answer_1", "score_0", "score_1"),
    read=_read_webgpt,
    roles=static_roles(
        question="prompt",
        answer_0="first",
        answer_1="second",
        score_0="score: the higher wins",
        score_1="score: the higher wins",
    ),
    says_winner=True,
)


def _read_alpaca_eval(row: Row, reader: RowReader) -> None:
    """Read AlpacaEval's annotations: 1 prefers output_1, 2 output_2, 1.5 neither.

    Fractions between are probabilities: y = 2 - preference.
    """
    preference = number(row["preference"], "preference", low=1, high=2)
    if math.isnan(preference):
        raise lacking("a preference from 1 to 2", reason="missing winner")
    place = prompt_columns(tuple(row)) or PromptColumns("instruction")
    prompt = read_prompt(row, place, reader)
    cells = {name: row[name] for name in ("output_1", "output_2")}
    used = (*place.roles(), *cells, "preference")
    keep_pair(row, reader, prompt, cells, 2 - preference, {}, used)


ALPACA_EVAL = Format(
    name="alpaca-eval",
    columns="instruction, output_1, output_2, preference (1, 2, 1.5 or between)",
    about="AlpacaEval's and AlpacaFarm's annotations",
    detect=has_columns("instruction", "output_1", "output_2", "preference"),
    read=_read_alpaca_eval,
    roles=static_roles(
        instruction="prompt",
        input="prompt, below it",
        output_1="first",
        output_2="second",
        preference="winner",
    ),
    says_winner=True,
)


def _read_helpsteer_3_individual(row: Row, reader: RowReader) -> None:
    """Read HelpSteer3 with each annotator's preference as a pair of its own.

    A negative score prefers response 1. Annotators have no names: they are numbered
    within the row.
    """
    prompt = read_prompt(row, PromptColumns("context"), reader)
    first, second = reader.items_of(prompt, row, "response1", "response2")
    for n, entry in enumerate(list_of(row["individual_preference"], "preferences")):
        strength = number(record_of(entry, "preference").get("score"), "score")
        if math.isnan(strength):
            continue
        y = TIE if strength == 0 else float(strength < 0)
        reader.pair(
            first,
            second,
            y,
            strength=abs(int(strength)),
            annotator=f"annotator {n + 1}",
            **texts_among(row, "domain", "language"),
        )


HELPSTEER_3_INDIVIDUAL = Format(
    name="helpsteer3-individual",
    columns="context, response1, response2, individual_preference [{score}]",
    about="HelpSteer3, each annotator by itself; on request, with format=",
    # Read on request: the overall preference is there as well.
    detect=lambda _: False,
    read=_read_helpsteer_3_individual,
    roles=static_roles(
        context="prompt",
        response1="first",
        response2="second",
        individual_preference="winner, by annotator",
    ),
    says_winner=True,
)


def _read_rmb_best_of_n(row: Row, reader: RowReader) -> None:
    """Read RMB's best-of-n: the best answer against each of the others."""
    prompt = read_prompt(row, PromptColumns("conversation_input"), reader)
    best = record_of(row["bon_best"], "bon_best")
    columns = extras_of(row, "conversation_input", "bon_best", "loser_list")
    first = reader.item(prompt, best.get("answer"), origin=("bon_best", None))
    for n, loser in enumerate(list_of(row["loser_list"], "loser_list")):
        answer = record_of(loser, "loser").get("answer")
        second = reader.item(prompt, answer, origin=("loser_list", n))
        reader.pair(first, second, **columns)


RMB_BEST_OF_N = Format(
    name="rmb-best-of-n",
    columns="conversation_input, bon_best {answer}, loser_list [{answer}]",
    about="RMB, best-of-n set (its pairwise set is read as pairs)",
    detect=has_columns("conversation_input", "bon_best", "loser_list"),
    read=_read_rmb_best_of_n,
    roles=static_roles(
        conversation_input="prompt",
        bon_best="chosen",
        loser_list="rejected",
        **PAIR_ROLES,
    ),
)


def _is_hhh(row: Row) -> bool:
    targets = row.get("targets")
    return "input" in row and isinstance(targets, dict) and "choices" in targets


def _read_hhh(row: Row, reader: RowReader) -> None:
    """Read HHH alignment: each choice labelled 1 against each labelled 0."""
    targets = record_of(row["targets"], "targets")
    choices = list_of(targets.get("choices"), "choices")
    labels = list_of(targets.get("labels"), "labels", len(choices))
    numbers: dict[bool, list[int]] = {True: [], False: []}
    for n, (choice, label) in enumerate(zip(choices, labels, strict=True)):
        item = reader.item(row["input"], choice, origin=("targets", n))
        numbers[good_or_bad(label, "labels")].append(item)
    for good, bad in product(numbers[True], numbers[False]):
        reader.pair(good, bad, 1.0)


HHH = Format(
    name="hhh-alignment",
    columns="input, targets {choices [list], labels [1 or 0]}",
    about="BIG-bench's HHH alignment, as on the hub",
    detect=_is_hhh,
    read=_read_hhh,
    roles=static_roles(input="prompt", targets="responses and labels"),
)


def _read_feedback_collection(row: Row, reader: RowReader) -> None:
    """Read Prometheus' graded responses; `instruction` is the whole task of a judge."""
    score = number(row["orig_score"], "orig_score")
    check_rated([score])
    reader.item(
        row["orig_instruction"],
        row["orig_response"],
        origin=("orig_response", None),
        score=score,
        **texts_among(row, "orig_criteria"),
    )


FEEDBACK_COLLECTION = Format(
    name="feedback-collection",
    columns="orig_instruction, orig_response, orig_score (1 to 5), orig_criteria",
    about="Prometheus' Feedback Collection and Feedback Bench",
    detect=has_columns("orig_instruction", "orig_response", "orig_score"),
    read=_read_feedback_collection,
    roles=static_roles(
        orig_instruction="prompt", orig_response="response", orig_score="rating"
    ),
    texts=("orig_instruction", "orig_response"),
)


PUBLISHED = (
    ARENA_ONE_HOT,
    ARENA,
    UNIFIED_FEEDBACK,
    VOTE_LOG,
    PKU_SAFERLHF,
    SHP,
    SUMMARIZE,
    WEBGPT,
    ALPACA_EVAL,
    LABEL_STUDIO,
    LABEL_STUDIO_FLAT,
    ARGILLA,
    PREFERENCE_COLLECTION,
    AUTO_J,
    OFFSET_BIAS,
    PANDALM,
    MULTIPREF,
    REWARDMATH_PAIRS,
    RMB_BEST_OF_N,
    HHH,
    FEEDBACK_COLLECTION,
    HELPSTEER_3_INDIVIDUAL,
)
