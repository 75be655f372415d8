"""What a diagnosis says of labels, lengths, annotators, tokens and scripts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from embrm._typing import AnyArray, FittedTexts, FloatArray, IntArray
from embrm.datasets._comparison_graph import ComparisonGraph, found
from embrm.datasets.agreement import krippendorff_alpha

_MOST_ANNOTATORS = 10
_MOST_VALUES = 8
_NAMED = ("language", "subset", "source")
_MEASURED = ("weight", "margin")

_MOST_TEXTS = 20_000
_MOST_CHARACTERS = 500

_BLOCKS = {
    "Latin": (0x0041, 0x1E00, 0xFF21),
    "Greek": (0x0370, 0x1F00),
    "Cyrillic": (0x0400,),
    "Armenian": (0x0530,),
    "Hebrew": (0x0590,),
    "Arabic": (0x0600, 0x0750, 0xFB50, 0xFE70),
    "Devanagari": (0x0900,),
    "Bengali": (0x0980,),
    "Gurmukhi": (0x0A00,),
    "Gujarati": (0x0A80,),
    "Tamil": (0x0B80,),
    "Telugu": (0x0C00,),
    "Kannada": (0x0C80,),
    "Malayalam": (0x0D00,),
    "Sinhala": (0x0D80,),
    "Thai": (0x0E00,),
    "Lao": (0x0E80,),
    "Tibetan": (0x0F00,),
    "Burmese": (0x1000,),
    "Georgian": (0x10A0,),
    "Hangul": (0x1100, 0x3130, 0xAC00),
    "Ethiopic": (0x1200,),
    "Khmer": (0x1780,),
    "kana": (0x3040, 0x31F0, 0xFF66),
    "Han": (0x3400, 0xF900, 0x20000),
    "other": (
        *(0, 0x0250, 0x0700, 0x0780, 0x0B00, 0x13A0, 0x1800, 0x2000, 0x3100, 0x3190),
        *(0x3200, 0xA000, 0xD7B0, 0xFB00, 0xFE00, 0xFEFF, 0xFFA0, 0x30000),
    ),
}
"""Where the blocks of each script begin in Unicode; each reaches to the next one."""
_SCRIPTS = sorted((start, name) for name, starts in _BLOCKS.items() for start in starts)
_STARTS = np.array([start for start, _ in _SCRIPTS])
_NAMES = np.array([name for _, name in _SCRIPTS])


@dataclass(frozen=True)
class Spread:
    """How numbers are spread: smallest, median, mean, 95th percentile, largest."""

    least: float
    median: float
    mean: float
    p95: float
    most: float

    @classmethod
    def of(cls, numbers: AnyArray) -> "Spread":
        """Summarise at least one number."""
        high = float(np.quantile(numbers, 0.95, method="inverted_cdf"))
        middle, mean = float(np.median(numbers)), float(np.mean(numbers))
        return cls(float(np.min(numbers)), middle, mean, high, float(np.max(numbers)))


@dataclass(frozen=True)
class Labels:
    """What labels say, and on which side the preferred item stands.

    Attributes
    ----------
    n_first, n_second, n_ties : int
        Pairs whose first, whose second, whose neither item is preferred.
    n_soft : int
        Labels other than 0, 0.5 and 1, counted above too.
    """

    n_first: int
    n_second: int
    n_ties: int
    n_soft: int

    @classmethod
    def of(cls, y: FloatArray) -> "Labels":
        """Count labels."""
        soft = (y != 0) & (y != 0.5) & (y != 1)
        counts = ((y > 0.5).sum(), (y < 0.5).sum(), (y == 0.5).sum(), soft.sum())
        return cls(*map(int, counts))


@dataclass(frozen=True)
class LengthImbalance:
    """How far length alone orders the pairs as their labels do.

    Attributes
    ----------
    longer_preferred : float in [0, 1]
        Share of pairs, ties of the label left out, whose longer response is
        preferred; equal lengths count one half.
    low, high : float
        Its 95% interval over prompts.
    n_pairs, n_prompts : int
    median_preferred, median_other : float
        Characters.
    """

    longer_preferred: float
    low: float
    high: float
    n_pairs: int
    n_prompts: int
    median_preferred: float
    median_other: float


@dataclass(frozen=True)
class Annotators:
    """Who labelled or rated, and how far they agree.

    Attributes
    ----------
    n : int
    counts : dict of str to int
        Labels or ratings of each, most first; ten at most.
    n_unnamed : int
        Labels or ratings of no one.
    alpha_labels : float or None
        Krippendorff's nominal alpha over the same two items labelled by several; None
        where there are none, or their labels are all equal.
    n_labelled_by_several : int
        How often two items are labelled by several.
    alpha_ratings : float or None
        Krippendorff's interval alpha of `score`.
    n_rated_by_several : int
        Items.
    """

    n: int
    counts: dict[str, int]
    n_unnamed: int
    alpha_labels: float | None
    n_labelled_by_several: int
    alpha_ratings: float | None
    n_rated_by_several: int


@dataclass(frozen=True)
class Truncation:
    """What an encoder's limit cuts.

    Attributes
    ----------
    limit : int
        In tokens.
    tokens : Spread
        Of an item, after the cut.
    n_cut : int
        Items that lose their beginning.
    n_identical : int
        Pairs of which both items become the same.
    source_rows : tuple of int
        Of the first five of these.
    """

    limit: int
    tokens: Spread
    n_cut: int
    n_identical: int
    source_rows: tuple[int, ...] = ()


def tallies(items: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count the values of language, subset and source, where they are known.

    Returns
    -------
    dict of str to dict of str to int
        By column, of pairs or else of items: the eight commonest values, and "others".
    """
    found = {}
    for name in _NAMED:
        table = pairs if name in pairs else items
        if name not in table:
            continue
        counts = table[name].dropna().map(_name).value_counts()
        shown = {str(value): int(n) for value, n in counts[:_MOST_VALUES].items()}
        rest = int(counts[_MOST_VALUES:].sum())
        found[name] = shown | ({"others": rest} if rest else {})
    return found


