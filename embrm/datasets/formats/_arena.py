"""Formats of arenas: two whole conversations, of which a person preferred one."""

from collections.abc import Mapping
from typing import Any

from embrm._typing import Message, Prompt
from embrm.datasets.formats._conversations import (
    is_conversation,
    messages_of,
    parsed_list,
    parsed_messages,
    plain_if_single,
)
from embrm.datasets.formats._fields import (
    check_rated,
    common_prefix_length,
    in_short,
    is_list,
    list_of,
    number,
    record_of,
)
from embrm.datasets.formats._texts import PromptColumns, read_prompt
from embrm.datasets.formats._two_responses import (
    keep_pair,
)
from embrm.datasets.formats._verdicts import (
    BOTH_BAD,
    FIRST,
    SECOND,
    TIE,
    Verdict,
    verdict,
)
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    has_columns,
    lacking,
    static_roles,
)
from embrm.exceptions import DataError, NoPreferenceError
from embrm.messages import response_text

_RESPONSES = ("response_a", "response_b")
_ONE_HOT = {"winner_model_a": FIRST, "winner_model_b": SECOND, "winner_tie": TIE}
_ARENA_WINNERS: Mapping[Any, Verdict] = {
    "model_a": FIRST,
    "model_b": SECOND,
    **dict.fromkeys(("tie", "both_good"), TIE),
    **dict.fromkeys(("tie (bothbad)", "both_bad", "bothbad"), BOTH_BAD),
}


def _read_arena_one_hot(row: Row, reader: RowReader) -> None:
    """Read Arena-55k: three columns of which one is 1, and turns written as JSON."""
    won = [name for name in _ONE_HOT if number(row.get(name), name) == 1]
    if len(won) != 1:
        raise NoPreferenceError.of(
            expected=f"a 1 in exactly one of {', '.join(_ONE_HOT)}",
            got=f"{len(won)} of them",
            fix="drop the row",
            reason="no one winner",
        )
    if parsed_list(row["prompt"]) is None:
        prompt: Any = read_prompt(row, PromptColumns("prompt"), reader)
        cells = {name: row[name] for name in _RESPONSES}
    else:
        sides = [rounds(row["prompt"], row[name], name) for name in _RESPONSES]
        if not all(sides):
            raise lacking("at least one turn", reason="missing response")
        prompt = plain_if_single(sides[0][:1])
        texts = (response_text(turns[1:]) for turns in sides)
        cells = dict(zip(_RESPONSES, texts, strict=True))
    y = _ONE_HOT[won[0]]
    tie = {"tie": "tie"} if y == TIE else {}
    keep_pair(row, reader, prompt, cells, y, tie, ("prompt", *cells, *_ONE_HOT))


