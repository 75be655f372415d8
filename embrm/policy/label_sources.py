r"""Labels that no one was asked for: weak judges, use, responses to other prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import FloatArray, IntArray, Prompt, RandomState, Text
from embrm._validation import (
    as_numbers,
    check_labels,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.exceptions import invalid_input
from embrm.pairs import Pairs

if TYPE_CHECKING:
    import pandas as pd


def weak_to_strong(
    head: Any,
    pairs: Pairs,
    weak: ArrayLike,
    *,
    own_share: float = 0.0,
    by_confidence: bool = True,
) -> Any:
    r"""Fit a head on a weaker one's labels (Burns et al. 2023, arXiv:2312.09390).

    Parameters
    ----------
    head : RewardHead
        The strong student, which is cloned.
    pairs : Pairs
        In the student's vectors.
    weak : array-like of shape (n_pairs,)
        The teacher's probabilities that first is preferred.
    own_share : float in [0, 1), default=0
        Share of the label that is the student's own verdict, in a second fit: their
        auxiliary confidence loss. By it a student may overrule its teacher.
    by_confidence : bool, default=True
        Whether pairs weigh by the teacher's confidence, :math:`|2 p - 1|`, and labels
        are its verdicts; else labels are its probabilities.

    Returns
    -------
    RewardHead
        The fitted student.

    Notes
    -----
    It helps where the teacher errs in ways that the student's vectors do not show: such
    errors are noise to it. What the vectors show, a taste for length for one, it
    learns faithfully.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> items = np.random.default_rng(0).normal(size=(400, 2))
    >>> pairs = Pairs(items, np.arange(400).reshape(-1, 2))
    >>> teacher = np.where(items[::2, 0] > items[1::2, 0], 0.7, 0.3)
    >>> student = weak_to_strong(LinearBradleyTerry(posterior=False), pairs, teacher)
    >>> bool(student.coef_[0] > 10 * abs(student.coef_[1]))
    True
    """
    labels = check_labels(weak, n_pairs=len(pairs))
    share = check_share(own_share, "own_share")
    if share == 1:
        raise invalid_input("own_share below 1", "1", "leave the teacher a part")
    weights = np.abs(2 * labels - 1) if by_confidence else np.ones(len(labels))
    targets = (labels > 0.5).astype(float) if by_confidence else labels
    if not weights.any():
        raise invalid_input(
            "a teacher with an opinion", "probabilities of 1/2", "ask another teacher"
        )
    targets = np.where(labels == 0.5, 0.5, targets)
    student = clone(head).fit(pairs, targets, sample_weight=weights)
    if share:
        own = (student.decision_function(pairs) > 0).astype(float)
        mixed = (1 - share) * targets + share * own
        student = clone(head).fit(pairs, mixed, sample_weight=weights)
    return student


def implicit_labels(
    seconds: ArrayLike,
    *,
    bad_below: float = 5.0,
    good_above: float = 30.0,
    propensity: ArrayLike | None = None,
    largest_weight: float = 20.0,
) -> "pd.DataFrame":
    r"""Turn times of use into good-or-bad labels, weighted for how they came about.

    Parameters
    ----------
    seconds : array-like of shape (n_items,)
        For how long each response was played, read, ...; NaN where it was not shown.
    bad_below, good_above : float, default=5 and 30
        Seconds. Between the two nothing is said.
    propensity : array-like of shape (n_items,), in (0, 1], optional
        Probability that each response was shown. Weights are one over it, so that what
        was shown stands for what was not.
    largest_weight : float >= 1, default=20
        Where weights are cut: a bias that is paid for less noise.

    Returns
    -------
    DataFrame
        With columns `row`, `label` (True is good) and `weight`, for the responses of
        which something is said; heads that learn from labels take them.

    Raises
    ------
    InvalidInputError
        On a range that does not hold.

    Examples
    --------
    >>> implicit_labels([2.0, 12.0, 60.0], propensity=[1.0, 1.0, 0.5])
       row  label  weight
    0    0  False     1.0
    1    2   True     2.0
    """
    import pandas as pd

    times = as_numbers(seconds, "seconds")
    if times.ndim != 1 or not 0 <= bad_below <= good_above or (times < 0).any():
        raise invalid_input(
            "seconds >= 0 of shape (n_items,), and bad_below <= good_above",
            f"shape {times.shape}, {bad_below:g} and {good_above:g}",
            "pass times, NaN for what was not shown",
        )
    check_positive(largest_weight, "largest_weight")
    weights = np.ones(len(times))
    if propensity is not None:
        shown = as_numbers(propensity, "propensity")
        if shown.shape != times.shape or not ((shown > 0) & (shown <= 1)).all():
            raise invalid_input(
                f"propensities in (0, 1] of shape {times.shape}",
                f"shape {shown.shape}",
                "what can never be shown has no weight: drop it",
            )
        weights = np.minimum(1 / shown, largest_weight)
    rows = np.flatnonzero((times < bad_below) | (times >= good_above))
    return pd.DataFrame(
        {"row": rows, "label": times[rows] >= good_above, "weight": weights[rows]}
    )


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Pairs of responses to other prompts, and the texts that they need.

    Attributes
    ----------
    texts : list of (prompt, response)
        Items of all pairs, each once; those of the given pairs come first.
    n_known : int
        How many these are: `texts[n_known:]` are still to be embedded.
    ids : ndarray of int of shape (n_pairs, 2)
        Into `texts`.
    y : ndarray of shape (n_pairs,)
        1 where first answers the prompt and second does not, 0.5 where neither does.
    """

    texts: list[Text]
    n_known: int
    ids: IntArray
    y: FloatArray

    @property
    def missing(self) -> list[Text]:
        """Texts that are still to be embedded."""
        return self.texts[self.n_known :]


