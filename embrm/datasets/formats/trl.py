"""TRL's preference formats: text or messages, with the prompt apart or repeated.

Explicit rows have `prompt`, `chosen`, `rejected`; implicit rows only the last two,
both of which begin with the prompt. https://huggingface.co/docs/trl/dataset_formats
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from embrm._typing import Message, Prompt
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    is_missing,
    no_text,
    refusal,
)
from embrm.datasets.formats.extras import extras_of
from embrm.datasets.formats.hh import is_transcript
from embrm.datasets.formats.prefixes import common_prefix_length
from embrm.messages import as_messages

_CURE = "drop the row, or write it as prompt, chosen and rejected"
_LAST_SPACE = re.compile(r".*\s", re.DOTALL)


def _detect(row: Row) -> bool:
    """Recognise messages, or text without a prompt; text with a prompt is `pairs`."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if _is_conversation(chosen) and _is_conversation(rejected):
        return True
    is_text = isinstance(chosen, str) and isinstance(rejected, str)
    return is_text and "prompt" not in row and not is_transcript(chosen)


def _read(row: Row, reader: RowReader) -> None:
    prompt, chosen, rejected = _parts(row)
    reader.pair(
        reader.item(prompt, chosen),
        reader.item(prompt, rejected),
        **extras_of(row, "prompt", "chosen", "rejected"),
    )


def _parts(row: Row) -> tuple[Prompt, Any, Any]:
    """Return prompt, chosen and rejected, whichever way the row writes them."""
    chosen, rejected = row["chosen"], row["rejected"]
    if is_missing(chosen) or is_missing(rejected):
        raise no_text("missing", "response")
    if _is_conversation(chosen) and _is_conversation(rejected):
        return _split_messages(row.get("prompt"), chosen, rejected)
    if "prompt" in row:
        return row["prompt"], chosen, rejected
    if isinstance(chosen, str) and isinstance(rejected, str):
        return _split_text(chosen, rejected)
    raise refusal(
        expected="chosen and rejected that are both text or both lists of messages",
        got=f"{type(chosen).__name__} and {type(rejected).__name__}",
        cure=_CURE,
        reason="chosen and rejected differ in kind",
    )


def _is_conversation(value: Any) -> bool:
    """Say whether a cell holds messages, though perhaps malformed ones."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(turn, Mapping) for turn in value)
    )


def _split_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Cut two texts where they part, at the beginning of a word.

    Where one text is the beginning of the other, the word before goes to the
    responses, so that neither is empty.
    """
    shared = chosen[: common_prefix_length(chosen, rejected)]
    if not (chosen[len(shared) :].strip() and rejected[len(shared) :].strip()):
        shared = shared.rstrip()
    at_word = _LAST_SPACE.match(shared)
    cut = at_word.end() if at_word else 0
    if not shared[:cut].strip():
        raise refusal(
            expected="chosen and rejected that begin with the same prompt",
            got="two texts without a common beginning",
            cure=_CURE,
            reason="no common prompt",
        )
    return shared[:cut].rstrip(), chosen[cut:], rejected[cut:]


def _split_messages(
    prompt: Prompt | None, chosen: Sequence[Message], rejected: Sequence[Message]
) -> tuple[Prompt, str, str]:
    """Take the last turns as responses; the turns before them must be common."""
    a, b = as_messages(chosen), as_messages(rejected)
    n_shared = min(common_prefix_length(a, b), len(a) - 1, len(b) - 1)
    if max(len(a), len(b)) > n_shared + 1:
        raise refusal(
            expected="conversations that differ in the last turn alone",
            got=f"a difference at message {n_shared}, of {len(a)} and {len(b)}",
            cure=_CURE,
            reason="conversations part before the last turn",
        )
    for turn in (a[-1], b[-1]):
        if turn["role"] != "assistant":
            raise refusal(
                expected="conversations that end with a turn of the assistant",
                got=f"a last turn of {turn['role'][:40]!r}",
                cure=_CURE,
                reason="last turn is not the assistant's",
            )
    return _joined(prompt, a[:n_shared]), a[-1]["content"], b[-1]["content"]


def _joined(prompt: Prompt | None, shared: tuple[Message, ...]) -> Prompt:
    """Join the prompt with the shared turns, unless they repeat it already."""
    if prompt is None:
        return shared
    if not shared:
        return prompt
    own = as_messages(prompt)
    starts = range(len(shared) - len(own) + 1)
    if own and any(shared[at : at + len(own)] == own for at in starts):
        return shared
    return own + shared


FORMATS = (
    Format(
        name="trl",
        columns="chosen, rejected (text or messages), optional prompt; optional "
        "margin, weight, y, and any others",
        detect=_detect,
        read=_read,
    ),
)
