"""Prompts as text or as conversations, in one canonical form.

A prompt is a `str` (one user turn) or a sequence of messages
`{"role": ..., "content": ...}`. Both spellings of a single user turn are the same
prompt: they have the same canonical JSON, hence the same cache key and group.
"""

import json
from collections.abc import Mapping
from typing import Any

from embrm._typing import Message, Prompt
from embrm.exceptions import InvalidInputError, format_error

# Made once: json.dumps makes an encoder for each call, which takes most of its time.
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_messages(prompt: Prompt) -> tuple[Message, ...]:
    """Turn a prompt into messages.

    Parameters
    ----------
    prompt : str or sequence of {"role": str, "content": str}
        A `str` is one user turn; the empty string is the empty conversation.

    Returns
    -------
    tuple of Message

    Raises
    ------
    InvalidInputError
        If the prompt is of another type, or a message lacks a string `role` or
        `content`.

    Examples
    --------
    >>> as_messages("Hi")
    ({'role': 'user', 'content': 'Hi'},)
    """
    if isinstance(prompt, str):
        return (Message(role="user", content=prompt),) if prompt else ()
    # Arrow and pandas hand lists over as arrays; a mapping or scalar is a mistake.
    if isinstance(prompt, Mapping | bytes) or not hasattr(prompt, "__iter__"):
        raise InvalidInputError(
            format_error(
                expected="a prompt that is a str or a list of messages",
                got=type(prompt).__name__,
                fix="pass the text, or [{'role': 'user', 'content': ...}, ...]",
            )
        )
    return tuple(_as_message(message, n) for n, message in enumerate(prompt))


def canonical_json(prompt: Prompt) -> str:
    """Write a prompt as the JSON that identifies it (groups, cache keys).

    Examples
    --------
    >>> canonical_json("Hi") == canonical_json([{"role": "user", "content": "Hi"}])
    True
    """
    pairs = [[message["role"], message["content"]] for message in as_messages(prompt)]
    return _write(pairs)


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
        return messages[0]["content"]
    return "\n\n".join(f"{m['role'].capitalize()}: {m['content']}" for m in messages)


def _as_message(message: Any, position: int) -> Message:
    role = message.get("role") if isinstance(message, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    if not (isinstance(role, str) and isinstance(content, str)):
        got = (
            f"keys {sorted(map(str, message))}"
            if isinstance(message, Mapping)
            else type(message).__name__
        )
        raise InvalidInputError(
            format_error(
                expected="messages with a string 'role' and a string 'content'",
                got=f"{got} at message {position}",
                fix="write each turn as {'role': 'user', 'content': 'text'}",
            )
        )
    return Message(role=role, content=content)