ARENA_ONE_HOT = Format(
    name="arena-one-hot",
    columns="prompt, response_a, response_b (text, or turns as JSON), winner_model_a, "
    "winner_model_b, winner_tie (0 or 1)",
    about="LMSYS Chatbot Arena, 55k (Kaggle)",
    detect=has_columns("prompt", "response_a", "response_b", "winner_model_a"),
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


_CONVERSATIONS = (
    ("conversation_a", "conversation_b"),
    ("messages_a", "messages_b"),
    ("conv_a", "conv_b"),
)


def _sides(row: Row) -> tuple[str, str]:
    """Find the columns of the two conversations."""
    return next((s for s in _CONVERSATIONS if {*s} <= row.keys()), _CONVERSATIONS[0])


def _arena_roles(row: Row) -> dict[str, str]:
    one, other = _sides(row)
    return {one: "prompt and first", other: "prompt and second", "winner": "winner"}


def _read_arena(row: Row, reader: RowReader) -> None:
    """Read Arena's two conversations; later rounds belong to the response."""
    one, other = _sides(row)
    prompt, first, second = split_conversations(row[one], row[other], reader)
    y, tie = verdict(row["winner"], _ARENA_WINNERS, "winner", reader)
    cells = {one: first, other: second}
    keep_pair(row, reader, prompt, cells, y, tie, (*cells, "winner"))


ARENA = Format(
    name="arena",
    columns="conversation_a, conversation_b (messages), winner (model_a, model_b, tie, "
    "'tie (bothbad)', both_bad), model_a, model_b",
    about="Chatbot Arena and LMArena: 33k, 100k, 140k, search (messages_a, "
    "messages_b), WebDev; MT-Bench human judgments",
    detect=lambda row: row.keys() >= {*_sides(row), "winner"},
    read=_read_arena,
    roles=_arena_roles,
    says_winner=True,
)


def _read_unified(row: Row, reader: RowReader) -> None:
    """Read two conversations with a rating each; equal ratings are no preference."""
    names = ("conv_A", "conv_B")
    prompt, *answers = split_conversations(row["conv_A"], row["conv_B"], reader)
    scores = [number(row[f"{name}_rating"], f"{name}_rating") for name in names]
    check_rated(scores)
    for name, text, score in zip(names, answers, scores, strict=True):
        reader.item(prompt, text, origin=(name, None), score=score)


UNIFIED_FEEDBACK = Format(
    name="unified-feedback",
    columns="conv_A, conv_B (messages), conv_A_rating, conv_B_rating",
    about="LLM-Blender's Unified-Feedback",
    detect=has_columns("conv_A", "conv_B", "conv_A_rating", "conv_B_rating"),
    read=_read_unified,
    roles=static_roles(
        conv_A="prompt and first",
        conv_B="prompt and second",
        conv_A_rating="score of first",
        conv_B_rating="score of second",
    ),
)

_VOTES: Mapping[Any, Verdict] = {
    "leftvote": FIRST,
    "rightvote": SECOND,
    "tievote": TIE,
    "bothbad_vote": BOTH_BAD,
}


def _is_vote_log(row: Row) -> bool:
    voted = row.keys() >= {"type", "states", "models"} and is_list(row["states"])
    # A log holds chats, too, which are of one model.
    return voted or row.keys() >= {"tstamp", "type", "model", "state"}


def _read_vote_log(row: Row, reader: RowReader) -> None:
    """Read FastChat's log; lines that are no votes hold no preference."""
    if not isinstance(row["type"], str) or row["type"] not in _VOTES:
        raise NoPreferenceError.of(
            expected="a vote",
            got=in_short(row["type"]),
            fix="drop the line: it compares nothing",
            reason="no vote",
        )
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


def split_conversations(
    one: Any, other: Any, reader: RowReader
) -> tuple[Prompt, str, str]:
    """Split two whole conversations into the common prompt and two responses.

    Where a conversation has several rounds, the turns after the first answer, the
    user's included, belong to the response: they were judged as a whole.
    """
    a, b = (_turns(cell, reader) for cell in (one, other))
    n_shared = min(common_prefix_length(a, b), len(a) - 1, len(b) - 1)
    while n_shared > 0 and a[n_shared - 1]["role"] == "assistant":
        n_shared -= 1
    return (
        plain_if_single(a[:n_shared]),
        response_text(a[n_shared:]),
        response_text(b[n_shared:]),
    )


def _turns(cell: Any, reader: RowReader) -> list[Message]:
    turns = parsed_messages(cell) if isinstance(cell, str) else cell
    if not is_conversation(turns):
        raise DataError.of(
            expected="a conversation: a list of messages",
            got=in_short(cell),
            fix="drop the row, or write it as prompt, response_a, response_b, winner",
            reason="no conversation",
        )
    return messages_of(turns, reader)


def rounds(prompts: Any, answers: Any, column: str) -> list[Message]:
    """Join lists of questions and of answers, also written as JSON, into turns."""
    asked, given = parsed_list(prompts), parsed_list(answers)
    if asked is None or given is None:
        raise DataError.of(
            expected=f"lists of texts in prompt and {column}",
            got=in_short(prompts if asked is None else answers),
            fix="drop the row",
            reason="no list of turns",
        )
    turns = []
    for question, answer in zip(asked, given, strict=False):
        if not isinstance(question, str) or not isinstance(answer, str):
            raise DataError.of(
                expected=f"texts in the lists of prompt and {column}",
                got=in_short(answer),
                fix="drop the row: it lacks an answer",
                reason="missing response",
            )
        turns += [
            Message(role="user", content=question),
            Message(role="assistant", content=answer),
        ]
    return turns