def spreads(pairs: pd.DataFrame) -> dict[str, Spread]:
    """Summarise the weights and margins of pairs, where there are any."""
    known = {
        name: pairs[name].dropna().to_numpy(np.float64)
        for name in _MEASURED
        if name in pairs
    }
    return {name: Spread.of(given) for name, given in known.items() if len(given)}


def length_imbalance(
    lengths: IntArray, ids: IntArray, y: FloatArray, prompts: IntArray
) -> LengthImbalance | None:
    """Compare the preferred with the other response of each pair; None without any."""
    decided = np.flatnonzero(y != 0.5)
    if not len(decided):
        return None
    ends = np.where((y > 0.5)[:, None], ids, ids[:, ::-1])[decided]
    preferred, other = lengths[ends[:, 0]], lengths[ends[:, 1]]
    right = (np.sign(preferred - other) + 1) / 2
    groups = pd.factorize(prompts[ends[:, 0]])[0]
    low, high = share_interval(right, groups)
    return LengthImbalance(
        float(right.mean()),
        low,
        high,
        len(right),
        int(groups.max()) + 1,
        float(np.median(preferred)),
        float(np.median(other)),
    )


def share_interval(values: FloatArray, groups: IntArray) -> tuple[float, float]:
    r"""Compute the 95% interval of a mean of values in [0, 1] that come in groups.

    Wilson's interval at the effective number of values,
    :math:`n = \hat p (1 - \hat p) / \hat v`, where :math:`\hat v` is the variance of
    the mean between groups, so that values of one group do not count as independent.

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data.
    """
    share, n_groups = float(values.mean()), int(groups.max()) + 1
    sums = np.bincount(groups, weights=values - share)
    spread = share * (1 - share)
    n = float(n_groups)
    if spread > 0 and n_groups > 1:
        variance = n_groups / (n_groups - 1) * (sums**2).sum() / len(values) ** 2
        n = min(spread / variance, len(values)) if variance > 0 else float(len(values))
    z = float(ndtri(0.975))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(spread / n + z**2 / (4 * n**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def annotators_of(
    items: pd.DataFrame, pairs: pd.DataFrame, graph: ComparisonGraph
) -> Annotators | None:
    """Say who labelled and rated; None where no annotator is known."""
    named = [table["annotator"] for table in (pairs, items) if "annotator" in table]
    if not named:
        return None
    counts = named[0].dropna().value_counts()
    labels, n_labels = _agreement(
        graph.unit, np.sign(graph.y - 0.5), pairs.get("annotator"), "nominal"
    )
    scores = items["score"].to_numpy(np.float64) if "score" in items else None
    ratings, n_ratings = _agreement(
        graph.items, scores, items.get("annotator"), "interval"
    )
    return Annotators(
        n=len(counts),
        counts={_name(who): int(n) for who, n in counts[:_MOST_ANNOTATORS].items()},
        n_unnamed=int(named[0].isna().sum()),
        alpha_labels=labels,
        n_labelled_by_several=n_labels,
        alpha_ratings=ratings,
        n_rated_by_several=n_ratings,
    )


def _name(who: Any) -> str:
    # A frame holds whole numbers as floats where some are missing.
    return str(int(who) if isinstance(who, float) and who.is_integer() else who)


def _agreement(
    units: IntArray,
    values: FloatArray | None,
    who: "pd.Series[str] | None",
    level: str,
) -> tuple[float | None, int]:
    """Compute alpha, of one judgement by each annotator of each unit."""
    if values is None or who is None:
        return None, 0
    table = pd.DataFrame({"unit": units, "value": values, "who": who.to_numpy()})
    table = table.dropna().drop_duplicates(["unit", "who"])
    several = int((table.groupby("unit").size() > 1).sum())
    alpha = krippendorff_alpha(
        table["unit"].to_numpy(), table["value"].to_numpy(), level
    )
    return (None if np.isnan(alpha) else alpha), several


def truncation_of(
    fitted: FittedTexts, ids: IntArray, source_rows: AnyArray
) -> Truncation:
    """Count what is cut, and the pairs that become the same twice."""
    same = fitted.codes[ids[:, 0]] == fitted.codes[ids[:, 1]]
    pairs = found(same & fitted.is_cut[ids].any(axis=1), source_rows)
    return Truncation(
        fitted.limit,
        Spread.of(fitted.n_tokens),
        int(fitted.is_cut.sum()),
        pairs.n,
        pairs.source_rows,
    )


def script_shares(texts: "pd.Series[str]") -> dict[str, float]:
    """Compute the share of texts by the script of most of their letters.

    Parameters
    ----------
    texts : Series of str
        Of more than 20,000, so many at equal distances are looked at, and of each the
        first 500 characters.

    Returns
    -------
    dict of str to float
        Largest first. Japanese is "kana" as soon as a tenth of the letters is; a text
        without letters, "no letters".

    Examples
    --------
    >>> script_shares(pd.Series(["Yes.", "Да.", "はい、元気です。", "2 + 2"]))
    {'Latin': 0.25, 'Cyrillic': 0.25, 'kana': 0.25, 'no letters': 0.25}
    """
    step = max(-(-len(texts) // _MOST_TEXTS), 1)
    scripts = pd.Series([_script(text) for text in texts.iloc[::step]], dtype=object)
    shares = scripts.value_counts(normalize=True)
    return {str(name): float(share) for name, share in shares.items()}


def _script(text: str) -> str:
    letters = "".join(filter(str.isalpha, text[:_MOST_CHARACTERS]))
    if not letters:
        return "no letters"
    if letters.isascii():
        return "Latin"
    points = np.frombuffer(letters.encode("utf-32-le", "replace"), dtype="<u4")
    at = np.searchsorted(_STARTS, points, side="right") - 1
    names, counts = np.unique(_NAMES[at], return_counts=True)
    if counts[names == "kana"].sum() * 10 >= len(points):
        return "kana"
    return str(names[np.argmax(counts)])
