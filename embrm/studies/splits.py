"""Splits of a pool by prompt, one for each seed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from embrm.evaluate import prompt_train_test_split
from embrm.pool import CandidatePool
from embrm.simulate.checks import require_gold, wrong

TEST_SHARE = 0.25
"""Share of the prompts that are held out."""

_SIZES_OF_CHOICE = (2, 4, 8, 16)
_FEWEST_RESPONSES = 4


@dataclass(frozen=True)
class Split:
    """What one seed trains in, and what it tests on.

    Attributes
    ----------
    seed : int
        Of the split, of the pairs and labels drawn, and of the heads.
    train, test : CandidatePool
        Of different prompts.
    """

    seed: int
    train: CandidatePool
    test: CandidatePool


def make_splits(pool: CandidatePool, seeds: Iterable[int]) -> list[Split]:
    """Hold out a quarter of the prompts, other ones for each seed.

    Parameters
    ----------
    pool : CandidatePool
        With gold; responses to at least 8 prompts.
    seeds : iterable of int

    Returns
    -------
    list of Split

    Raises
    ------
    InvalidInputError
        If the pool has no gold, or too few prompts or responses.

    Examples
    --------
    >>> pool = CandidatePool(np.eye(32), np.arange(32) // 4, gold=np.arange(32.0))
    >>> [split] = make_splits(pool, [3])
    >>> len(split.train.prompts), len(split.test.prompts)
    (6, 2)
    """
    require_gold(pool, "a study")
    if len(pool.sizes) < _FEWEST_PROMPTS or np.median(pool.sizes) < _FEWEST_RESPONSES:
        raise wrong(
            f"a pool of at least {_FEWEST_PROMPTS} prompts, half of them with "
            f"{_FEWEST_RESPONSES} responses or more",
            f"{len(pool.sizes)} prompts with a median of "
            f"{np.median(pool.sizes):g} responses",
            "take a larger pool: pairs of the responses to a prompt are what is "
            "annotated, and what heads are tested on",
        )
    splits = []
    for seed in seeds:
        train, test = prompt_train_test_split(
            pool.prompt_ids, test_size=TEST_SHARE, random_state=seed
        )
        splits.append(Split(seed, pool.take(train), pool.take(test)))
    return splits


def size_of_tens(pool: CandidatePool) -> int:
    """Choose how many responses make a "ten": ten, or what most prompts have.

    Examples
    --------
    >>> size_of_tens(CandidatePool(np.eye(12), np.arange(12) // 6))
    6
    """
    return min(10, int(np.median(pool.sizes)))


def sizes_of_choice(pool: CandidatePool) -> tuple[int, ...]:
    """Choose the n of best of n that at least half of the prompts have.

    Examples
    --------
    >>> sizes_of_choice(CandidatePool(np.eye(12), np.arange(12) // 6))
    (2, 4)
    """
    typical = float(np.median(pool.sizes))
    return tuple(n for n in _SIZES_OF_CHOICE if n <= typical)


_FEWEST_PROMPTS = 8
