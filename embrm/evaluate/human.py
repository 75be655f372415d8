"""How well people agree with each other: what a head can at most be asked for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, IntArray, RandomState
from embrm._validation import check_labels
from embrm.evaluate.inputs import check_delta
from embrm.evaluate.metrics import order_values
from embrm.evaluate.resampling import Interval, prompt_bootstrap
from embrm.exceptions import invalid_input


@dataclass(frozen=True)
class HumanCeiling:
    """Agreement of people who labelled the same pairs.

    Attributes
    ----------
    leave_one_out : Interval
        How often a label is that of the majority of the pair's other labels: the
        accuracy of a person, judged as a head is. Ties of the others count one half.
    pairwise : float in [0, 1]
        How often two labels of a pair are the same.
    head : Interval or None
        How often the head orders these pairs as the majority of the others does,
        label by label as for people; where deltas were passed.
    n_pairs : int
        Different pairs with at least two labels.
    n_labels : int
        Labels of these pairs.
    """

    leave_one_out: Interval
    pairwise: float
    head: Interval | None
    n_pairs: int
    n_labels: int

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, strings and None."""
        return {
            "leave_one_out": self.leave_one_out.to_json(),
            "pairwise": self.pairwise,
            "head": None if self.head is None else self.head.to_json(),
            "n_pairs": self.n_pairs,
            "n_labels": self.n_labels,
        }

    def __str__(self) -> str:
        words = (
            f"People agree with the majority of the others in "
            f"{self.leave_one_out.estimate:.1%} of {self.n_labels:,} labels on "
            f"{self.n_pairs:,} pairs [{self.leave_one_out.low:.3f}, "
            f"{self.leave_one_out.high:.3f}]"
        )
        if self.head is None:
            return f"{words}."
        return (
            f"{words}; the head, judged alike, in {self.head.estimate:.1%} "
            f"[{self.head.low:.3f}, {self.head.high:.3f}]."
        )


def human_ceiling(
    ids: ArrayLike,
    y: ArrayLike,
    delta: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> HumanCeiling | None:
    """Compute the agreement of people who labelled the same pairs.

    Parameters
    ----------
    ids : array-like of int of shape (n_labels, 2)
        First and second item of each label; (a, b) and (b, a) are one pair.
    y : array-like of shape (n_labels,) in [0, 1]
        Soft labels count as what is above or below 0.5; 0.5 is a tie.
    delta : array-like of shape (n_labels,), optional
        Of a head, to be judged alike.
    groups : array-like of shape (n_labels,) or (n_labels, 2), optional
        Prompts, for the intervals; without them, pairs are resampled.
    level, n_resamples, random_state
        As in `prompt_bootstrap`.

    Returns
    -------
    HumanCeiling or None
        None where no pair has two labels. 65 to 70% is usual for open questions.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    Examples
    --------
    >>> ceiling = human_ceiling([[0, 1], [1, 0], [0, 1]], [1, 0, 0])
    >>> round(ceiling.leave_one_out.estimate, 3), round(ceiling.pairwise, 3)
    (0.333, 0.333)
    """
    ends = np.asarray(ids)
    if ends.ndim != 2 or ends.shape[1] != 2:
        raise invalid_input(
            "ids of shape (n_labels, 2)", f"shape {ends.shape}", "pass pairs.ids"
        )
    labels = check_labels(y, n_pairs=len(ends))
    pair, swapped = _pairs_of(ends)
    votes = np.sign(labels - 0.5) * swapped
    n_labels = np.bincount(pair)[pair]
    several = n_labels > 1
    if not several.any():
        return None
    others = np.bincount(pair, weights=votes)[pair] - votes
    told = several & (votes != 0)
    if not told.any():
        return None
    settings: dict[str, Any] = {
        "groups": (pair if groups is None else np.asarray(groups))[told],
        "level": level,
        "n_resamples": n_resamples,
        "random_state": random_state,
    }
    people = 0.5 + 0.5 * np.sign(others) * votes
    head = None
    if delta is not None:
        differences = check_delta(delta) * swapped
        truth = 0.5 + 0.5 * np.sign(others)
        right = np.where(truth == 0.5, 0.5, order_values(differences, truth))
        head = prompt_bootstrap(right[told], **settings)
    return HumanCeiling(
        leave_one_out=prompt_bootstrap(people[told], **settings),
        pairwise=_pairwise(pair[several], votes[several]),
        head=head,
        n_pairs=len(np.unique(pair[several])),
        n_labels=int(several.sum()),
    )


def ceiling_of(
    preferences: Any, delta: ArrayLike | None = None, **options: Any
) -> HumanCeiling | None:
    """Compute the ceiling of preferences that name their annotators, else None."""
    if "annotator" not in preferences.pairs:
        return None
    ends = preferences.pairs[["first", "second"]].to_numpy()
    prompts = preferences.items["prompt_id"].to_numpy()[ends]
    return human_ceiling(ends, preferences.y, delta, prompts, **options)


def _pairs_of(ends: AnyArray) -> tuple[IntArray, FloatArray]:
    """Give each pair a number, in either order, and -1 to labels in reverse."""
    low, high = ends.min(axis=1), ends.max(axis=1)
    frame = pd.DataFrame({"low": low, "high": high})
    pair = frame.groupby(["low", "high"], sort=False).ngroup().to_numpy()
    return pair, np.where(ends[:, 0] == low, 1.0, -1.0)


def _pairwise(pair: IntArray, votes: FloatArray) -> float:
    """Compute the share of two labels of a pair that are the same, over all twos."""
    same, n = 0.0, np.bincount(pair).astype(float)
    for kind in (1.0, 0.0, -1.0):
        count = np.bincount(pair, weights=(votes == kind).astype(float))
        same += float((count * (count - 1)).sum())
    return same / float((n * (n - 1)).sum())
