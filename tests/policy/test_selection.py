"""Selection among the responses of a pool."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.exceptions import InvalidInputError
from embrm.policy import Candidates, acceptance_rate, select_items, select_pairs


def random_pool(seed=0, n_prompts=40, **options):
    rng = np.random.default_rng(seed)
    prompts = rng.integers(0, n_prompts, 6 * n_prompts)
    return Candidates(rng.normal(size=len(prompts)).round(1), prompts, **options)


def by_prompt(pool):
    ids = np.asarray(pool.prompt_ids)
    return {p: np.flatnonzero(ids == p) for p in np.unique(ids)}


@pytest.mark.parametrize("strategy", ["best-vs-worst", "best-vs-second", "max_max"])
def test_pairs_are_those_of_a_loop_over_prompts(strategy):
    """With caution, length and ties, compared with sorting each prompt by itself."""
    rng = np.random.default_rng(1)
    plain = random_pool()
    std, length = rng.random(len(plain.reward)), rng.integers(1, 50, len(plain.reward))
    pool = Candidates(
        plain.reward, plain.prompt_ids, std, 0.5, length, length_penalty=0.01
    )
    expected = []
    for rows in by_prompt(pool).values():
        score = pool.reward[rows] - 0.01 * length[rows]
        good, bad = score - 0.5 * std[rows], score + 0.5 * std[rows]
        best = int(np.argmax(good))
        others = [n for n in range(len(rows)) if n != best]
        if not others:
            continue
        second = (
            min(others, key=lambda n: bad[n])
            if strategy == "best-vs-worst"
            else max(others, key=lambda n: good[n])
        )
        pair = (best, second) if score[best] >= score[second] else (second, best)
        if score[pair[0]] > score[pair[1]]:
            expected.append([rows[pair[0]], rows[pair[1]]])
    assert select_pairs(pool, strategy).ids.tolist() == expected


def test_a_random_opponent_is_any_of_the_others_equally_often():
    """Within four standard errors, over many prompts of the same rewards."""
    n = 4000
    pool = Candidates(np.tile([3.0, 0.0, 1.0, 2.0], n), np.repeat(np.arange(n), 4))
    rejected = select_pairs(pool, "max_random").ids[:, 1] % 4
    assert np.allclose(np.bincount(rejected, minlength=4)[1:] / n, 1 / 3, atol=0.03)
    first = select_pairs(pool, "random").ids[:, 0] % 4
    # The better of two distinct of four: 3/6, 2/6, 1/6 by rank.
    assert np.allclose(
        np.bincount(first)[[0, 3, 2]] / n, [1 / 2, 1 / 3, 1 / 6], atol=0.03
    )


def test_rlhflow_orders_by_reward_what_was_picked_net_of_length():
    """Their max_min_p swaps a pair whose penalty outweighs its reward."""
    pool = Candidates([2.0, 1.0], [0, 0], length=[100, 1], length_penalty=0.1)
    assert select_pairs(pool, "max_min_p").ids.tolist() == [[1, 0]]
    theirs = select_pairs(pool, "max_min_p", ordered_by="reward")
    assert theirs.ids.tolist() == [[0, 1]]
    assert theirs.margin.tolist() == [1.0]


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=6), st.integers(0, 5))
@settings(max_examples=30)
def test_margins_exceed_the_least_and_chosen_beats_rejected(rewards, least):
    """Whatever the rewards: no tie is ever a pair."""
    pool = Candidates(np.array(rewards, float), np.zeros(len(rewards)))
    pairs = select_pairs(pool, min_margin=float(least))
    spread = max(rewards) - min(rewards)
    assert len(pairs.ids) == (spread > least)
    assert len(pairs.ids) + sum(pairs.left_out.values()) == 1
    assert (pairs.margin == spread).all()


def test_every_prompt_is_accounted_for():
    """Those of one response are counted, not dropped in silence."""
    pool = Candidates([1.0, 2.0, 5.0, 5.0, 3.0], ["a", "a", "b", "b", "c"])
    assert select_pairs(pool).left_out == {"single response": 1, "margin too small": 1}


@pytest.mark.parametrize("n", [1, 2, 9])
def test_best_and_worst_of_n_are_the_ends_of_the_sorted_rewards(n):
    """Of a prompt with fewer all are taken."""
    pool = random_pool()
    jitter = Candidates(
        pool.reward + 1e-6 * np.arange(len(pool.reward)), pool.prompt_ids
    )
    best, worst = (select_items(jitter, s, n=n) for s in ("best-of-n", "worst-of-n"))
    ends = [r[np.argsort(jitter.reward[r])] for r in by_prompt(pool).values()]
    assert best.tolist() == sorted(np.concatenate([r[-n:] for r in ends]))
    assert worst.tolist() == sorted(np.concatenate([r[:n] for r in ends]))


def test_top_p_keeps_the_share_rounded_up():
    """Of ten at p = 0.3 three, of three one, of one that one."""
    pool = Candidates(np.arange(14.0), [0] * 10 + [1] * 3 + [2])
    assert select_items(pool, "top-p", p=0.3).tolist() == [7, 8, 9, 12, 13]


def test_diversity_picks_greedily_by_score_less_similarity():
    """Against the same greedy rule over all orders of picks."""
    rng = np.random.default_rng(3)
    vectors, reward = rng.normal(size=(5, 3)), rng.normal(size=5)
    pool = Candidates(reward, np.zeros(5), vectors=vectors, diversity=2.0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T

    def gains(order):
        seen = [
            np.maximum(0, similar[i, order[:n]].max(initial=0))
            for n, i in enumerate(order)
        ]
        return [reward[i] - 2.0 * s for i, s in zip(order, seen, strict=True)]

    best = max(permutations(range(5), 3), key=lambda order: gains(list(order)))
    assert select_items(pool, n=3).tolist() == sorted(best)


def test_what_rejection_sampling_accepts_is_the_tilted_policy():
    """Its shares and its rate of acceptance, within Monte-Carlo error."""
    n, reward = 20000, np.array([0.0, 0.5, 2.0])
    pool = Candidates(np.tile(reward, n), np.repeat(np.arange(n), 3))
    accepted = select_items(pool, "rejection-sampling", eta=0.7)
    weights = np.exp(reward / 0.7)
    shares = np.bincount(accepted % 3) / len(accepted)
    assert np.allclose(shares, weights / weights.sum(), atol=0.01)
    rate = acceptance_rate(pool.reward, pool.prompt_ids, eta=0.7)
    assert rate == pytest.approx(weights.mean() / weights.max())
    assert len(accepted) / (3 * n) == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"caution": 1.0}, "std of the items"),
        ({"length_penalty": 1.0}, "length of the items"),
        ({"diversity": 1.0}, "vectors of the items"),
        ({"caution": 1.0, "std": [-1.0, 0.0]}, "std >= 0"),
        ({"diversity": 1.0, "vectors": [[1.0]]}, r"vectors of shape \(2, d\)"),
    ],
)
def test_what_a_cost_needs_is_asked_for(options, words):
    """By the name of the argument."""
    with pytest.raises(InvalidInputError, match=words):
        Candidates(np.array([0.0, 1.0]), [0, 0], **options)


def test_unknown_strategies_and_an_empty_share_are_refused():
    """With the names that are known."""
    pool = Candidates(np.array([0.0, 1.0]), [0, 0])
    with pytest.raises(InvalidInputError, match="best-vs-second"):
        select_pairs(pool, "min_max")
    with pytest.raises(InvalidInputError, match="rejection-sampling"):
        select_items(pool, "best")
    with pytest.raises(InvalidInputError, match="p in"):
        select_items(pool, "top-p", p=0.0)
