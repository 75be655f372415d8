"""Published data of two responses and a winner, one declaration each.

To add a format, copy one: where its columns are, and what each value of the winner's
column means. `find_format` and the documentation find it in `PUBLISHED`.
"""

import math
from collections.abc import Mapping
from typing import Any

from embrm.datasets.formats._fields import (
    extras_of,
    first_fields,
    is_list,
    list_of,
    number,
    record_of,
    texts_among,
)
from embrm.datasets.formats._texts import (
    PromptColumns,
    parsed_list,
    plain_if_single,
    prompt_columns,
    read_prompt,
)
from embrm.datasets.formats._two_responses import (
    BOTH_BAD,
    FIRST,
    FROM_ZERO,
    LETTERS,
    SECOND,
    TIE,
    Verdict,
    keep_pair,
    rounds,
    split_conversations,
    two_responses,
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
from embrm.messages import response_text

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
LABEL_STUDIO_FLAT = two_responses(
    "label-studio-min",
    about="Label Studio's pairwise labels, exported as JSON_MIN or CSV",
    first="answer1",
    second="answer2",
    winner="pairwise",
    values=LETTERS,
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

_ONE_HOT = {
    "winner_model_a": FIRST,
    "winner_model_b": SECOND,
    "winner_tie": TIE,
}
_ARENA_WINNERS: Mapping[Any, Verdict] = {
    "model_a": FIRST,
    "model_b": SECOND,
    **dict.fromkeys(("tie", "both_good"), TIE),
    **dict.fromkeys(("tie (bothbad)", "both_bad", "bothbad"), BOTH_BAD),
}


def _is_arena_one_hot(row: Row) -> bool:
    return row.keys() >= {"prompt", "response_a", "response_b", "winner_model_a"}


def _read_arena_one_hot(row: Row, reader: RowReader) -> None:
    """Read Arena-55k: three columns of which one is 1, and turns written as JSON."""
    won = [name for name in _ONE_HOT if number(row.get(name), name) == 1]
    if len(won) != 1:
        raise refusal(
            expected=f"a 1 in exactly one of {', '.join(_ONE_HOT)}",
            got=f"{len(won)} of them",
            fix="drop the row",
            reason="no one winner",
            kind=NoPreferenceError,
        )
    if parsed_list(row["prompt"]) is None:
        prompt: Any = read_prompt(row, PromptColumns("prompt"), reader)
        first, second = row["response_a"], row["response_b"]
    else:
        sides = [rounds(row["prompt"], row[n], n) for n in ("response_a", "response_b")]
        if not all(sides):
            raise refusal(
                expected="at least one turn",
                got="none",
                fix="drop the row",
                reason="missing response",
                kind=NoPreferenceError,
            )
        prompt = plain_if_single(sides[0][:1])
        first, second = (response_text(turns[1:]) for turns in sides)
    y = _ONE_HOT[won[0]]
    tie = {"tie": "tie"} if y == TIE else {}
    used = {"prompt", "response_a", "response_b", *_ONE_HOT}
    keep_pair(
        row, reader, prompt, (first, second), ("response_a", "response_b"), y, tie, used
    )


ARENA_ONE_HOT = Format(
    name="arena-one-hot",
    columns="prompt, response_a, response_b (text, or turns as JSON), winner_model_a, "
    "winner_model_b, winner_tie (0 or 1)",
    about="LMSYS Chatbot Arena, 55k (Kaggle)",
    detect=_is_arena_one_hot,
    read=_read_arena_one_hot,
    roles=static_roles(
        prompt="prompt",
        response_a="first",
        response_b="second",
        winner_model_a="winner",
        winner_model_b="winner",
        winner_tie="winner",
    ),
    says_winner=True,
)


def _is_arena(row: Row) -> bool:
    return row.keys() >= {"conversation_a", "conversation_b", "winner"}


def _read_arena(row: Row, reader: RowReader) -> None:
    """Read Arena's two conversations; later rounds belong to the response."""
    prompt, first, second = split_conversations(
        row["conversation_a"], row["conversation_b"], reader
    )
    y, tie = verdict(row["winner"], _ARENA_WINNERS, "winner", reader)
    names = ("conversation_a", "conversation_b")
    keep_pair(row, reader, prompt, (first, second), names, y, tie, {*names, "winner"})


ARENA = Format(
    name="arena",
    columns="conversation_a, conversation_b (messages), winner (model_a, model_b, tie, "
    "'tie (bothbad)', both_bad), model_a, model_b",
    about="Chatbot Arena and LMArena: 33k, 100k, 140k; MT-Bench human judgments",
    detect=_is_arena,
    read=_read_arena,
    roles=static_roles(
        conversation_a="prompt and first",
        conversation_b="prompt and second",
        winner="winner",
    ),
    says_winner=True,
)

_VOTES: Mapping[Any, Verdict] = {
    "leftvote": FIRST,
    "rightvote": SECOND,
    "tievote": TIE,
    "bothbad_vote": BOTH_BAD,
}


def _is_vote_log(row: Row) -> bool:
    return row.keys() >= {"type", "states", "models"} and is_list(row["states"])


def _read_vote_log(row: Row, reader: RowReader) -> None:
    """Read FastChat's log; lines that are no votes hold no preference."""
    y, tie = verdict(row["type"], _VOTES, "type", reader)
    states = [record_of(s, "states") for s in list_of(row["states"], "states", 2)]
    sides = []
    for state in states:
        turns = list_of(state.get("messages"), "messages")[
            int(state.get("offset", 0)) :
        ]
        names = list_of(state.get("roles", ["USER", "ASSISTANT"]), "roles", 2)
        sides.append(
            [
                {"role": "user" if who == names[0] else "assistant", "content": text}
                for who, text in turns
                if text is not None
            ]
        )
    prompt, first, second = split_conversations(sides[0], sides[1], reader)
    models = parsed_list(row["models"]) or ["", ""]
    reader.pair(
        reader.item(prompt, first, origin=("states", 0)),
        reader.item(prompt, second, origin=("states", 1)),
        y,
        **tie,
        model_a=str(models[0]),
        model_b=str(models[-1]),
    )


VOTE_LOG = Format(
    name="fastchat-votes",
    columns="type (leftvote, rightvote, tievote, bothbad_vote), states [two], models",
    about="FastChat's log of an arena",
    detect=_is_vote_log,
    read=_read_vote_log,
    roles=static_roles(
        states="prompt, first and second", type="winner", models="models"
    ),
    says_winner=True,
)


def _is_webgpt(row: Row) -> bool:
    return row.keys() >= {"question", "answer_0", "answer_1", "score_0", "score_1"}


def _read_webgpt(row: Row, reader: RowReader) -> None:
    """Read WebGPT comparisons: the answer with the higher score won, equal ones tie."""
    scores = [number(row[name], name) for name in ("score_0", "score_1")]
    if any(math.isnan(score) for score in scores):
        raise refusal(
            expected="a number as score_0 and score_1",
            got="none",
            fix="drop the row",
            reason="missing score",
            kind=NoPreferenceError,
        )
    y = (math.copysign(1, scores[0] - scores[1]) + 1) / 2
    y = TIE if scores[0] == scores[1] else y
    question = row["question"]
    prompt = question.get("full_text") if isinstance(question, dict) else question
    used = {"question", "answer_0", "answer_1"}
    names = ("answer_0", "answer_1")
    cells = (row["answer_0"], row["answer_1"])
    keep_pair(row, reader, prompt, cells, names, y, {}, used)


WEBGPT = Format(
    name="webgpt",
    columns="question {full_text}, answer_0, answer_1, score_0, score_1",
    about="OpenAI's WebGPT comparisons",
    detect=_is_webgpt,
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


def _is_alpaca_eval(row: Row) -> bool:
    return row.keys() >= {"instruction", "output_1", "output_2", "preference"}


def _read_alpaca_eval(row: Row, reader: RowReader) -> None:
    """Read AlpacaEval's annotations: 1 prefers output_1, 2 output_2, 1.5 neither.

    Fractions between are probabilities: y = 2 - preference.
    """
    preference = number(row["preference"], "preference", low=1, high=2)
    if math.isnan(preference):
        raise refusal(
            expected="a preference from 1 to 2",
            got="none",
            fix="drop the row",
            reason="missing winner",
            kind=NoPreferenceError,
        )
    place = prompt_columns(tuple(row)) or PromptColumns("instruction")
    prompt = read_prompt(row, place, reader)
    names = ("output_1", "output_2")
    cells = (row["output_1"], row["output_2"])
    used = {*place.roles(), *names, "preference"}
    keep_pair(row, reader, prompt, cells, names, 2 - preference, {}, used)


ALPACA_EVAL = Format(
    name="alpaca-eval",
    columns="instruction, output_1, output_2, preference (1, 2, 1.5 or between)",
    about="AlpacaEval's and AlpacaFarm's annotations",
    detect=_is_alpaca_eval,
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
            str(entry["value"]): float(entry["rank"])
            for entry in value
            if isinstance(entry, dict) and entry.keys() >= {"rank", "value"}
        }
        for name in ranks:
            if name in fields and name not in numbers:
                numbers[name] = reader.item(prompt, fields[name], origin=(name, None))
        ranked = [(name, rank) for name, rank in ranks.items() if name in numbers]
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
    says_winner=True,
)


def _is_helpsteer_3_individual(_: Row) -> bool:
    return False  # Read on request: the overall preference is there as well.


def _read_helpsteer_3_individual(row: Row, reader: RowReader) -> None:
    """Read HelpSteer3 with each annotator's preference as a pair of its own.

    A negative score prefers response 1. Annotators have no names: they are numbered
    within the row.
    """
    prompt = read_prompt(row, PromptColumns("context"), reader)
    first, second = (
        reader.item(prompt, row[name], origin=(name, None))
        for name in ("response1", "response2")
    )
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
    detect=_is_helpsteer_3_individual,
    read=_read_helpsteer_3_individual,
    roles=static_roles(
        context="prompt",
        response1="first",
        response2="second",
        individual_preference="winner, by annotator",
    ),
    says_winner=True,
)


def _is_rmb_best_of_n(row: Row) -> bool:
    return row.keys() >= {"conversation_input", "bon_best", "loser_list"}


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
    detect=_is_rmb_best_of_n,
    read=_read_rmb_best_of_n,
    roles=static_roles(
        conversation_input="prompt", bon_best="chosen", loser_list="rejected"
    ),
)


PUBLISHED = (
    ARENA_ONE_HOT,
    ARENA,
    VOTE_LOG,
    PKU_SAFERLHF,
    SHP,
    SUMMARIZE,
    WEBGPT,
    ALPACA_EVAL,
    LABEL_STUDIO,
    LABEL_STUDIO_FLAT,
    ARGILLA,
    REWARDMATH_PAIRS,
    RMB_BEST_OF_N,
    HELPSTEER_3_INDIVIDUAL,
)
