"""Quantile, regret and recovery of the best of n agree with all subsets."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.evaluate import best_of_n_curve, pick_quality
from embrm.exceptions import InvalidInputError


def enumerate_picks(values, reward, n):
    picks = []
    for subset in itertools.combinations(range(len(values)), n):
        top = max(reward[i] for i in subset)
        picks.append(np.mean([values[i] for i in subset if reward[i] == top]))
    return np.mean(picks)


def beaten(gold):
    """Share of the others that are worse, ties one half, by counting."""
    return [
        (sum(o < g for o in gold) + (sum(o == g for o in gold) - 1) / 2)
        / (len(gold) - 1)
        for g in gold
    ]


@given(
    gold=st.lists(st.integers(-4, 4), min_size=6, max_size=6),
    reward=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    size=st.integers(2, 6),
)
@settings(deadline=None, max_examples=40)
def test_quality_agrees_with_all_subsets(gold, reward, size):
    """With ties in gold and in reward."""
    gold, reward = gold[:size], reward[:size]
    quality = pick_quality(gold, reward, ["a"] * size, n_resamples=1)
    rank = beaten(gold)
    for n in range(1, size + 1):
        pick = enumerate_picks(gold, reward, n)
        at = n - 1
        assert quality.quantile.mean[at] == pytest.approx(
            enumerate_picks(rank, reward, n), abs=1e-12
        )
        assert quality.regret.mean[at] == pytest.approx(max(gold) - pick, abs=1e-12)
        if max(gold) > min(gold):
            expected = (pick - np.mean(gold)) / (max(gold) - np.mean(gold))
            assert quality.recovery.mean[at] == pytest.approx(expected, abs=1e-12)


def test_a_perfect_reward_recovers_everything():
    """The best of all K by gold is the best: quantile 1, regret 0, recovery 1."""
    gold = np.random.default_rng(0).normal(size=60)
    quality = pick_quality(gold, gold, np.repeat(range(6), 10))
    assert quality.quantile.mean[-1] == pytest.approx(1)
    assert quality.regret.mean[-1] == pytest.approx(0, abs=1e-12)
    assert quality.recovery.mean[-1] == pytest.approx(1)


def test_a_random_pick_is_at_one_half():
    """With ties in gold as well: n = 1 recovers nothing."""
    rng = np.random.default_rng(1)
    gold = rng.integers(4, size=60)
    quality = pick_quality(gold, rng.normal(size=60), np.repeat(range(6), 10))
    assert quality.quantile.mean[0] == pytest.approx(0.5)
    assert quality.recovery.mean[0] == pytest.approx(0, abs=1e-12)


def test_a_reversed_reward_is_worse_than_chance():
    """Its pick is the worst; recovery is negative."""
    quality = pick_quality([1, 2, 3], [3, 2, 1], ["a"] * 3)
    assert quality.quantile.mean[-1] == 0
    assert quality.regret.mean[-1] == 2
    assert quality.recovery.mean[-1] == -1


def test_undefined_prompts_are_counted_and_left_out():
    """A single item has no rank; a constant gold has nothing to recover."""
    gold = [1.0, 0.1, 0.1, 0.1, 0.0, 2.0]
    quality = pick_quality(gold, [1, 2, 3, 4, 1, 2], list("abbbcc"))
    assert (quality.n_prompts, quality.n_single, quality.n_constant) == (3, 1, 1)
    assert quality.quantile.n_prompts.tolist() == [2, 2, 1]
    assert quality.recovery.n_prompts.tolist() == [1, 1, 0]
    assert quality.regret.n_prompts.tolist() == [3, 2, 1]


def test_regret_is_what_the_curve_lacks_of_the_best():
    """Means over prompts agree with best_of_n_curve."""
    rng = np.random.default_rng(2)
    gold, prompts = rng.normal(size=80), np.repeat(range(8), 10)
    reward = gold + rng.normal(size=80)
    quality = pick_quality(gold, reward, prompts)
    curve = best_of_n_curve(gold, reward, prompts)
    best = gold.reshape(8, 10).max(axis=1).mean()
    np.testing.assert_allclose(quality.regret.mean, best - curve.mean)


def test_bands_hold_their_means():
    """All three come with bands over prompts."""
    rng = np.random.default_rng(3)
    gold = rng.normal(size=400)
    quality = pick_quality(gold, gold + rng.normal(size=400), np.repeat(range(40), 10))
    for curve in (quality.quantile, quality.regret, quality.recovery):
        assert np.all(curve.low[1:] < curve.mean[1:])
        assert np.all(curve.mean[1:] < curve.high[1:])


def test_the_frame_is_long():
    """A row for each measure and n."""
    frame = pick_quality([1, 2, 3], [3, 2, 1], ["a"] * 3, n_max=2).to_frame()
    assert list(frame["measure"]) == [
        m for m in ("quantile", "regret", "recovery") for _ in range(2)
    ]


def test_the_summary_counts_what_is_undefined():
    """One line for a log."""
    quality = pick_quality([1.0, 2.0, 2.0], [3, 2, 1], ["a", "b", "b"])
    assert str(quality) == (
        "best of 2: quantile 0.500, regret 0.000, recovery nan "
        "(2 prompts, recovery undefined in 2)"
    )


def test_scores_must_describe_the_same_items():
    """Lengths must agree."""
    with pytest.raises(InvalidInputError, match=r"reward of shape \(2,\)"):
        pick_quality([1, 2], [1], ["a", "a"])
