r"""Whole transcripts, as Anthropic's HH data writes them.

`"\n\nHuman: ...\n\nAssistant: ..."`, chosen and rejected alike up to the turn in
which they differ [1]_. The prompt is the common beginning, cut at its last
`"\n\nAssistant:"`.

References
----------
.. [1] Bai et al., "Training a Helpful and Harmless Assistant with Reinforcement
   Learning from Human Feedback", arXiv:2204.05862.
"""

import re
from typing import Any

from embrm._typing import Message
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    is_missing,
    no_text,
    refusal,
)
from embrm.datasets.formats.extras import extras_of
from embrm.datasets.formats.prefixes import common_prefix_length

_HUMAN = "\n\nHuman:"
_ASSISTANT = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_CURE = "drop the row, or give the prompt in a column of its own"
_ROLES = {"Human": "user", "Assistant": "assistant"}


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


def _detect(row: Row) -> bool:
    return (
        "prompt" not in row
        and is_transcript(row.get("chosen"))
        and is_transcript(row.get("rejected"))
    )


def _read(row: Row, reader: RowReader) -> None:
    r"""Read one pair of transcripts.

    Where they part before the last turn, each response is all that follows the last
    common `"\n\nAssistant:"`, later turns included.
    """
    chosen, rejected = row["chosen"], row["rejected"]
    if is_missing(chosen) or is_missing(rejected):
        raise no_text("missing", "response")
    if not (is_transcript(chosen) and is_transcript(rejected)):
        raise refusal(
            expected=f"transcripts that begin with {_HUMAN!r}",
            got="another text",
            cure=_CURE,
            reason="not a transcript",
        )
    chosen, rejected = (f"\n\n{text.lstrip()}" for text in (chosen, rejected))
    shared = chosen[: common_prefix_length(chosen, rejected)]
    cut = shared.rfind(_ASSISTANT)
    if cut < 0:
        raise refusal(
            expected=f"transcripts with a common beginning up to an {_ASSISTANT!r}",
            got="two that part before it",
            cure=_CURE,
            reason="no common prompt",
        )
    prompt = _messages(shared[:cut])
    start = cut + len(_ASSISTANT)
    reader.pair(
        reader.item(prompt, chosen[start:].strip()),
        reader.item(prompt, rejected[start:].strip()),
        **extras_of(row, "chosen", "rejected"),
    )


def _messages(transcript: str) -> list[Message]:
    """Split a transcript into its turns."""
    _, *parts = _TURN.split(transcript)
    return [
        Message(role=_ROLES[speaker], content=text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]


FORMATS = (
    Format(
        name="hh",
        columns=f"chosen, rejected (whole transcripts, {_HUMAN + ' ...'!r})",
        detect=_detect,
        read=_read,
    ),
)
