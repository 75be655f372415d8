"""Formats of one chosen and one rejected response: plain pairs, TRL, HH transcripts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from embrm._typing import Message, Prompt
from embrm.datasets.formats._fields import common_prefix_length, extras_of
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    is_missing,
    no_text,
    refusal,
)
from embrm.messages import as_messages

_TEXTS = ("prompt", "chosen", "rejected")

_SPLIT_PROMPT_FIX = "drop the row, or write it as prompt, chosen and rejected"
_LAST_SPACE = re.compile(r".*\s", re.DOTALL)
_HUMAN = "\n\nHuman:"
_ASSISTANT = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_TRANSCRIPT_FIX = "drop the row, or give the prompt in a column of its own"
_ROLES = {"Human": "user", "Assistant": "assistant"}


def _is_pair(row: Row) -> bool:
    return row.keys() >= set(_TEXTS)


def _read_pair(row: Row, reader: RowReader) -> None:
    """Read one pair; `y` is the probability that chosen is preferred, else 1."""
    chosen = reader.item(row["prompt"], row["chosen"])
    rejected = reader.item(row["prompt"], row["rejected"])
    reader.pair(chosen, rejected, **extras_of(row, *_TEXTS))


PAIRS = Format(
    name="pairs",
    columns="prompt (text or messages), chosen, rejected; optional margin (nats, "
    ">= 0), weight, y (probability that chosen is preferred), and any others",
    detect=_is_pair,
    read=_read_pair,
)


def _is_trl(row: Row) -> bool:
    """Recognise messages, or text without a prompt; text with a prompt is `pairs`."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if _is_conversation(chosen) and _is_conversation(rejected):
        return True
    is_text = isinstance(chosen, str) and isinstance(rejected, str)
    return is_text and "prompt" not in row and not is_transcript(chosen)


def _read_trl(row: Row, reader: RowReader) -> None:
    """Read TRL's formats: text or messages, with the prompt apart or repeated.

    Explicit rows have `prompt`, `chosen`, `rejected`; implicit rows only the last two,
    both of which begin with the prompt. https://huggingface.co/docs/trl/dataset_formats
    """
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
        fix=_SPLIT_PROMPT_FIX,
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
            fix=_SPLIT_PROMPT_FIX,
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
            fix=_SPLIT_PROMPT_FIX,
            reason="conversations part before the last turn",
        )
    for turn in (a[-1], b[-1]):
        if turn["role"] != "assistant":
            raise refusal(
                expected="conversations that end with a turn of the assistant",
                got=f"a last turn of {turn['role'][:40]!r}",
                fix=_SPLIT_PROMPT_FIX,
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


TRL = Format(
    name="trl",
    columns="chosen, rejected (text or messages), optional prompt; optional "
    "margin, weight, y, and any others",
    detect=_is_trl,
    read=_read_trl,
)


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


def _is_hh(row: Row) -> bool:
    return (
        "prompt" not in row
        and is_transcript(row.get("chosen"))
        and is_transcript(row.get("rejected"))
    )


def _read_hh(row: Row, reader: RowReader) -> None:
    r"""Read whole transcripts, as Anthropic's HH data writes them.

    `"\n\nHuman: ...\n\nAssistant: ..."`, chosen and rejected alike up to the turn in
    which they differ [1]_. The prompt is the common beginning, cut at its last
    `"\n\nAssistant:"`.

    Where they part before the last turn, each response is all that follows the last
    common `"\n\nAssistant:"`, later turns included.

    References
    ----------
    .. [1] Bai et al., "Training a Helpful and Harmless Assistant with Reinforcement
       Learning from Human Feedback", arXiv:2204.05862.
    """
    chosen, rejected = row["chosen"], row["rejected"]
    if is_missing(chosen) or is_missing(rejected):
        raise no_text("missing", "response")
    if not (is_transcript(chosen) and is_transcript(rejected)):
        raise refusal(
            expected=f"transcripts that begin with {_HUMAN!r}",
            got="another text",
            fix=_TRANSCRIPT_FIX,
            reason="not a transcript",
        )
    chosen, rejected = (f"\n\n{text.lstrip()}" for text in (chosen, rejected))
    shared = chosen[: common_prefix_length(chosen, rejected)]
    cut = shared.rfind(_ASSISTANT)
    if cut < 0:
        raise refusal(
            expected=f"transcripts with a common beginning up to an {_ASSISTANT!r}",
            got="two that part before it",
            fix=_TRANSCRIPT_FIX,
            reason="no common prompt",
        )
    prompt = _turns(shared[:cut])
    start = cut + len(_ASSISTANT)
    reader.pair(
        reader.item(prompt, chosen[start:].strip()),
        reader.item(prompt, rejected[start:].strip()),
        **extras_of(row, "chosen", "rejected"),
    )


def _turns(transcript: str) -> list[Message]:
    """Split a transcript into its turns."""
    _, *parts = _TURN.split(transcript)
    return [
        Message(role=_ROLES[speaker], content=text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]


HH = Format(
    name="hh",
    columns=f"chosen, rejected (whole transcripts, {_HUMAN + ' ...'!r})",
    detect=_is_hh,
    read=_read_hh,
)
