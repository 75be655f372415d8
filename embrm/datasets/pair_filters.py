"""Quality filters about what pairs say: repeats, contradictions, ties, leakage, errors.

They chain with those of `embrm.datasets.quality`, and their reports add up with
theirs.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import BoolArray
from embrm.datasets._comparison_graph import ComparisonGraph
from embrm.datasets._diagnosis_prompts import DistinctPrompts, shared_prompts
from embrm.datasets.label_errors import find_label_errors
from embrm.datasets.near_duplicates import THRESHOLD, near_duplicate_groups
from embrm.datasets.preferences import Preferences
from embrm.datasets.quality import QualityReport, without, without_pairs


def filter_repeats(preferences: Preferences) -> tuple[Preferences, QualityReport]:
    """Keep the first of the pairs that say the same.

    A pair repeats another where the same two responses have the same label, whichever
    is first, by the same annotator where annotators are known.

    Parameters
    ----------
    preferences : Preferences

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"repeats an earlier pair"`.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "Why?", "chosen": "So it is.", "rejected": "No."}
    >>> kept, report = filter_repeats(read_preferences([row, row]))
    >>> len(kept), report.n_left_out
    (1, 1)
    """
    return without_pairs(
        preferences, _graph(preferences).repeated(), "repeats an earlier pair"
    )


def filter_contradictions(
    preferences: Preferences,
) -> tuple[Preferences, QualityReport]:
    """Keep the pairs of which no other pair says the contrary.

    All pairs about two responses go where one prefers the first and another the
    second of them; ties about them go too.

    Parameters
    ----------
    preferences : Preferences

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"contradicts another pair"`.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [
    ...     {"prompt": "Why?", "chosen": "So it is.", "rejected": "No."},
    ...     {"prompt": "Why?", "chosen": "No.", "rejected": "So it is."},
    ... ]
    >>> kept, report = filter_contradictions(read_preferences(rows))
    >>> report.n_left_out
    2
    """
    marked = _graph(preferences).contradictory()
    return without_pairs(preferences, marked, "contradicts another pair")


def filter_ties(preferences: Preferences) -> tuple[Preferences, QualityReport]:
    """Keep the pairs of which one response is preferred.

    Parameters
    ----------
    preferences : Preferences

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"tie"`.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "Why?", "chosen": "So it is.", "rejected": "No.", "y": 0.5}
    >>> kept, report = filter_ties(read_preferences([row]))
    >>> report.n_left_out
    1
    """
    return without_pairs(preferences, preferences.y == 0.5, "tie")


def filter_shared_prompts(
    preferences: Preferences,
    others: Preferences,
    near_threshold: float | None = THRESHOLD,
) -> tuple[Preferences, QualityReport]:
    """Keep the pairs, or of data without pairs the items, of prompts others lack.

    Parameters
    ----------
    preferences, others : Preferences
        `others` are a test set or a benchmark.
    near_threshold : float in [0.5, 1] or None, default=0.8
        As in `diagnose`: near-duplicates of a prompt of others go too.

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"prompt is also in "` and the name of the other source.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"prompt": "Why?", "chosen": "So it is.", "rejected": "No."}
    >>> train = read_preferences([row, row | {"prompt": "How?"}])
    >>> kept, report = filter_shared_prompts(train, read_preferences([row]))
    >>> kept.items["prompt"].unique().tolist()
    ['How?']
    """
    own = DistinctPrompts(preferences)
    exact, near = shared_prompts(own, DistinctPrompts(others), near_threshold)
    leaks = (exact | near)[own.of_item]
    reason = f"prompt is also in {others.read_report.source}"
    return _without_items(preferences, leaks, reason)


def filter_near_duplicate_prompts(
    preferences: Preferences, threshold: float = THRESHOLD
) -> tuple[Preferences, QualityReport]:
    """Keep the first of the prompts that are near-duplicates of one another.

    Pairs, or of data without pairs the items, of the others go.

    Parameters
    ----------
    preferences : Preferences
    threshold : float in [0.5, 1], default=0.8
        As in `near_duplicate_groups`.

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"near-duplicate prompt"`.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> row = {"chosen": "So it is.", "rejected": "No."}
    >>> prompts = ("Is the sea blue?", "is the sea blue", "Is it green?")
    >>> preferences = read_preferences([row | {"prompt": p} for p in prompts])
    >>> kept, report = filter_near_duplicate_prompts(preferences)
    >>> kept.items["prompt"].unique().tolist()
    ['Is the sea blue?', 'Is it green?']
    """
    own = DistinctPrompts(preferences)
    groups = near_duplicate_groups(own.texts, threshold)
    is_later = pd.Series(groups).duplicated().to_numpy()[own.of_item]
    return _without_items(preferences, is_later, "near-duplicate prompt")


def filter_label_errors(
    preferences: Preferences, probability: ArrayLike
) -> tuple[Preferences, QualityReport]:
    """Keep the pairs whose label does not look wrong; see `find_label_errors`.

    Parameters
    ----------
    preferences : Preferences
    probability : array-like of shape (n_pairs,) in [0, 1]
        P(first preferred) of a head that was not fitted on the pair's prompt.

    Returns
    -------
    kept : Preferences
    report : QualityReport
        Reason `"label looks wrong"`.

    Raises
    ------
    InvalidInputError
        If the probabilities are not one for each pair.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [
    ...     {"prompt": prompt, "chosen": "So it is.", "rejected": "No."}
    ...     for prompt in ("Why?", "How?", "When?")
    ... ]
    >>> kept, report = filter_label_errors(read_preferences(rows), [0.9, 0.9, 0.1])
    >>> report.left_out[0].where
    ('2',)
    """
    marked = np.zeros(len(preferences), dtype=bool)
    marked[find_label_errors(preferences.y, probability).pairs] = True
    return without_pairs(preferences, marked, "label looks wrong")


def _graph(preferences: Preferences) -> ComparisonGraph:
    return ComparisonGraph(
        DistinctPrompts(preferences).of_item,
        preferences.items["response"],
        preferences.pairs,
    )


def _without_items(
    preferences: Preferences, marked: BoolArray, reason: str
) -> tuple[Preferences, QualityReport]:
    """Leave out the pairs of marked items, or of data without pairs the items."""
    if not len(preferences):
        return without(preferences, np.where(marked, reason, ""))
    ends = preferences.pairs[["first", "second"]].to_numpy(np.intp)
    return without_pairs(preferences, marked[ends].any(axis=1), reason)
