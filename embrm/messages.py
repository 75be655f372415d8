"""Prompts as text or as conversations, in one canonical form.

A prompt is a `str` (one user turn) or a sequence of messages
`{"role": ..., "content": ...}`. Both spellings of a single user turn are the same
prompt: they have the same canonical JSON, hence the same cache key and group.

The messages of agents are read as trainers write them: `content` may be null beside
`tool_calls`, or a list of parts of which the texts are joined; `name` and
`tool_call_id` go along. The tools that may be called are kept at the first message.
Chat templates get such messages as they are, and the tools; in plain text a call is
written `name(arguments)`, and the definitions of tools are not written.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from embrm._typing import Message, Prompt
from embrm.exceptions import InvalidInputError, invalid_input

IMAGE_MARK = "[image]"
"""What stands in a text for an image that was left out on request."""

# Made once: json.dumps makes an encoder for each call, which takes most of its time.
_write = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True
).encode

_CARRIED = ("tool_calls", "name", "tool_call_id", "tools")


def as_messages(prompt: Prompt, *, mark_images: bool = False) -> tuple[Message, ...]:
    """Turn a prompt into messages.

    Parameters
    ----------
    prompt : str or sequence of messages
        A `str` is one user turn; the empty string is the empty conversation.
    mark_images : bool, default=False
        Write `[image]` for each part that is an image, instead of refusing it.

    Returns
    -------
    tuple of Message
        Each with `role` and `content` (str); with `tool_calls`, `name` and
        `tool_call_id` where tools are called or answer, with `tools` where they are
        defined.

    Raises
    ------
    InvalidInputError
        If the prompt is of another type, a message lacks a string `role` or any
        `content`, or a part of it is no text.

    Examples
    --------
    >>> as_messages("Hi")
    ({'role': 'user', 'content': 'Hi'},)
    >>> as_messages([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
    ({'role': 'user', 'content': 'Hi'},)
    """
    if isinstance(prompt, str):
        return (Message(role="user", content=prompt),) if prompt else ()
    # Arrow and pandas hand lists over as arrays; a mapping or scalar is a mistake.
    if isinstance(prompt, Mapping | bytes) or not hasattr(prompt, "__iter__"):
        raise invalid_input(
            expected="a prompt that is a str or a list of messages",
            got=type(prompt).__name__,
            fix="pass the text, or [{'role': 'user', 'content': ...}, ...]",
        )
    return tuple(
        _as_message(message, n, mark_images) for n, message in enumerate(prompt)
    )


def with_tools(prompt: Prompt, tools: Iterable[Any]) -> list[Message]:
    """Put the definitions of tools beside a prompt, at its first message.

    Examples
    --------
    >>> with_tools("Hi", [{"name": "weather"}])
    [{'role': 'user', 'content': 'Hi', 'tools': [{'name': 'weather'}]}]
    """
    first, *rest = as_messages(prompt) or (Message(role="user", content=""),)
    return [Message(**{**first, "tools": _plain(tools)}), *rest]


def without_tools(turns: Iterable[Message]) -> tuple[list[Message], list[Any]]:
    """Take messages and the definitions of tools apart, as chat templates want them."""
    tools: list[Any] = []
    plain = []
    for turn in turns:
        tools += turn.get("tools", ())
        kept = {key: value for key, value in turn.items() if key != "tools"}
        plain.append(Message(**kept))  # type: ignore[typeddict-item]
    return plain, tools


def canonical_json(prompt: Prompt) -> str:
    """Write a prompt as the JSON that identifies it (groups, cache keys).

    Examples
    --------
    >>> canonical_json("Hi") == canonical_json([{"role": "user", "content": "Hi"}])
    True
    """
    turns: list[list[Any]] = []
    for message in as_messages(prompt):
        turn: list[Any] = [message["role"], message["content"]]
        extra = {key: message[key] for key in _CARRIED if key in message}  # type: ignore[literal-required]
        turns.append([*turn, extra] if extra else turn)
    return _write(turns)


def normalised_prompt(prompt: Prompt) -> Prompt:
    r"""Write a prompt so that spellings which look alike are equal.

    Text is composed (Unicode NFC) and white space around it is cut off, in each turn.
    Prompts are grouped by this form, so that a blank at the end does not put a prompt
    on both sides of a split.

    Examples
    --------
    >>> normalised_prompt(" Why?\n")
    'Why?'
    """
    if isinstance(prompt, str):
        return _composed(prompt)
    return [
        Message(**{**turn, "content": _composed(turn["content"])})
        for turn in as_messages(prompt)
    ]


def prompt_key(prompt: Prompt) -> str:
    r"""Write what groups prompts: equal for spellings that look alike, cheap for text.

    Examples
    --------
    >>> prompt_key("Hi ") == prompt_key([{"role": "user", "content": "Hi"}])
    True
    """
    if isinstance(prompt, str):
        return _composed(prompt)
    turns = as_messages(prompt)
    if all(len(turn) == 2 for turn in turns):
        return plain_turns_key(turns)
    return "\0" + canonical_json(normalised_prompt(turns))


def plain_turns_key(turns: Sequence[Message]) -> str:
    """Write the key of turns that have a role and a text, and nothing else."""
    if len(turns) == 1 and turns[0]["role"] == "user":
        return _composed(turns[0]["content"])
    written = [[turn["role"], _composed(turn["content"])] for turn in turns]
    return "\0" + _write(written)


def prompt_text(prompt: Prompt) -> str:
    r"""Read a prompt as plain text: one user turn verbatim, else labelled turns.

    Examples
    --------
    >>> prompt_text("Hi")
    'Hi'
    >>> prompt_text(
    ...     [
    ...         {"role": "user", "content": "Hi"},
    ...         {"role": "assistant", "content": "Yes?"},
    ...         {"role": "user", "content": "Why?"},
    ...     ]
    ... )
    'User: Hi\n\nAssistant: Yes?\n\nUser: Why?'
    """
    messages = as_messages(prompt)
    if len(messages) == 1 and messages[0]["role"] == "user":
        return message_text(messages[0])
    return "\n\n".join(f"{m['role'].capitalize()}: {message_text(m)}" for m in messages)


def message_text(message: Message) -> str:
    r"""Read one message as plain text: its content, then the tools it calls.

    Examples
    --------
    >>> call = {"function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    >>> message_text({"role": "assistant", "content": "", "tool_calls": [call]})
    'weather({"city": "Rome"})'
    """
    calls = [_call_text(call) for call in message.get("tool_calls", ())]
    return "\n".join([message["content"], *calls] if message["content"] else calls)


def response_text(response: Any, *, mark_images: bool = False) -> str:
    r"""Read a response as the text that is embedded.

    Parameters
    ----------
    response : str, message or sequence of messages
        The assistant's first turn stands without a label; turns after it (a tool's
        answer, the assistant's next) are labelled as in `prompt_text`.
    mark_images : bool, default=False
        As in `as_messages`.

    Raises
    ------
    InvalidInputError
        If it is anything else, or does not begin with a turn of the assistant.

    Examples
    --------
    >>> response_text([{"role": "assistant", "content": "Blue."}])
    'Blue.'
    """
    if isinstance(response, str):
        return response
    if isinstance(response, Mapping):
        response = [response]
    turns = as_messages(response, mark_images=mark_images)
    if not turns or turns[0]["role"] != "assistant":
        raise invalid_input(
            expected="a response that begins with a turn of the assistant",
            got=f"a first turn of {turns[0]['role'][:40]!r}" if turns else "none",
            fix="move the turns before the answer into the prompt",
        )
    later = [f"{turn['role'].capitalize()}: {message_text(turn)}" for turn in turns[1:]]
    return "\n\n".join([message_text(turns[0]), *later])


def is_unicode(text: str) -> bool:
    r"""Say whether a text is valid Unicode: no half of a surrogate pair.

    Examples
    --------
    >>> is_unicode("\u00f6"), is_unicode("\ud800")
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _composed(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def _as_message(message: Any, position: int, mark_images: bool) -> Message:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(role, str):
        raise _malformed(message, position)
    calls, tools = _entries(message, "tool_calls"), _entries(message, "tools")
    if isinstance(message.get("function_call"), Mapping):
        # How OpenAI spelt the only call, before there could be several.
        calls.append({"function": message["function_call"]})
    content = _content(message, position, bool(calls), mark_images)
    turn = Message(role=role, content=content)
    if calls:
        turn["tool_calls"] = [_plain(call) for call in calls]
    if tools:
        turn["tools"] = [_plain(tool) for tool in tools]
    if role == "tool":
        for key in ("name", "tool_call_id"):
            if isinstance(message.get(key), str):
                turn[key] = message[key]
    return turn


def _entries(message: Mapping[str, Any], key: str) -> list[Any]:
    """List what a message holds; frames turn a list into an array."""
    value = message.get(key)
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return []
    return list(value)


def _content(message: Any, position: int, calls: bool, mark_images: bool) -> str:
    content = message.get("content")
    if content is None and isinstance(message.get("refusal"), str):
        content = message["refusal"]
    if isinstance(content, str):
        return content
    if content is None and calls:
        return ""
    if content is None or isinstance(content, Mapping | bytes | float | int):
        raise _malformed(message, position)
    return "\n".join(_part(part, position, mark_images) for part in content)


def _part(part: Any, position: int, mark_images: bool) -> str:
    """Read one part of a content: its text, or the mark of an image."""
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, Mapping) else None
    if isinstance(text, str):
        return text
    kind = str(part.get("type", "unknown")) if isinstance(part, Mapping) else ""
    if mark_images and "image" in kind:
        return IMAGE_MARK
    raise invalid_input(
        expected="parts of a message that are text",
        got=f"a part of type {kind[:30]!r}"
        if kind
        else f"a {type(part).__name__} at message {position}",
        fix="drop such rows, or read with images='mark', which writes "
        f"{IMAGE_MARK} in its place: embrm embeds text alone"
        if "image" in kind
        else "write each part as {'type': 'text', 'text': ...}",
    )


def _malformed(message: Any, position: int) -> InvalidInputError:
    got = (
        f"keys {sorted(map(str, message))}"
        if isinstance(message, Mapping)
        else type(message).__name__
    )
    return invalid_input(
        expected="messages with a string 'role' and a string 'content'",
        got=f"{got} at message {position}",
        fix="write each turn as {'role': 'user', 'content': 'text'}",
    )


def _plain(value: Any) -> Any:
    """Copy what Arrow and pandas nest, without the fields that they fill with None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return [_plain(entry) for entry in value]


def _call_text(call: Any) -> str:
    """Write a call of a tool as `name(arguments)`."""
    function = call.get("function", call) if isinstance(call, Mapping) else {}
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return f"{function.get('name', 'tool')}({arguments})"
