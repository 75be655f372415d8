"""Over-optimisation curves agree with exact best-of-n curves and with drawing."""

import numpy as np
import pytest

from embrm.evaluate import (
    best_of_n_curve,
    best_of_n_kl,
    overoptimisation_curve,
    pool_best_of_n_kl,
)
from embrm.exceptions import InvalidInputError


@pytest.fixture(scope="module")
def pool():
    """Gold, proxy and prompt ids of 40 prompts with 30 responses, some tied."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=1200)
    proxy = np.round(gold + rng.normal(size=1200), 1)
    return gold, proxy, np.repeat(np.arange(40), 30)


def test_gains_are_those_of_the_best_of_n_curve(pool):
    """Less the mean of a random response, for gold and proxy."""
    n = np.array([1, 3, 10, 30])
    curve = overoptimisation_curve(*pool, strength=n, n_resamples=20)
    gold, proxy, prompts = pool
    for band, measured in ((curve.gold, gold), (curve.proxy, proxy)):
        exact = best_of_n_curve(measured, proxy, prompts, n_resamples=1).mean
        np.testing.assert_allclose(band.mean, exact[n - 1] - exact[0], atol=1e-12)


def test_the_axis_is_the_published_one_or_the_pool_s(pool):
    """log n - (n - 1) / n, or exact with ties."""
    n = np.array([1, 4, 16])
    options = {"strength": n, "n_resamples": 5}
    published = overoptimisation_curve(*pool, **options)
    exact = overoptimisation_curve(*pool, divergence="pool", **options)
    np.testing.assert_allclose(published.kl, best_of_n_kl(n), atol=1e-12)
    expected = pool_best_of_n_kl(pool[1], pool[2], n)
    np.testing.assert_allclose(exact.kl, expected, atol=1e-12)


def test_the_tilt_rises_from_the_reference_to_the_best_response(pool):
    """Divergence from 0 to nearly log K, proxy from 0 to its largest."""
    gold, proxy, prompts = pool
    proxy = proxy + 1e-3 * np.random.default_rng(5).normal(size=len(proxy))
    curve = overoptimisation_curve(
        gold, proxy, prompts, policy="tilt", strength=[0, 1, 1e5], n_resamples=5
    )
    assert curve.kl[0] == pytest.approx(0, abs=1e-12)
    assert curve.kl[-1] == pytest.approx(np.log(30), rel=1e-3)
    best = best_of_n_curve(proxy, proxy, prompts, n_resamples=1).mean
    assert curve.proxy.mean[-1] == pytest.approx(best[-1] - best[0], rel=1e-3)


def test_accuracy_agrees_with_drawing_pairs(pool):
    """Two independent bests of four, ordered by the proxy."""
    gold, proxy, prompts = (column[:300] for column in pool)
    curve = overoptimisation_curve(gold, proxy, prompts, strength=[4], n_resamples=5)
    rng = np.random.default_rng(1)
    agree = differ = 0.0
    for prompt in range(10):
        g, r = gold[prompts == prompt], proxy[prompts == prompt]
        keys = rng.random((8000, 30)).argsort(axis=1)[:, :4]
        tie = rng.random((8000, 4)) * 1e-6
        pick = keys[np.arange(8000), np.argmax(r[keys] + tie, axis=1)]
        one, other = pick[:4000], pick[4000:]
        known = g[one] != g[other]
        differ += known.sum()
        same = r[one] == r[other]
        right = (r[one] > r[other]) == (g[one] > g[other])
        agree += np.where(same, 0.5, right)[known].sum()
    assert curve.accuracy.mean[0] == pytest.approx(agree / differ, abs=0.01)


def test_accuracy_at_the_reference_is_order_consistency(pool):
    """Two random responses of a prompt, whichever side the second is from."""
    options = {"strength": [1], "n_resamples": 5}
    one = overoptimisation_curve(*pool, **options)
    other = overoptimisation_curve(*pool, against="reference", **options)
    assert one.accuracy.mean == pytest.approx(other.accuracy.mean)
    assert 0.7 < one.accuracy.mean[0] < 0.8


def test_the_best_of_all_has_no_pair():
    """The policy gives one response for ever: accuracy is NaN."""
    gold = np.array([1.0, 3.0, 2.0, 1.0, 2.0, 4.0])
    curve = overoptimisation_curve(gold, gold, list("aaabbb"), strength=[1, 3])
    assert curve.accuracy.mean[0] == 1
    assert np.isnan(curve.accuracy.mean[1])


def test_prompts_without_n_items_drop_out():
    """They are counted at each point."""
    gold = np.array([1.0, 2.0, 1.0, 2.0, 3.0])
    curve = overoptimisation_curve(gold, gold, list("aabbb"), strength=[1, 2, 3])
    assert curve.gold.n_prompts.tolist() == [2, 2, 1]


def test_units_of_the_reward_do_not_matter(pool):
    """A tilt's strength is in standard deviations of the reward."""
    gold, proxy, prompts = pool
    options = {"policy": "tilt", "strength": [0.5, 2.0], "n_resamples": 5}
    one = overoptimisation_curve(gold, proxy, prompts, **options)
    other = overoptimisation_curve(gold, 1000 * proxy + 7, prompts, **options)
    np.testing.assert_allclose(one.kl, other.kl)
    np.testing.assert_allclose(one.gold.mean, other.gold.mean)


def test_bands_hold_their_means(pool):
    """Over resampled prompts, as every interval."""
    curve = overoptimisation_curve(*pool, strength=[2, 8])
    for band in (curve.gold, curve.proxy, curve.accuracy):
        assert np.all(band.low < band.mean)
        assert np.all(band.mean < band.high)
    assert curve.resampled["gold"].shape == (2000, 2)


def test_the_frame_has_a_row_per_strength(pool):
    """With bands for gold, proxy and accuracy."""
    frame = overoptimisation_curve(*pool, strength=[2, 8], n_resamples=5).to_frame()
    assert frame["strength"].tolist() == [2, 8]
    assert {"kl", "gold_low", "proxy_high", "accuracy", "n_prompts"} <= set(frame)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": "ppo"}, "policy one of best_of_n, tilt"),
        ({"against": "gold"}, "against one of policy, reference"),
        ({"policy": "tilt", "divergence": "published"}, "divergence of policy='tilt'"),
        ({"strength": [4, 2]}, ">= 0 and ascending"),
        ({"policy": "tilt", "strength": [-1, 2]}, ">= 0 and ascending"),
        ({"strength": [2, 31]}, "n up to 30, the size of the largest prompt"),
        ({"strength": [0, 2]}, "n of integers >= 1"),
    ],
)
def test_wrong_options_are_refused(pool, options, words):
    """The error says what is possible."""
    with pytest.raises(InvalidInputError, match=words):
        overoptimisation_curve(*pool, **options)


@pytest.mark.parametrize("name", ["gold", "reward"])
def test_scores_must_differ_within_a_prompt(name):
    """Otherwise there is nothing to optimise."""
    scores = {"gold": [1.0, 2.0], "reward": [1.0, 2.0], name: [3.0, 3.0]}
    with pytest.raises(InvalidInputError, match=f"{name} that differs within some"):
        overoptimisation_curve(**scores, prompt_ids=["a", "a"])
