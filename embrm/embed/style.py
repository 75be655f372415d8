"""StyleEncoder: sixteen counts of how a response looks, and no model.

Judges like length, lists, headings and bold, and sentence vectors hardly carry them.
As a block of its own beside vectors, style has its own prior in a linear head, and a
reward can be stated net of it; alone it is the baseline that a reward should beat.

Everything is counted by methods of `str` and `bytes`, which look at a kilobyte in about
a microsecond; regular expressions see only texts that have what they look for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.embed.base import BatchReport, Fingerprint, OnBatch
from embrm.embed.template import check_text

STYLE_FEATURES = (
    "characters",
    "words",
    "sentences",
    "lines",
    "list_items",
    "headings",
    "bold",
    "code_blocks",
    "links",
    "digits",
    "capitals",
    "question_marks",
    "exclamation_marks",
    "refusal",
    "foreign_share",
    "repetition",
)
"""Names of the columns of `StyleEncoder`, in order."""


@dataclass(frozen=True)
class StyleEncoder:
    r"""Count how a response looks: length, lists, markup, punctuation, refusals.

    The columns, of which all counts c are stored as log(1 + c):

    - `characters`, and `words` between white space; each Chinese or Japanese character
      and each Korean syllable counts as one;
    - `sentences`: marks . ! ? before white space or the end, and their full-width
      forms anywhere;
    - `lines` that are not empty; of these `list_items` (-, *, +, a bullet, or a number
      with . or ), and a space) and `headings` (# to ######, and a space);
    - `bold`: pairs of **; `code_blocks`: pairs of three backticks; `links`: occurrences
      of ://;
    - `digits`, `capitals` (A to Z), `question_marks`, `exclamation_marks`, the latter
      two with their full-width forms;
    - `refusal`: 1 if the response opens as refusals do ("I'm sorry, but", "As an AI",
      "I cannot", ...), else 0;
    - `foreign_share`: share of the letters that are not in a Latin script;
    - `repetition`: one less the number of different words, between white space, over
      that of all; of characters where most are Chinese, Japanese or Korean.

    Notes
    -----
    Only the response counts: the prompt is the same for all that are compared. Equal
    texts have equal vectors on every machine.

    Examples
    --------
    >>> vectors = StyleEncoder().encode([("Why?", "Because."), ("Why?", "- A\n- B")])
    >>> vectors.shape
    (2, 16)
    >>> np.expm1(vectors[:, STYLE_FEATURES.index("list_items")]).round().tolist()
    [0.0, 2.0]
    """

    @property
    def dim(self) -> int:
        """Number of columns, 16."""
        return len(STYLE_FEATURES)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""
        fields = {"kind": "style", "recipe": 1, "features": list(STYLE_FEATURES)}
        return Fingerprint(fields, dim=self.dim, dtype="float32")

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Count the style of responses; see `embrm.embed.base.Encoder`.

        Returns
        -------
        ndarray of shape (n_texts, 16), float32
        """
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = [
                check_text(text)[1] for text in texts[start : start + _TEXTS_AT_ONCE]
            ]
            vectors[start : start + len(part)] = _vectors(part)
            if on_batch is not None:
                on_batch(BatchReport(n_texts=len(part)))
        return vectors


_TEXTS_AT_ONCE = 4096

_REFUSALS = (
    "i'm sorry",
    "i am sorry",
    "sorry, ",
    "i apologize",
    "i apologise",
    "as an ai",
    "as a language model",
    "i cannot",
    "i can't",
    "i can not",
    "i am not able to",
    "i'm not able to",
    "i am unable to",
    "i'm unable to",
    "i won't",
    "i will not",
    "unfortunately, i",
    "抱歉",
    "对不起",
    "很抱歉",
    "申し訳",
    "죄송",
)
_REFUSAL = re.compile("|".join(map(re.escape, _REFUSALS)))

_LIST_ITEM = re.compile(r"\n[ \t]*(?:[-*+•]|\d{1,3}[.)]) ")
_HEADING = re.compile(r"\n[ \t]*#{1,6} ")
_EMPTY_LINE = re.compile(r"\n[ \t\r]*(?=\n)")
_CJK = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
_OTHER_WORD = re.compile(
    r"[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)
_FOREIGN_LETTER = re.compile(r"[^\W\d_\x00-\u024f]")
_WIDE_STOPS = "。\uff01\uff1f"


def _all_but(*spans: str) -> bytes:
    """List the bytes outside some spans of ASCII, each given as its two ends."""
    inside = {n for span in spans for n in range(ord(span[0]), ord(span[1]) + 1)}
    return bytes(n for n in range(256) if n not in inside)


_NOT_DIGITS, _NOT_CAPITALS = _all_but("09"), _all_but("AZ")
_NOT_LETTERS = _all_but("AZ", "az")


def _vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Count the style of texts, (n_texts, 16)."""
    found = np.array([_count(text) for text in texts], dtype=np.float64)
    n_counts = STYLE_FEATURES.index("refusal")
    found[:, :n_counts] = np.log1p(found[:, :n_counts])
    return found


def _count(text: str) -> tuple[float, ...]:
    """Count the style of one text, in the order of `STYLE_FEATURES`."""
    count = text.count
    data = text.encode("utf-8", "surrogatepass")
    words: Sequence[str] = text.split()
    n_words, n_cjk, n_foreign = len(words), 0, 0
    questions, exclamations, stops = count("?"), count("!"), 0
    if not text.isascii():
        n_cjk = len(_CJK.findall(text))
        n_foreign = len(_FOREIGN_LETTER.findall(text))
        questions, exclamations = (
            questions + count("\uff1f"),
            exclamations + count("\uff01"),
        )
        stops = sum(map(count, _WIDE_STOPS))
        if n_cjk:
            n_words = n_cjk + len(_OTHER_WORD.findall(text))
            words = text if 2 * n_cjk > len(text) else words
    stops += count(". ") + count(".\n") + text.endswith((".", "!", "?"))
    if exclamations:
        stops += count("! ") + count("!\n")
    if questions:
        stops += count("? ") + count("?\n")
    lines, items, headings = _lines(text)
    letters = 1
    if n_foreign:
        letters = len(data.translate(None, _NOT_LETTERS)) + n_foreign
    return (
        len(text),
        n_words,
        stops,
        lines,
        items,
        headings,
        count("**") // 2,
        count("```") // 2,
        count("://"),
        len(data.translate(None, _NOT_DIGITS)),
        len(data.translate(None, _NOT_CAPITALS)),
        questions,
        exclamations,
        _REFUSAL.match(_opening(text)) is not None,
        n_foreign / letters,
        1.0 - len(set(words)) / len(words) if words else 0.0,
    )


def _lines(text: str) -> tuple[int, int, int]:
    """Count lines that are not empty, and list items and headings among them."""
    breaks = text.count("\n")
    first = "\n" + text[:16]
    items, headings = len(_LIST_ITEM.findall(first, 0, 16)), 0
    if "#" in text:
        headings = len(_HEADING.findall("\n" + text))
    if not breaks:
        return int(bool(text.strip())), min(items, 1), headings
    empty = len(_EMPTY_LINE.findall("\n" + text + "\n"))
    return breaks + 1 - empty, len(_LIST_ITEM.findall("\n" + text)), headings


def _opening(text: str) -> str:
    return text[:40].lstrip(" \n\"'*").lower().replace("\u2019", "'")
