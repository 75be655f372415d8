"""How a response looks, as a few counts."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

_COUNTED = {
    "list items": re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]", re.MULTILINE),
    "headings": re.compile(r"^[ \t]*#{1,6} ", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*"),
    "code": re.compile(r"```|`[^`\n]+`"),
    "emoji": re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]"),
    "exclamation marks": re.compile("[!\uff01]"),
    "question marks": re.compile("[?\uff1f]"),
}
# Openings that please, and those that decline; letters are compared in lower case.
_PLEASING = re.compile(
    r"""\s*(?:
        (?:what\ a\ |that's\ a\ |that\ is\ a\ )?
        (?:great|good|excellent|wonderful|fantastic)\ (?:question|point|idea)
        |absolutely|certainly|of\ course|sure
        |you're\ (?:absolutely\ )?right
        |i(?:'d|\ would)\ be\ (?:happy|glad)\ to
    )\b""",
    re.VERBOSE,
)
_REFUSING = re.compile(
    r"""\s*(?:
        i(?:'m|\ am)\ (?:very\ )?sorry|sorry,|i\ apologi[sz]e
        |as\ an\ ai|as\ a\ language\ model
        |i\ (?:cannot|can't|can\ not|won't|will\ not)
        |i(?:'m|\ am)\ (?:not\ able|unable)\ to
        |unfortunately,?\ i
    )""",
    re.VERBOSE,
)

STYLE_COLUMNS = ("length", *_COUNTED, "pleasing opening", "refusal")
"""Columns of `style_frame`, in order."""


def style_frame(responses: Iterable[str]) -> pd.DataFrame:
    """Count how responses look.

    Parameters
    ----------
    responses : iterable of str

    Returns
    -------
    DataFrame
        One row a response, columns `STYLE_COLUMNS`: log(1 + characters), log(1 +
        counts) of list items, headings, bold, code, emoji, exclamation and question
        marks; and 1 where it opens with praise or eagerness ("Great question",
        "Certainly"), or as refusals do ("I'm sorry", "As an AI").

    Examples
    --------
    >>> style_frame(["Certainly! **Yes**", "I cannot say."])[
    ...     ["bold", "pleasing opening", "refusal"]
    ... ].round(2)
       bold  pleasing opening  refusal
    0  0.69               1.0      0.0
    1  0.00               0.0      1.0
    """
    rows = [
        (
            len(text),
            *(_count(text, name) for name in _COUNTED),
            *(
                float(
                    pattern.match(text[:200].lower().replace("\u2019", "'")) is not None
                )
                for pattern in (_PLEASING, _REFUSING)
            ),
        )
        for text in responses
    ]
    frame = pd.DataFrame(rows, columns=list(STYLE_COLUMNS), dtype=np.float64)
    counts = list(STYLE_COLUMNS[:-2])
    frame[counts] = np.log1p(frame[counts])
    return frame


def _count(text: str, name: str) -> int:
    """Count a pattern where the text has a character it cannot do without."""
    needed = _NEEDED.get(name)
    if needed is not None and needed not in text:
        return 0
    if name == "emoji" and text.isascii():
        return 0
    return len(_COUNTED[name].findall(text))


_NEEDED = {"headings": "#", "bold": "**", "code": "`"}
