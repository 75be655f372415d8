"""Read conversations in all their spellings.

Messages with `role` and `content`, `from` and `value`, or `role` and `parts`; one
message; lists written as JSON in a string; transcripts marked "Human:" and
"Assistant:".
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from embrm._typing import Message, Prompt
from embrm.datasets.formats._fields import common_prefix_length, is_list
from embrm.datasets.formats.base import RowReader
from embrm.exceptions import DataError, InvalidInputError
from embrm.messages import as_messages

_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "bot", "chatgpt", "model", "assistant"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation"), "tool"),
    **dict.fromkeys(("function_response", "tool_response"), "tool"),
    "system": "system",
}

_HUMAN = "\n\nHuman:"

_ASSISTANT = "\n\nAssistant:"

_TURN = re.compile(r"\n\n(Human|Assistant):")

_BETWEEN = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|\}\s*\{""", re.DOTALL)
"""A text in quotes, which stays as it is, or the place between two entries."""

_FILES = ("inlineData", "inline_data", "fileData", "file_data")
"""Keys of a part that holds no text but an image or another file (Gemini)."""

_MOST_PYTHON = 500_000
"""Letters of a list in Python's form that are parsed, at 2 microseconds each."""

_UNREAD = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message that are texts, and no part of what was said."""

_WRITTEN_TURN = re.compile(r"\s*\[\s*\{\s*['\"](role|from|content|value)['\"]\s*:")

SPLIT_PROMPT_FIX = "drop the row, or write it as prompt, chosen and rejected"
_ANSWER_MARKS = (
    *("[/INST]", "<|im_start|>assistant", "<|assistant|>", "<start_of_turn>model"),
    *("<|start_header_id|>assistant<|end_header_id|>", "### Response:"),
    *("### Assistant:", "\nASSISTANT:", "<\uff5cAssistant\uff5c>"),
)
"""What chat templates write before an answer of the assistant."""

WRITTEN = "messages were written as JSON in text: they were parsed"


def messages_of(cell: Any, reader: RowReader) -> list[Message]:
    """Read messages, in either spelling of their keys.

    Raises
    ------
    DataError
        If a turn is malformed.
    """
    if not isinstance(cell, str) and not is_list(cell):
        raise DataError.of(
            expected="a list of messages",
            got=type(cell).__name__,
            fix="write [{'role': 'user', 'content': 'text'}, ...]",
            reason="malformed messages",
        )
    turns = cell
    if not isinstance(cell, str):
        turns = [turn for entry in cell for turn in _respelt(entry)]
        for name in _UNREAD:
            if any(isinstance(turn, Mapping) and turn.get(name) for turn in cell):
                reader.say(f"{name} of messages is not read")
    mark = reader.options.images == "mark"
    try:
        return list(as_messages(turns, mark_images=mark))
    except InvalidInputError as error:
        raise DataError(str(error), reason="malformed messages") from error


def is_conversation(value: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    """Say whether a cell holds messages, though perhaps malformed ones."""
    return (
        is_list(value)
        and len(value) > 0
        and all(isinstance(turn, Mapping) for turn in value)
    )


def parsed_messages(text: str) -> list[Any] | None:
    """Read messages that are written as JSON or Python in a string; None of a text.

    pandas writes lists into CSV as Python does, and arrays without commas.

    Examples
    --------
    >>> parsed_messages('[{"role": "user", "content": "Hi"}]')
    [{'role': 'user', 'content': 'Hi'}]
    >>> parsed_messages("[{'role': 'user', 'content': 'Hi'}]")
    [{'role': 'user', 'content': 'Hi'}]
    >>> parsed_messages('{"role": "assistant", "content": "Hi"}')
    [{'role': 'assistant', 'content': 'Hi'}]
    >>> parsed_messages("[1, 2]") is None
    True
    """
    if not text.lstrip().startswith(("[{", "[ {", "[\n", "{")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _parsed_python(text)
    if isinstance(value, dict):
        # An answer may be JSON: only what cannot be but a message is one.
        is_turn = value.keys() == {"role", "content"} and value["role"] in [*_ROLES]
        return [value] if is_turn else None
    spelt = {"role", "from"}
    if is_conversation(value) and all(spelt & turn.keys() for turn in value):
        return list(value)
    return None


def _parsed_python(text: str) -> Any:
    if len(text) > _MOST_PYTHON or not _WRITTEN_TURN.match(text):
        return None
    try:
        # Arrays are written without commas between their entries.
        return ast.literal_eval(
            _BETWEEN.sub(lambda found: found[1] or "}, {", text.strip())
        )
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def check_no_turns(text: str) -> None:
    """Refuse a text that begins as messages do, written in a form that is not read.

    Raises
    ------
    DataError
        If it does: it is no prompt and no response as it stands.
    """
    if _WRITTEN_TURN.match(text):
        raise DataError.of(
            expected="messages written as JSON, or a text",
            got="messages in another form, or cut off",
            fix="write lists by json.dumps before to_csv, or write .jsonl or .parquet",
            reason="malformed messages",
        )


def parsed_list(cell: Any) -> list[Any] | None:
    """Read a list, also one that is written as JSON in a string."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    return list(cell) if is_list(cell) else None


