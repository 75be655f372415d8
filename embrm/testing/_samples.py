"""Samples on which heads are checked, and the report of a failed expectation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import FloatArray, IntArray
from embrm.exceptions import InvalidInputError
from embrm.pairs import Pairs

N_FEATURES = 4
_REWARD_OF_FEATURES = np.array([1.0, -1.0, 0.5, 0.0])


@dataclass(frozen=True, eq=False)
class Sample:
    """Pairs with labels from a planted linear reward.

    Attributes
    ----------
    pairs : Pairs
        Of items whose entries are multiples of 1/64 below 4: exact even in float16.
    y : ndarray of int of shape (n_pairs,)
    gold : ndarray of shape (n_items,)
        The planted reward.
    weight : ndarray of shape (n_pairs,)
        1, 2 or 3 for each pair.
    """

    pairs: Pairs
    y: IntArray
    gold: FloatArray
    weight: FloatArray

    @property
    def dense(self) -> FloatArray:
        """The pairs as an array of shape (n_pairs, 2, d)."""
        return np.asarray(self.pairs)

    @property
    def items(self) -> FloatArray:
        """The item matrix of the pairs."""
        return self.pairs.items


def make_sample(
    *, n_prompts: int = 12, n_responses: int = 3, error_rate: float = 0.1, seed: int = 0
) -> Sample:
    """Make all pairs of responses to a few prompts, in random orientation.

    Examples
    --------
    >>> make_sample().pairs
    Pairs(36 pairs, 36 items, d=4, float64, 0% cross-prompt)
    """
    rng = np.random.default_rng(seed)
    n_items = n_prompts * n_responses
    items = rng.integers(-128, 129, (n_items, N_FEATURES)) / 64
    gold = items @ _REWARD_OF_FEATURES
    prompt = np.repeat(np.arange(n_prompts), n_responses)
    ids = np.array(
        [
            (i, j)
            for i in range(n_items)
            for j in range(i + 1, n_items)
            if prompt[i] == prompt[j]
        ]
    )
    turned = rng.random(len(ids)) < 0.5
    ids[turned] = ids[turned, ::-1]
    y = (gold[ids[:, 0]] > gold[ids[:, 1]]).astype(np.intp)
    wrong = rng.random(len(ids)) < error_rate
    pairs = Pairs(items, ids, prompt_ids=[f"prompt {n}" for n in prompt])
    weight = rng.integers(1, 4, len(ids)).astype(np.float64)
    return Sample(pairs, np.where(wrong, 1 - y, y), gold, weight)


def fresh(head: Any) -> Any:
    """Return an unfitted clone, with a fixed seed where the head takes one."""
    copy = clone(head)
    if "random_state" in copy.get_params(deep=False):
        copy.set_params(random_state=0)
    return copy


def fitted_sample(head: Any) -> tuple[Any, Sample]:
    """Fit a fresh copy of a head on the sample."""
    sample = make_sample()
    return fresh(head).fit(sample.pairs, sample.y), sample


def tolerance_of(head: Any) -> float:
    """Return how closely two equivalent fits of a head must agree.

    The class attribute `check_tolerance` of a head overrides the default of 1e-6.
    """
    return float(getattr(head, "check_tolerance", 1e-6))


def expect(holds: Any, claim: str) -> None:
    """Raise AssertionError with the claim if it does not hold.

    Examples
    --------
    >>> expect(1 < 2, "one is less than two")
    """
    if not holds:
        raise AssertionError(claim)


def expect_equal(got: ArrayLike, wanted: ArrayLike, claim: str) -> None:
    """Expect two arrays to be equal bit for bit, NaN never."""
    expect_close(got, wanted, claim, tolerance=0.0)


def expect_close(
    got: ArrayLike, wanted: ArrayLike, claim: str, *, tolerance: float
) -> None:
    """Expect two arrays to agree, relative to the largest magnitude wanted."""
    first, second = np.asarray(got), np.asarray(wanted)
    expect(
        first.shape == second.shape, f"{claim}: shapes {first.shape}, {second.shape}"
    )
    if first.size == 0:
        return
    first, second = first.astype(np.float64), second.astype(np.float64)
    gap = float(np.max(np.abs(first - second)))
    scale = max(1.0, float(np.max(np.abs(second))))
    expect(gap <= tolerance * scale, f"{claim}: they differ by {gap:.3g}")


def expect_refusal(call: Callable[[], Any], *words: str, claim: str) -> None:
    """Expect `InvalidInputError` with a three-part message that has all the words."""
    try:
        call()
    except InvalidInputError as error:
        missing = [
            word
            for word in ("expected ", "; got ", "Fix: ", *words)
            if word not in str(error)
        ]
        expect(not missing, f"{claim}: the message lacks {missing}: {error}")
    except Exception as error:
        name = type(error).__name__
        raise AssertionError(f"{claim}: {name} instead of InvalidInputError") from error
    else:
        raise AssertionError(f"{claim}: it was accepted")