def augment_by_permutation(
    prompts: Sequence[Prompt],
    chosen: Sequence[str],
    rejected: Sequence[str],
    *,
    per_prompt: int = 2,
    random_state: RandomState = 0,
) -> Augmentation:
    r"""Pair responses with those to other prompts (RRM, Liu et al. 2024).

    A response to the prompt beats one to another prompt, whatever its looks; two of
    these are a tie (arXiv:2409.13156). With two other prompts each pair gives eight of
    the first kind and six of the second.

    Parameters
    ----------
    prompts : sequence of str or messages, all different
    chosen, rejected : sequence of str
    per_prompt : int >= 1, default=2
        Other prompts for each.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Augmentation

    Raises
    ------
    InvalidInputError
        On fewer prompts than are needed, or different lengths.

    Notes
    -----
    It helps where a taste for looks (length, lists) is what tells chosen from rejected
    in the given pairs; where looks are part of what is wanted, it hurts.

    Examples
    --------
    >>> more = augment_by_permutation("abc", ["A", "B", "C"], ["x", "y", "z"])
    >>> len(more.ids), len(more.missing), more.y[:8].tolist()
    (42, 12, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    n = len(prompts)
    if n != len(chosen) or n != len(rejected) or not 1 <= per_prompt < n:
        raise invalid_input(
            "prompts, chosen and rejected of one length above per_prompt",
            f"{n}, {len(chosen)} and {len(rejected)}",
            "pass a pair for each prompt, of three prompts or more",
        )
    generator = check_random_state(random_state)
    # Shifts along one random circle: no prompt meets itself.
    circle = generator.permutation(n)
    place = np.empty(n, dtype=np.intp)
    place[circle] = np.arange(n)
    shifts = generator.choice(np.arange(1, n), per_prompt, replace=False)
    texts: list[Text] = []
    for prompt, one, other in zip(prompts, chosen, rejected, strict=True):
        texts += [(prompt, one), (prompt, other)]
    ids: list[tuple[int, int]] = []
    labels: list[float] = []
    for number, prompt in enumerate(prompts):
        strangers = []
        for shift in shifts:
            source = int(circle[(place[number] + shift) % n])
            for response in (chosen[source], rejected[source]):
                strangers.append(len(texts))
                texts.append((prompt, response))
        wins = [(own, s) for own in (2 * number, 2 * number + 1) for s in strangers]
        ties = [(a, b) for at, a in enumerate(strangers) for b in strangers[at + 1 :]]
        ids += wins + ties
        labels += [1.0] * len(wins) + [0.5] * len(ties)
    return Augmentation(texts, 2 * n, np.array(ids, dtype=np.intp), np.array(labels))
