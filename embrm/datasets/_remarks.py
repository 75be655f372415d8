"""What to tell a user about how a file was understood, once it is read.

A remark that something may be misread is a warning too; the rest only informs.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from embrm.datasets._comparison_graph import ComparisonGraph
from embrm.datasets.formats import Format
from embrm.datasets.formats._chosen_rejected import is_name
from embrm.datasets.formats._rated import ANNOTATORS
from embrm.datasets.formats._texts import PROMPTS
from embrm.datasets.formats._two_responses import WINNERS
from embrm.datasets.formats._votes import is_vote
from embrm.datasets.preferences import Preferences
from embrm.datasets.read_report import ANNOTATOR, CARRIED, UNUSED

_SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_reward", "rejected_reward"),
    ("chosen-rating", "rejected-rating"),
    ("chosen_rating", "rejected_rating"),
)
_PLAIN_ITEMS = {"prompt_id", "prompt", "response", "source_row"}
_NOTHING = ("nan", "NaN", "None", "null", "NULL", "<NA>", "#N/A")
_MEAN_WEIGHTS = ("score_ratio",)
_MEAN_A_LABEL = frozenset(
    {*WINNERS, "tie", "is_tie", "swapped", "is_swapped", "flipped"}
)
_NOT_TEXT = ("image", "images", "audio", "audios", "video", "videos")
_ARE_PROMPTS = frozenset({*PROMPTS, "document", "passage", "article", "body"})


class Remark(NamedTuple):
    """One sentence for the user, and whether something may be misread."""

    text: str
    is_warning: bool = False


def remarks(
    fmt: Format, uses: Mapping[str, str], preferences: Preferences
) -> Iterator[Remark]:
    """Look at what was read, and say what is notable.

    Parameters
    ----------
    fmt : Format
    uses : mapping of str to str
        What each column was read as.
    preferences : Preferences
    """
    yield from _label_beside(uses, preferences)
    yield from _prompts_beside(uses)
    yield from _scores_beside(uses, preferences)
    if fmt.says_winner:
        yield from _one_winner(uses, preferences)
    if fmt.name == "scored" and uses.get("chosen") == uses.get("rejected") == UNUSED:
        yield Remark(
            "chosen and rejected are not used: the listed responses are compared by "
            "their scores, which tell ties. format='pairs' takes chosen and rejected"
        )
    yield from _other_winners(fmt, uses)
    yield from _not_text(uses)
    yield from _rank_beside_score(preferences)
    yield from _no_score(uses, preferences)
    yield from _words_for_nothing(preferences)
    yield from _contradictions(preferences)
    yield from _several_ratings(preferences)
    yield from _annotators(uses)


def _annotators(uses: Mapping[str, str]) -> Iterator[Remark]:
    """Say who uses the column that says who judged, or how to name it."""
    named = next((name for name, use in uses.items() if use == ANNOTATOR), None)
    spelt = next((name for name in ANNOTATORS if uses.get(name) == CARRIED), None)
    if named is not None:
        yield Remark(
            f"the column {named!r} goes along: heads that estimate each annotator's "
            "noise use it, others do not"
        )
    elif spelt is not None:
        yield Remark(
            f"the column {spelt!r} goes along; if it says who judged, "
            f"columns={{'annotator': {spelt!r}}} lets heads use it that estimate each "
            "annotator's noise"
        )


def _label_beside(
    uses: Mapping[str, str], preferences: Preferences
) -> Iterator[Remark]:
    """Say that a label or a winner beside chosen and rejected is not what decides."""
    compared = any("chosen" in use for use in uses.values())
    if not compared or any(use.startswith("label") for use in uses.values()):
        return
    for name in uses:
        if uses[name] != CARRIED or name not in _MEAN_A_LABEL:
            continue
        values = preferences.pairs.get(name, pd.Series(dtype=object)).dropna().unique()
        shown = ", ".join(text[:20] for text in sorted(map(str, values))[:5])
        fix = (
            "If it is the probability that chosen is better, pass "
            f"columns={{'y': {name!r}}}"
            if name == "label"
            else "If it says otherwise, write a column y: 1 where chosen is better, "
            "0.5 where neither is, 0 where rejected is"
        )
        yield Remark(
            f"the column {name!r} ({shown}) stands beside chosen and rejected and is "
            f"not used: chosen is taken to be better in every row. {fix}",
            is_warning=True,
        )


def _other_winners(fmt: Format, uses: Mapping[str, str]) -> Iterator[Remark]:
    """Name columns that may say who won, too, and single votes beside the winner."""
    if not fmt.says_winner:
        return
    spare = [n for n, use in uses.items() if use == CARRIED and n in WINNERS]
    if spare:
        yield Remark(
            f"{', '.join(map(repr, spare))} may say who won, too, and goes along: "
            f"columns={{'winner': {spare[0]!r}}} takes it instead"
        )
    votes = [n for n, use in uses.items() if use == CARRIED and is_vote(n)]
    if fmt.name == "two-responses" and len(votes) > 1:
        yield Remark(
            f"{', '.join(map(repr, votes[:4]))} may be the votes of annotators, and go "
            "along: format='votes' reads a pair of each"
        )


def _not_text(uses: Mapping[str, str]) -> Iterator[Remark]:
    """Say that pictures and the like are not seen."""
    spare = [
        name
        for name, use in uses.items()
        if use in (CARRIED, UNUSED) and name in _NOT_TEXT
    ]
    if spare:
        yield Remark(
            f"{', '.join(map(repr, spare))} not used: embrm embeds text alone",
            is_warning=True,
        )


def _rank_beside_score(preferences: Preferences) -> Iterator[Remark]:
    """Say which of rank and score decides, and where they do not agree."""
    items = preferences.items
    if len(preferences) or not {"rank", "score"} <= {*items}:
        return
    # A column that is called rank may hold words, or lists.
    ranks = pd.to_numeric(items["rank"], errors="coerce").astype(np.float64)
    known = items[["prompt_id", "score"]].assign(rank=ranks).dropna()
    inner = known - known.groupby("prompt_id").transform("mean")
    turned = float((inner["rank"] * inner["score"]).sum()) > 0
    more = ", and grows with it: if 1 is the best rank, they disagree" if turned else ""
    yield Remark(
        f"responses are compared by score; rank goes along{more}", is_warning=turned
    )


def _prompts_beside(uses: Mapping[str, str]) -> Iterator[Remark]:
    """Name columns that are called like a part of the prompt and are none."""
    read = [name for name, use in uses.items() if use == "prompt"]
    spare = [
        name
        for name, use in uses.items()
        if use == CARRIED and name in _ARE_PROMPTS and not is_name(name)
    ]
    # A prompt by another name is that of a published format, which knows it.
    if read and spare and read[0] in PROMPTS:
        parts = "\\n\\n".join(f"{{{name}}}" for name in (*spare, *read))
        yield Remark(
            f"the prompt is {read[0]!r}; {', '.join(map(repr, spare))} is no part of "
            f"it. To join them, pass prompt_template='{parts}'",
            is_warning=True,
        )


def _scores_beside(
    uses: Mapping[str, str], preferences: Preferences
) -> Iterator[Remark]:
    for one, other in _SCORES:
        if uses.get(one) == uses.get(other) == CARRIED:
            below = _n_below(preferences.pairs, one, other)
            if below:
                yield Remark(
                    f"in {below} of {len(preferences)} pairs {one} is below {other}: "
                    "if high scores are good, chosen and rejected are turned there",
                    is_warning=2 * below > len(preferences),
                )
            yield Remark(
                f"{one} and {other} go along; their difference can be the margin: "
                f"columns={{'margin': '{one} - {other}'}}"
            )
    for name in _MEAN_WEIGHTS:
        if uses.get(name) == CARRIED:
            yield Remark(
                f"{name} goes along; it can weigh the pairs: "
                f"columns={{'weight': {name!r}}}"
            )


def _no_score(uses: Mapping[str, str], preferences: Preferences) -> Iterator[Remark]:
    """Say that of several numbers none is known to say how good a response is."""
    rated = [name for name, use in uses.items() if use == "rating"]
    if not rated or len(preferences) or {"score", "rank"} & {*preferences.items}:
        return
    named = ", ".join(repr(name[:40]) for name in rated[:5])
    name = rated[0][:40] if len(rated) == 1 else "your name for it"
    yield Remark(
        f"no column is known to say how good a response is: {named} may or may not. "
        f"Name the one that does, columns={{'score': {name!r}}}, with "
        "lower_is_better=True where low is good"
    )


def _words_for_nothing(preferences: Preferences) -> Iterator[Remark]:
    """Count the responses that are a word for a missing value, as exports write it."""
    n = int(preferences.items["response"].isin(_NOTHING).sum())
    if n:
        yield Remark(
            f"{_counted(n, 'response')} of the word nan, None, null or alike: missing "
            "ones, perhaps, that were written as text"
        )


def _n_below(pairs: pd.DataFrame, one: str, other: str) -> int:
    """Count the pairs in which one number is smaller than another."""
    if not {one, other} <= {*pairs}:
        return 0
    scores = [pd.to_numeric(pairs[name], errors="coerce") for name in (one, other)]
    return int((scores[0] < scores[1]).sum())


def _one_winner(uses: Mapping[str, str], preferences: Preferences) -> Iterator[Remark]:
    """Say where one side always wins: its values may have been read the wrong way."""
    y = preferences.y
    decided = y[y != 0.5]
    if len(decided) > 1 and len(np.unique(decided > 0.5)) == 1:
        side = "first" if decided[0] > 0.5 else "second"
        names = [name for name, use in uses.items() if use.startswith(side)]
        column = [name for name, use in uses.items() if use.startswith("winner")]
        yield Remark(
            f"in all {len(decided)} rows the {side} response"
            f"{f' ({names[0]})' if names else ''} won: "
            f"{', '.join(column) or 'the winner'} never takes its other value. If that "
            "is read the wrong way round, say what its values mean with winner={...}",
            is_warning=True,
        )


def _contradictions(preferences: Preferences) -> Iterator[Remark]:
    """Count the pairs of responses that were preferred both ways."""
    pairs, items = preferences.pairs, preferences.items
    if len(pairs) < 2:
        return
    # Items that differ in a rating alone have one text.
    texts = None if set(items) <= _PLAIN_ITEMS else items["response"]
    graph = ComparisonGraph(items["prompt_id"].to_numpy(), texts, pairs)
    marked = graph.contradictory()
    if marked.any():
        n = len(np.unique(graph.unit[marked]))
        yield Remark(
            f"{int(marked.sum())} pairs contradict each other: the same two responses, "
            f"preferred both ways ({_counted(n, 'comparison')})"
        )
    repeats = len(graph.unit) - 1 - int(graph.unit.max())
    if repeats:
        repeated = _counted(repeats, "pair")
        yield Remark(f"{repeated} of two responses that were compared before")


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _several_ratings(preferences: Preferences) -> Iterator[Remark]:
    items = preferences.items
    rated = [name for name in ("score", "rank") if name in items]
    if not rated or not len(items):
        return
    known = items[items[rated[0]].notna()]
    n = int(known.duplicated(["prompt_id", "response"], keep=False).sum())
    if n and "annotator" in items:
        yield Remark(
            f"{n} ratings are of responses that several annotators rated: ratings are "
            "compared within each annotator"
        )
    elif n:
        yield Remark(f"{n} ratings are of responses that were rated more than once")
