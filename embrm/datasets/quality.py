"""Quality filters: pairs that are too short, too long, too similar or too disputed.

Every filter is a pure function of `Preferences` that returns the kept part and a
`QualityReport` of what was left out and where it came from. Filters chain, and their
reports add up:

>>> from embrm.datasets import read_preferences
>>> preferences = read_preferences(
...     [
...         {"prompt": "Why?", "chosen": "It has to be so.", "rejected": "No idea."},
...         {"prompt": "Why?", "chosen": "Who knows why?", "rejected": "Who knows?"},
...         {"prompt": "How?", "chosen": "By hand.", "rejected": "It is not known."},
...     ]
... )
>>> kept, first = filter_by_length(preferences, min_words=2, max_words=4)
>>> kept, second = filter_near_duplicates(kept, max_ratio=0.3)
>>> print(first + second)
3 pairs before, 1 after, 2 left out
   1  too long                  source row 0
   1  near-duplicate responses  source row 1

An item goes when the last of its pairs goes. Items that stood in no pair to begin with
(ratings, unpaired labels) stay; of data without any pairs, `filter_by_length` judges
the items. The reader's report is passed on as it was: it counts rows of the
source, a `QualityReport` counts pairs. `prompt_id` and `source_row` keep their values.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, BoolArray
from embrm.datasets.preferences import LeftOut, Preferences, pair_table, select
from embrm.exceptions import invalid_input

_MAX_PLACES = 5

# Han and kana are written without spaces; Korean is not, so Hangul is left to split().
_NO_SPACES = "\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # noqa: E501
_PUNCTUATION = re.compile(
    "[\u3000-\u303f\u30a0\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)
_WORD = re.compile(f"[{_NO_SPACES}]|[^\\s{_NO_SPACES}]+")


@dataclass(frozen=True)
class QualityReport:
    """What a filter, or a chain of filters, left out.

    Attributes
    ----------
    unit : {"pairs", "items"}
        What was judged and is counted.
    n_before, n_after : int
        How many there were, and how many are left.
    left_out : tuple of LeftOut
        By reason, in the order of the filters: how many, and the source rows of the
        first five.
    removed : DataFrame or None
        What was left out, with its texts: `prompt`, `first`, `second` (or `response`),
        the other columns of pairs or items, and `left_out`, the reason.

    Examples
    --------
    >>> first = QualityReport("pairs", 10, 8, (LeftOut("too short", 2, ("3", "7")),))
    >>> second = QualityReport("pairs", 8, 7, (LeftOut("near-duplicate", 1, ("5",)),))
    >>> print(first + second)
    10 pairs before, 7 after, 3 left out
       2  too short       source rows 3, 7
       1  near-duplicate  source row 5
    """

    unit: Literal["pairs", "items"]
    n_before: int
    n_after: int
    left_out: tuple[LeftOut, ...] = ()
    removed: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def n_left_out(self) -> int:
        """How many were left out, for any reason."""
        return self.n_before - self.n_after

    def __add__(self, later: "QualityReport") -> "QualityReport":
        """Join with the report of the filter that was applied next.

        Raises
        ------
        InvalidInputError
            If the later filter did not begin where this one ended.
        """
        if (self.unit, self.n_after) != (later.unit, later.n_before):
            raise invalid_input(
                expected=f"a later report that begins with the {self.n_after} "
                f"{self.unit} this one ends with",
                got=f"one that begins with {later.n_before} {later.unit}",
                fix="add reports in the order in which the filters were applied",
            )
        reasons = self.left_out + later.left_out
        parts = [part for part in (self.removed, later.removed) if part is not None]
        removed = pd.concat(parts, ignore_index=True) if parts else None
        return QualityReport(self.unit, self.n_before, later.n_after, reasons, removed)

    def __str__(self) -> str:
        totals = f"{self.n_before} {self.unit} before, {self.n_after} after"
        lines = [f"{totals}, {self.n_left_out} left out"]
        count = max((len(str(entry.n)) for entry in self.left_out), default=0)
        reason = max((len(entry.reason) for entry in self.left_out), default=0)
        for entry in self.left_out:
            rows = "row" if entry.n == 1 else "rows"
            more = ", ..." if entry.n > len(entry.where) else ""
            lines.append(
                f"   {entry.n:>{count}}  {entry.reason:<{reason}}  "
                f"source {rows} {', '.join(entry.where)}{more}"
            )
        return "\n".join(lines)


def count_words(text: str) -> int:
    """Count words; each Chinese or Japanese character counts as one.

    Text in scripts that put spaces between words is split at white space, as
    `str.split` does. Chinese and Japanese have no such spaces: there each character
    is a word, and their punctuation is none. Thai, Lao, Khmer and Burmese are not
    taken apart.

    Examples
    --------
    >>> count_words("two words"), count_words("用 Python 写。")
    (2, 3)
    """
    return len(_words(text))


def filter_by_length(
    preferences: Preferences, min_words: int = 10, max_words: int = 500
) -> tuple[Preferences, QualityReport]:
    """Keep the pairs of which both responses have a sensible length.

    Parameters
    ----------
    preferences : Preferences
        Of data without pairs, the items are filtered.
    min_words, max_words : int, default=10 and 500
        Smallest and largest number of words allowed, counted by `count_words`.

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reasons `"too short"` and `"too long"`; a pair that is both is too short.

    Raises
    ------
    InvalidInputError
        If not 0 <= min_words <= max_words.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "Why?", "chosen": "It has to be so.", "rejected": "So."}
    >>> preferences = read_preferences([row])
    >>> kept, report = filter_by_length(preferences, min_words=3)
    >>> report.left_out
    (LeftOut(reason='too short', n=1, where=('0',)),)
    """
    if not 0 <= min_words <= max_words:
        raise invalid_input(
            expected="0 <= min_words <= max_words",
            got=f"min_words={min_words}, max_words={max_words}",
            fix="exchange them, or set only one",
        )
    responses = preferences.items["response"]
    n_words = np.fromiter(map(count_words, responses), np.int64, len(responses))
    lengths = n_words[_ids(preferences)] if len(preferences) else n_words[:, None]
    too_short = (lengths < min_words).any(axis=1)
    too_long = (lengths > max_words).any(axis=1)
    reasons = np.select([too_short, too_long], ["too short", "too long"], "")
    return without(preferences, reasons)


def filter_near_duplicates(
    preferences: Preferences,
    max_ratio: float = 0.8,
    unit: Literal["word", "character"] = "word",
) -> tuple[Preferences, QualityReport]:
    """Keep the pairs whose two responses differ enough to be informative.

    The ratio is `2 m / t` of `difflib.SequenceMatcher`, with m matching units among t
    in both responses: 1 for equal texts, 0 for texts with nothing in common. Its cheap
    upper bounds are tried first, so that few pairs need the full comparison. Pairs
    across prompts are kept: there, the same answer twice is informative.

    Parameters
    ----------
    preferences : Preferences
    max_ratio : float in (0, 1], default=0.8
        Pairs at or above it are left out.
    unit : {"word", "character"}, default="word"
        What is matched. Characters are the commoner choice and a poor one: a full
        comparison of two answers of 2,000 characters takes about 0.1 s, and texts on
        one subject share most of their letters. Words are those of `count_words`.

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"near-duplicate responses"`.

    Raises
    ------
    InvalidInputError
        If max_ratio is not in (0, 1], or the unit is unknown.

    Notes
    -----
    `autojunk` is off: difflib would otherwise take every letter of a text of 200
    characters or more for noise, and miss copies.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {
    ...     "prompt": "Why?",
    ...     "chosen": "It has to be so.",
    ...     "rejected": "It has to be so!",
    ... }
    >>> preferences = read_preferences([row])
    >>> kept, report = filter_near_duplicates(preferences)
    >>> report.left_out
    (LeftOut(reason='near-duplicate responses', n=1, where=('0',)),)
    """
    if not 0 < max_ratio <= 1 or unit not in ("word", "character"):
        raise invalid_input(
            expected="max_ratio in (0, 1] and unit 'word' or 'character'",
            got=f"max_ratio={max_ratio:g}, unit={str(unit)[:20]!r}",
            fix="leave them at 0.8 and 'word' if in doubt",
        )
    split: Callable[[str], Sequence[str]] = _words if unit == "word" else str
    texts = preferences.items["response"].tolist()
    prompt_ids = preferences.items["prompt_id"].tolist()
    alike = [
        prompt_ids[i] == prompt_ids[j]
        and _is_alike(split(texts[i]), split(texts[j]), max_ratio)
        for i, j in _ids(preferences).tolist()
    ]
    marked = np.array(alike, dtype=bool)
    return without_pairs(preferences, marked, "near-duplicate responses")


def filter_by_agreement(
    preferences: Preferences,
    min_agreement: float = 0.6,
    column: str = "annotator_agreement",
) -> tuple[Preferences, QualityReport]:
    """Keep the pairs on which annotators agree.

    Parameters
    ----------
    preferences : Preferences
    min_agreement : float in [0, 1], default=0.6
        Pairs at or below it are left out: three annotators of five are not enough.
    column : str, default="annotator_agreement"
        Column of `preferences.pairs`: share of annotators who agree with the label,
        in [0, 1]. Pairs where it is NaN are kept; nothing is known against them.

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"low annotator agreement"`.

    Raises
    ------
    InvalidInputError
        If min_agreement is not in [0, 1], or there is no such column, or it holds
        anything but shares.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "Why?", "chosen": "So it is.", "rejected": "No."}
    >>> preferences = read_preferences([row | {"annotator_agreement": 0.55}])
    >>> kept, report = filter_by_agreement(preferences)
    >>> report.left_out
    (LeftOut(reason='low annotator agreement', n=1, where=('0',)),)
    """
    if not 0 <= min_agreement <= 1:
        raise invalid_input(
            expected="min_agreement in [0, 1], a share of the annotators",
            got=f"{min_agreement:g}",
            fix="write 60% as 0.6",
        )
    low = _shares(preferences.pairs, column) <= min_agreement
    return without_pairs(preferences, low, "low annotator agreement")


def _words(text: str) -> list[str]:
    return _WORD.findall(_PUNCTUATION.sub(" ", text))


def _is_alike(a: Sequence[str], b: Sequence[str], max_ratio: float) -> bool:
    """Compare by SequenceMatcher's ratio, its cheap upper bounds first."""
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return (
        matcher.real_quick_ratio() >= max_ratio
        and matcher.quick_ratio() >= max_ratio
        and matcher.ratio() >= max_ratio
    )