def is_transcript(text: Any) -> bool:
    r"""Say whether a text is an HH transcript; copies may lack its leading line ends.

    Examples
    --------
    >>> is_transcript("\n\nHuman: Hi\n\nAssistant: Hello!")
    True
    >>> is_transcript("Human: Hi\n\nAssistant: Hello!"), is_transcript("Human: Hi")
    (True, False)
    """
    if not isinstance(text, str):
        return False
    # By itself, a text that begins with "Human:" may be about anything.
    return text.startswith(_HUMAN) or (
        text.lstrip().startswith(_HUMAN.lstrip()) and _ASSISTANT in text
    )


def transcript_turns(transcript: str) -> list[Message]:
    r"""Split a transcript into its turns; an empty last one is left out.

    Examples
    --------
    >>> transcript_turns("\n\nHuman: Hi\n\nAssistant: ")
    [{'role': 'user', 'content': 'Hi'}]
    """
    _, *parts = _TURN.split(f"\n\n{transcript.lstrip()}")
    turns = [
        Message(role=_ROLES[speaker.lower()], content=text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    return turns[:-1] if turns and not turns[-1]["content"] else turns


def plain_if_single(turns: Sequence[Message]) -> Prompt:
    """Write a conversation of one user turn as its text."""
    single = len(turns) == 1 and turns[0]["role"] == "user"
    return turns[0]["content"] if single else list(turns)


def _respelt(turn: Any) -> list[Any]:
    """Give a turn spelt `from` and `value` the keys `role` and `content`.

    Of `{"human": ..., "assistant": ...}`, as ms-swift writes a round, there are two.
    """
    if not isinstance(turn, Mapping):
        return [turn]
    if turn.keys() == {"human", "assistant"}:
        roles = (("user", turn["human"]), ("assistant", turn["assistant"]))
        return [{"role": role, "content": text} for role, text in roles if text]
    role = turn.get("role", turn.get("from", turn.get("speaker")))
    known = _ROLES.get(role.lower(), role) if isinstance(role, str) else role
    if "content" not in turn and "value" not in turn and "text" in turn:
        return [{"role": known, "content": turn["text"]}]
    if "content" not in turn and is_list(turn.get("parts")):
        # As Gemini spells it, where the first turn may lack its role.
        turn = {"role": known or "user", "content": turn["parts"]}
        known = turn["role"]
    if "content" in turn or "value" not in turn:
        named = {**turn, "role": known} if "role" in turn else turn
        return [_with_plain_parts(named)]
    return [{"role": known, "content": turn["value"]}]


def _with_plain_parts(turn: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write parts of a content as others spell them: `value`, and calls of tools.

    LLaMA-Factory writes `{"type": "text", "value": ...}`; Anthropic and Gemini put
    calls of tools and what they answer among the parts.
    """
    parts = turn.get("content")
    if not is_list(parts) or all(isinstance(part, str) for part in parts):
        return turn
    calls: list[Any] = []
    texts: list[Any] = []
    n_answers = 0
    for part in parts:
        given = part if isinstance(part, Mapping) else {}
        call, answer = _tool_part(given)
        if call is not None:
            calls.append({"function": call})
        elif answer is not None:
            n_answers += 1
            texts += [answer] if isinstance(answer, str) else list(answer)
        elif isinstance(given.get("value"), str) and "text" not in given:
            texts.append(given["value"])
        elif any(name in given for name in _FILES):
            texts.append({"type": "image"})
        else:
            texts.append(part)
    called = {"tool_calls": calls} if calls else {}
    role = {"role": "tool"} if parts and n_answers == len(parts) else {}
    return {**turn, **role, "content": texts or None if calls else texts, **called}


def _tool_part(part: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Any]:
    """Find in a part the call of a tool, or what one answered."""
    if part.get("type") == "tool_use":
        return {"name": part.get("name"), "arguments": part.get("input")}, None
    if part.get("type") == "tool_result":
        return None, part.get("content") or ()
    for name in ("functionCall", "function_call"):
        if isinstance(part.get(name), Mapping):
            call = part[name]
            return {"name": call.get("name"), "arguments": call.get("args", {})}, None
    for name in ("functionResponse", "function_response"):
        if isinstance(part.get(name), Mapping):
            answer = part[name].get("response")
            return None, json.dumps(answer, ensure_ascii=False, default=str)
    return None, None


def split_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Cut two texts where they part, at the beginning of a word.

    Where one text is the beginning of the other, the word before goes to the
    responses, so that neither is empty. What a chat template writes before an answer
    ends the prompt, wherever the answers part.
    """
    shared = chosen[: common_prefix_length(chosen, rejected)]
    begun = [at + len(m) for m in _ANSWER_MARKS if (at := shared.rfind(m)) >= 0]
    if begun:
        cut = max(begun)
        return shared[:cut], chosen[cut:].lstrip(), rejected[cut:].lstrip()
    if not (chosen[len(shared) :].strip() and rejected[len(shared) :].strip()):
        shared = shared.rstrip()
    cut = max((at + 1 for at, sign in enumerate(shared) if sign.isspace()), default=0)
    if not shared[:cut].strip():
        raise DataError.of(
            expected="chosen and rejected that begin with the same prompt",
            got="two texts without a common beginning",
            fix=SPLIT_PROMPT_FIX,
            reason="no common prompt",
        )
    return shared[:cut].rstrip(), chosen[cut:], rejected[cut:]
