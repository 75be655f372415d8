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
from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.datasets.formats.cells import carried, margin_and_weight
from embrm.datasets.formats.prefixes import common_prefix_length
from embrm.exceptions import DataError, three_parts

_HUMAN = "\n\nHuman:"
_ASSISTANT = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_USED = ("chosen", "rejected", "margin", "weight")


def is_transcript(text: Any) -> bool:
    r"""Say whether a text begins as an HH transcript does.

    Examples
    --------
    >>> is_transcript("\n\nHuman: Hi\n\nAssistant: Hello!")
    True
    """
    return isinstance(text, str) and text.startswith(_HUMAN)


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
    if not (is_transcript(chosen) and is_transcript(rejected)):
        raise _wrong(
            f"transcripts that begin with {_HUMAN!r}",
            "another text",
            "not a transcript",
        )
    shared = chosen[: common_prefix_length(chosen, rejected)]
    cut = shared.rfind(_ASSISTANT)
    if cut < 0:
        raise _wrong(
            f"transcripts with a common beginning up to an {_ASSISTANT!r}",
            "two that part before it",
            "no common prompt",
        )
    prompt = _messages(shared[:cut])
    start = cut + len(_ASSISTANT)
    reader.pair(
        reader.item(prompt, chosen[start:].strip()),
        reader.item(prompt, rejected[start:].strip()),
        1.0,
        **margin_and_weight(row),
        **carried(row, _USED),
    )


def _messages(transcript: str) -> list[Message]:
    """Split a transcript into its turns."""
    _, *parts = _TURN.split(transcript)
    return [
        Message(role=_ROLES[speaker], content=text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def _wrong(expected: str, got: str, reason: str) -> DataError:
    cure = "drop the row, or give the prompt in a column of its own"
    return DataError(three_parts(expected=expected, got=got, cure=cure), reason=reason)


FORMATS = (
    Format(
        name="hh",
        columns=f"chosen, rejected (whole transcripts, {_HUMAN + ' ...'!r})",
        detect=_detect,
        read=_read,
    ),
)