def _shares(pairs: pd.DataFrame, column: str) -> AnyArray:
    fix = "name the column with column=..., as shares from 0 to 1"
    if column not in pairs:
        raise invalid_input(
            expected=f"a column {column[:40]!r} of pairs",
            got=f"columns {', '.join(map(str, pairs.columns))[:120]}",
            fix=fix,
        )
    shares = pd.to_numeric(pairs[column], errors="coerce").to_numpy(np.float64)
    bad = (shares < 0) | (shares > 1) | (np.isnan(shares) & pairs[column].notna())
    if bad.any():
        raise invalid_input(
            expected=f"{column[:40]!r} in [0, 1], NaN where unknown",
            got=f"another value at pair {int(np.argmax(bad))}",
            fix=fix,
        )
    return shares


def _ids(preferences: Preferences) -> AnyArray:
    return preferences.pairs[["first", "second"]].to_numpy(np.intp)


def without(
    preferences: Preferences,
    reasons: AnyArray,
    unit: Literal["pairs", "items"] | None = None,
) -> tuple[Preferences, QualityReport]:
    """Leave out what has a reason to be left out, and report it.

    `reasons` has one entry per pair (or per item of data without pairs): "" to keep.
    """
    no_pairs = len(preferences) == 0 < len(preferences.items)
    unit = unit or ("items" if no_pairs else "pairs")
    keep: BoolArray = reasons == ""
    table = preferences.pairs if unit == "pairs" else preferences.items
    report = QualityReport(
        unit,
        len(keep),
        int(keep.sum()),
        _by_reason(reasons, table),
        text_table(preferences, unit, ~keep).assign(left_out=reasons[~keep]),
    )
    if unit == "items":
        items = preferences.items[keep].reset_index(drop=True)
        return Preferences(items, preferences.pairs, preferences.read_report), report
    return _with_pairs(preferences, keep), report


