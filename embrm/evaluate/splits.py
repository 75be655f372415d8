"""Splits by prompt, with both ends of every pair on the same side.

Grouped cross-validation on the first prompt leaks for pairs across prompts: the second
prompt of nearly every test pair is then in the training set. Here a prompt is in
training or in test, whichever end of a pair it is at.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator

from embrm._typing import BoolArray, IntArray, RandomState
from embrm._validation import (
    check_choice,
    check_count,
    check_inner_share,
    check_random_state,
)
from embrm.evaluate.inputs import group_codes, group_ids, number_prompts
from embrm.exceptions import invalid_input
from embrm.pairs import Pairs


class PromptGroupKFold(BaseCrossValidator):
    """K folds of prompts, for pairs whose ends may answer two prompts.

    Each prompt is in one fold. A fold's training pairs have no end in its prompts; its
    test pairs have both ends in them, or either (`test`).

    Parameters
    ----------
    n_splits : int >= 2, default=5
    test : {"both", "any"}, default="both"
        "both": a test pair has both ends in the fold, and pairs with one end there are
        in neither set (of random cross-prompt pairs with 5 folds: 64% train, 4% test,
        32% left out). "any": a test pair has an end in the fold, so its other prompt
        may be one that was trained on. For pairs within prompts both are the same, the
        folds partition the pairs, and `cross_val_predict` works.
    shuffle : bool, default=False
        Deal prompts with equally many pairs in random order, instead of sorted by id.
    random_state : int, Generator, RandomState or None, default=None
        Used if `shuffle`.

    Raises
    ------
    InvalidInputError
        If `n_splits` is not an integer above 1, or `test` another word.

    Notes
    -----
    Prompts are dealt to folds in descending number of pairs, each to the fold that has
    fewest pairs so far. The folds do not depend on the order of the pairs.

    Examples
    --------
    >>> import numpy as np
    >>> groups = [["a", "a"], ["a", "b"], ["b", "b"], ["c", "c"]]
    >>> for train, test in PromptGroupKFold(3).split(np.zeros(4), groups=groups):
    ...     print(train, test)
    [2 3] [0]
    [0 3] [2]
    [0 1 2] [3]
    """

    # scikit-learn's metadata routing reads this: groups are always asked for.
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        n_splits: int = 5,
        *,
        test: str = "both",
        shuffle: bool = False,
        random_state: RandomState = None,
    ) -> None:
        check_choice(test, "test", ("both", "any"))
        self.n_splits = check_count(n_splits, "n_splits", 2)
        self.test = test
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        groups: ArrayLike | None = None,
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Give the training and test pairs of each fold.

        Parameters
        ----------
        X : Pairs or array-like of length n_pairs
        y : ignored
        groups : array-like of shape (n_pairs, 2) or (n_pairs,), optional
            `Pairs.groups`, or one prompt id per pair. May be left out if X is `Pairs`
            with `prompt_ids`.

        Yields
        ------
        train, test : ndarray of int
            Positions of pairs.

        Raises
        ------
        InvalidInputError
            If prompts are unknown or fewer than folds, or a fold has no pair on one
            side.
        """
        codes, n_prompts = _codes_of(X, groups)
        if n_prompts < self.n_splits:
            raise invalid_input(
                expected=f"at least one prompt for each of {self.n_splits} folds",
                got=f"{n_prompts} prompts",
                fix="lower n_splits, or collect pairs on more prompts",
            )
        rng = check_random_state(self.random_state) if self.shuffle else None
        fold_of_prompt = _deal(codes, n_prompts, self.n_splits, rng)
        for fold in range(self.n_splits):
            yield _train_and_test(codes, fold_of_prompt == fold, self.test)

    def get_n_splits(
        self,
        X: Any = None,  # noqa: ARG002
        y: Any = None,  # noqa: ARG002
        groups: Any = None,  # noqa: ARG002
    ) -> int:
        """Return the number of folds; all arguments are ignored."""
        return self.n_splits


@dataclass(frozen=True)
class LeakageReport:
    """What two sets of pairs have in common.

    Attributes
    ----------
    n_train_prompts, n_test_prompts, n_shared_prompts : int
    n_leaking_pairs : int
        Test pairs with at least one end in a training prompt.
    n_test_pairs : int

    Examples
    --------
    >>> print(leakage_report(["a", "b"], [["c", "b"], ["c", "c"]]))
    1 of 2 test prompts also in training; 1 of 2 test pairs leak
    """

    n_train_prompts: int
    n_test_prompts: int
    n_shared_prompts: int
    n_leaking_pairs: int
    n_test_pairs: int

    def __str__(self) -> str:
        return (
            f"{self.n_shared_prompts} of {self.n_test_prompts} test prompts also in "
            f"training; {self.n_leaking_pairs} of {self.n_test_pairs} test pairs leak"
        )


