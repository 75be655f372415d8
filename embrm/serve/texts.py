"""What clients send as text: strings, messages, parts; never token ids."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from embrm._typing import Message, Prompt, Text
from embrm.exceptions import DataError, format_error
from embrm.messages import prompt_text

MOST = 100_000
T = TypeVar("T")
Many = Annotated[list[T], Field(fail_fast=True, max_length=MOST)]
"""A list that takes no long time: millions of its elements fit in a body, and each, or
each error, would take microseconds in which no one else is answered."""


def refuse_token_ids(value: Any) -> Any:
    """Raise on token ids, with what to send in their place."""
    inner = value
    while isinstance(inner, list) and inner:
        inner = inner[0]
    if isinstance(inner, int) and not isinstance(inner, bool):
        message = (
            "expected text; got token ids. Fix: send the decoded text, "
            "tokenizer.decode(ids)"
        )
        raise ValueError(message)  # noqa: TRY004
    return value


_NoIds = BeforeValidator(refuse_token_ids)
Words = Annotated[str, _NoIds]
"""A text, not token ids."""

WordsOrMany = Annotated[str | Many[str], _NoIds]
"""A text or a list of them, not token ids."""


class Body(BaseModel):
    """A request's body; what is not known is ignored, as most clients expect."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class Part(Body):
    """A part of a message's content."""

    type: str = "text"
    text: Words | None = None


class Turn(Body):
    """One message of a conversation."""

    role: str
    content: Annotated[str | Many[Part], _NoIds]

    def message(self) -> Message:
        """Return the message with its content as one text."""
        return Message(role=self.role, content=join_parts(self.content))


Conversation = Annotated[Many[Turn], Field(min_length=1)]


def join_parts(content: str | Sequence[Part] | None) -> str:
    """Join the text parts of a message's content."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text or "" for part in content)


def as_prompt(prompt: str | Sequence[Turn]) -> Prompt:
    """Turn a prompt as sent into one as embrm takes it."""
    if isinstance(prompt, str):
        return prompt
    return [turn.message() for turn in prompt]


def split_messages(turns: Sequence[Turn]) -> Text:
    """Take the last message, by the assistant, as the response to those before.

    Raises
    ------
    DataError
        If the last message is not the assistant's.
    """
    messages = [turn.message() for turn in turns]
    if not messages or messages[-1]["role"] != "assistant":
        raise DataError(
            format_error(
                expected="messages whose last is the assistant's, the response",
                got=f"{len(messages)} messages that end otherwise",
                fix="append {'role': 'assistant', 'content': response}",
            ),
            reason="no response",
        )
    return messages[:-1], messages[-1]["content"]


def check_text(text: Text, characters: int) -> None:
    """Check that a text can be rewarded.

    Parameters
    ----------
    text : (prompt, response)
        The prompt may be empty: a plain text is a response to nothing.
    characters : int
        How many the two may have together.

    Raises
    ------
    DataError
    """
    prompt, response = prompt_text(text[0]), text[1]
    if not response.strip():
        raise _unusable("an empty one", "send what the policy wrote, or leave it out")
    n = len(prompt) + len(response)
    if n > characters:
        raise _unusable(f"{n} characters", f"send at most {characters}")
    try:
        (prompt + response).encode()
    except UnicodeEncodeError:
        raise _unusable(
            "half of a surrogate pair", "write the character whole"
        ) from None


def _unusable(got: str, fix: str) -> DataError:
    return DataError(
        format_error(expected="a response with text", got=got, fix=fix),
        reason="unusable text",
    )