def without_pairs(
    preferences: Preferences, marked: BoolArray, reason: str
) -> tuple[Preferences, QualityReport]:
    """Leave out the marked pairs, all for one reason."""
    return without(preferences, np.where(marked, reason, ""), unit="pairs")


def text_table(
    preferences: Preferences, unit: Literal["pairs", "items"], kept: BoolArray
) -> pd.DataFrame:
    """List some pairs or items with their texts and all that is known of them.

    Parameters
    ----------
    preferences : Preferences
    unit : {"pairs", "items"}
    kept : ndarray of bool of shape (n_pairs,) or (n_items,)

    Returns
    -------
    DataFrame
        `prompt`, then `first` and `second`, or `response`, then the other columns.
    """
    if unit == "items":
        items = preferences.items[kept].reset_index(drop=True)
        return items.drop(columns="prompt_id")
    return pair_table(preferences.items, preferences.pairs[kept])


def _by_reason(reasons: AnyArray, table: pd.DataFrame) -> tuple[LeftOut, ...]:
    rows = table["source_row"].to_numpy()
    found = []
    for reason in np.unique(reasons[reasons != ""]):
        places = rows[reasons == reason]
        where = tuple(str(place) for place in places[:_MAX_PLACES])
        found.append(LeftOut(str(reason), len(places), where))
    return tuple(found)


def _with_pairs(preferences: Preferences, keep: BoolArray) -> Preferences:
    """Keep some pairs, and the items that are in one of them or in no pair at all."""
    ids = _ids(preferences)
    stays = np.ones(len(preferences.items), dtype=bool)
    stays[ids] = False
    stays[ids[keep]] = True
    return select(preferences, stays, keep)
