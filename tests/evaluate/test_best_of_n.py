"""The best-of-n curve is exact: it agrees with the enumeration of all subsets."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.evaluate import best_of_n_curve, pick_quality
from embrm.exceptions import InvalidInputError


def enumerate_subsets(gold, reward, n):
    """Average the gold of the pick over all subsets of n; ties share equally."""
    picks = []
    for subset in itertools.combinations(range(len(gold)), n):
        top = max(reward[i] for i in subset)
        tied = [gold[i] for i in subset if reward[i] == top]
        picks.append(sum(tied) / len(tied))
    return sum(picks) / len(picks)


@given(
    gold=st.lists(st.floats(-9, 9), min_size=7, max_size=7),
    reward=st.lists(st.integers(0, 4), min_size=7, max_size=7),
    size=st.integers(1, 7),
)
@settings(max_examples=50)
def test_the_curve_agrees_with_all_subsets(gold, reward, size):
    """With ties in reward, which share equally."""
    gold, reward = gold[:size], reward[:size]
    curve = best_of_n_curve(gold, reward, ["a"] * size, n_resamples=1)
    expected = [enumerate_subsets(gold, reward, n) for n in range(1, size + 1)]
    np.testing.assert_allclose(curve.mean, expected, atol=1e-12)


def test_the_curve_agrees_with_the_unbiased_estimator():
    """Sum over i of C(i-1, n-1) / C(N, n) gold_(i), in exact integers."""
    rng = np.random.default_rng(0)
    gold, reward = rng.normal(size=80), rng.permutation(80)
    ranked = gold[np.argsort(reward)]
    curve = best_of_n_curve(gold, reward, np.zeros(80, dtype=int))
    for n in (1, 2, 17, 79, 80):
        weights = [math.comb(i - 1, n - 1) / math.comb(80, n) for i in range(1, 81)]
        assert curve.mean[n - 1] == pytest.approx(np.dot(weights, ranked))


def test_the_curve_agrees_with_shuffling():
    """Which adds noise to it and nothing else."""
    rng = np.random.default_rng(1)
    gold = rng.normal(size=30)
    reward = gold + rng.normal(size=30)
    draws = rng.permuted(np.tile(np.arange(30), (20_000, 1)), axis=1)[:, :5]
    picks = gold[draws[np.arange(20_000), np.argmax(reward[draws], axis=1)]]
    curve = best_of_n_curve(gold, reward, ["a"] * 30)
    assert curve.mean[4] == pytest.approx(picks.mean(), abs=0.02)


def test_the_curve_begins_at_the_mean_and_ends_at_the_pick():
    """One draw is a random pick; all K leave no choice."""
    gold, reward = [3.0, 1.0, 2.0], [0.1, 0.9, 0.5]
    curve = best_of_n_curve(gold, reward, ["a"] * 3)
    assert curve.mean[[0, 2]] == pytest.approx([2.0, 1.0])


def test_a_constant_reward_is_a_random_pick():
    """Its curve is flat."""
    curve = best_of_n_curve([3.0, 1.0, 5.0], [0, 0, 0], ["a"] * 3)
    assert curve.mean == pytest.approx([3.0, 3.0, 3.0])


@given(
    gold=st.lists(st.floats(-9, 9), min_size=6, max_size=6),
    order=st.permutations(range(6)),
)
@settings(max_examples=30)
def test_no_head_is_above_gold_itself(gold, order):
    """Picking by gold is the ceiling, and it rises with n."""
    prompts = np.repeat(["a", "b"], 3)
    curve = best_of_n_curve(gold, order, prompts, n_resamples=1)
    ceiling = best_of_n_curve(gold, gold, prompts, n_resamples=1)
    assert (curve.mean <= ceiling.mean + 1e-12).all()
    assert (np.diff(ceiling.mean) >= -1e-12).all()


def test_the_mean_is_over_prompts_with_enough_items():
    """Ragged prompts drop out where they end."""
    gold, reward = [1.0, 2.0, 10.0, 20.0, 30.0], [1, 2, 1, 2, 3]
    curve = best_of_n_curve(gold, reward, ["a", "a", "b", "b", "b"])
    assert curve.n_prompts.tolist() == [2, 2, 1]
    by_hand = [(1.5 + 20) / 2, (2 + 80 / 3) / 2, 30]
    assert curve.mean == pytest.approx(by_hand)


def test_the_order_of_items_does_not_matter():
    """Items of a prompt need not be adjacent."""
    rng = np.random.default_rng(2)
    gold, reward = rng.normal(size=40), rng.integers(9, size=40)
    prompts = rng.integers(6, size=40)
    order = rng.permutation(40)
    one = best_of_n_curve(gold, reward, prompts)
    other = best_of_n_curve(gold[order], reward[order], prompts[order])
    np.testing.assert_allclose(one.mean, other.mean)
    np.testing.assert_allclose(one.low, other.low)


def test_n_max_cuts_the_curve():
    """And may be more than there is."""
    scores, prompts = np.arange(6.0), ["a"] * 6
    whole = best_of_n_curve(scores, scores, prompts)
    cut = best_of_n_curve(scores, scores, prompts, n_max=2)
    more = best_of_n_curve(scores, scores, prompts, n_max=99)
    assert cut.mean.tolist() == whole.mean[:2].tolist()
    assert more.n.tolist() == whole.n.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_pool_of_twelve_thousand_does_not_overflow():
    """Binomials of 12,600 have thousands of digits."""
    gold = np.random.default_rng(3).normal(size=12_600)
    curve = best_of_n_curve(gold, gold, np.zeros(12_600, dtype=int), n_resamples=1)
    assert np.isfinite(curve.mean).all()
    assert curve.mean[-1] == pytest.approx(gold.max(), rel=1e-9)
    assert curve.mean[1] == pytest.approx(
        gold.mean() + gold.std() / np.sqrt(np.pi), 0.02
    )
    shifted = best_of_n_curve(np.ones(12_600), gold, np.zeros(12_600), 600)
    assert shifted.mean == pytest.approx(np.ones(600), rel=1e-11)


def test_the_band_is_about_the_mean_of_prompts():
    """Its width is that of a mean of independent prompts."""
    rng = np.random.default_rng(4)
    prompts = np.repeat(np.arange(200), 4)
    gold = rng.normal(size=800)
    curve = best_of_n_curve(gold, gold, prompts)
    by_prompt = np.sort(gold.reshape(200, 4), axis=1)
    expected = 2 * 1.96 * by_prompt[:, -1].std() / np.sqrt(200)
    assert curve.high[-1] - curve.low[-1] == pytest.approx(expected, rel=0.1)
    assert curve.low[-1] < curve.mean[-1] < curve.high[-1]


def test_one_prompt_has_no_band():
    """Also where all but one prompt have ended."""
    gold = [1.0, 2.0, 1.0, 2.0, 3.0]
    curve = best_of_n_curve(gold, gold, list("aabbb"))
    assert np.isfinite(curve.low).tolist() == [True, True, False]
    assert np.isnan(best_of_n_curve([1.0, 2.0], [1, 2], ["a", "a"]).high).all()


def test_the_divergence_of_best_of_n():
    """Zero for one draw, log 2 - 1/2 for two."""
    curve = best_of_n_curve([1.0, 2.0], [1, 2], ["a", "a"])
    assert curve.kl == pytest.approx([0.0, np.log(2) - 0.5])


def test_the_frame_has_a_row_per_n():
    """With its divergence, band and number of prompts."""
    frame = best_of_n_curve([1.0, 2.0], [1, 2], ["a", "a"]).to_frame()
    assert list(frame.columns) == ["n", "kl", "mean", "low", "high", "n_prompts"]
    assert len(frame) == 2


def test_n_max_is_a_positive_integer():
    """Best of none is nothing."""
    with pytest.raises(InvalidInputError, match="an integer n_max >= 1"):
        best_of_n_curve([1.0], [1.0], ["a"], n_max=0)


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
@settings(max_examples=40)
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