def leakage_report(train_groups: ArrayLike, test_groups: ArrayLike) -> LeakageReport:
    """Count the prompts that are in training and in test.

    Parameters
    ----------
    train_groups, test_groups : array-like of shape (n_pairs, 2) or (n_pairs,)
        Prompt ids of the pairs' ends (`Pairs.groups`), or of the pairs.

    Returns
    -------
    LeakageReport

    Raises
    ------
    InvalidInputError
        On a wrong shape or a missing id.

    Examples
    --------
    >>> leakage_report([1, 2, 3], [4, 5]).n_shared_prompts
    0
    """
    train, test = group_ids(train_groups), group_ids(test_groups)
    group_codes(train)
    test_codes, _ = group_codes(test)
    _, train_prompts = number_prompts(train, "train_groups")
    _, test_prompts = number_prompts(test, "test_groups")
    shared = np.isin(test_prompts, train_prompts)
    return LeakageReport(
        n_train_prompts=len(train_prompts),
        n_test_prompts=len(test_prompts),
        n_shared_prompts=int(shared.sum()),
        n_leaking_pairs=int(shared[test_codes].any(axis=1).sum()),
        n_test_pairs=len(test_codes),
    )


def prompt_train_test_split(
    pairs: Any,
    *,
    test_size: float = 0.2,
    test: str = "both",
    random_state: RandomState = None,
) -> tuple[IntArray, IntArray]:
    """Draw prompts for a test set; give the training and the test pairs.

    Parameters
    ----------
    pairs : Pairs, or array-like of shape (n_pairs, 2) or (n_pairs,)
        Pairs with `prompt_ids`, or their groups.
    test_size : float in (0, 1), default=0.2
        Share of the *prompts*, rounded, at least one, that go to the test set.
    test : {"both", "any"}, default="both"
        Whether a test pair has both ends in test prompts, or either; training pairs
        have none. See `PromptGroupKFold`.
    random_state : int, Generator, RandomState or None, default=None

    Returns
    -------
    train, test : ndarray of int
        Positions of pairs.

    Raises
    ------
    InvalidInputError
        If prompts are unknown, `test_size` is out of range, or a side has no pair.

    Examples
    --------
    >>> train, test = prompt_train_test_split(list("aabbccddee"), random_state=0)
    >>> len(train), len(test)
    (8, 2)
    """
    check_choice(test, "test", ("both", "any"))
    check_inner_share(test_size, "test_size", "0.2 to test on a fifth of the prompts")
    groups = None if isinstance(pairs, Pairs) else pairs
    codes, n_prompts = _codes_of(pairs, groups)
    n_test = max(1, round(test_size * n_prompts))
    drawn = check_random_state(random_state).permutation(n_prompts)[:n_test]
    held_out = np.zeros(n_prompts, dtype=bool)
    held_out[drawn] = True
    return _train_and_test(codes, held_out, test)


def _codes_of(X: Any, groups: ArrayLike | None) -> tuple[IntArray, int]:
    if groups is None and isinstance(X, Pairs):
        groups = X.groups
    if groups is None:
        raise invalid_input(
            expected="groups, the prompt ids of the pairs",
            got="None",
            fix="pass groups=pairs.groups, or Pairs made with prompt_ids",
        )
    return group_codes(groups, len(X))


def _deal(
    codes: IntArray, n_prompts: int, n_folds: int, rng: np.random.Generator | None
) -> IntArray:
    """Deal prompts to folds, those with most pairs first, each to the emptiest fold."""
    n_pairs = np.bincount(codes[:, 0], minlength=n_prompts)
    crosses = codes[:, 0] != codes[:, 1]
    n_pairs += np.bincount(codes[crosses, 1], minlength=n_prompts)
    order = np.arange(n_prompts) if rng is None else rng.permutation(n_prompts)
    order = order[np.argsort(-n_pairs[order], kind="stable")]
    folds = [(0, fold) for fold in range(n_folds)]
    fold_of_prompt = np.empty(n_prompts, dtype=np.intp)
    for prompt in order:
        filled, fold = folds[0]
        fold_of_prompt[prompt] = fold
        heapq.heapreplace(folds, (filled + int(n_pairs[prompt]), fold))
    return fold_of_prompt


def _train_and_test(
    codes: IntArray, held_out: BoolArray, test: str
) -> tuple[IntArray, IntArray]:
    """Part the pairs by which of their ends are held out."""
    inside = held_out[codes]
    train = np.flatnonzero(~inside.any(axis=1))
    tested = inside.all(axis=1) if test == "both" else inside.any(axis=1)
    if not len(train) or not tested.any():
        raise invalid_input(
            expected="pairs on both sides of every split",
            got=f"{len(train)} training and {int(tested.sum())} test pairs, with "
            f"{int(held_out.sum())} of {len(held_out)} prompts held out",
            fix="change the number of folds or test_size, or pass test='any' "
            "where few pairs have both ends in the prompts held out",
        )
    return train, np.flatnonzero(tested)
