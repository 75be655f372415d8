"""The guidebook's seven cases on a pool whose truth is known."""

import numpy as np
import pytest
from scipy.special import softmax

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.policy import (
    CASES,
    AlignmentCase,
    rejection_fine_tuned,
    run_case,
    tilted_policy,
)
from embrm.simulate import BradleyTerryAnnotator, PerfectAnnotator


@pytest.fixture(scope="module")
def pool():
    """Eighty prompts of eight responses; gold is linear but for noise."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(640, 5))
    gold = items @ [1.0, 0.5, 0.0, 0.0, -0.5] + 0.2 * rng.normal(size=640)
    return CandidatePool(items, np.arange(640) % 80, gold=gold)


@pytest.fixture(scope="module")
def train(pool):
    """Three quarters of the prompts."""
    return pool.prompt_ids < 60


@pytest.mark.parametrize("name", CASES)
def test_every_case_raises_gold_with_the_same_number_of_labels(pool, train, name):
    """On held-out prompts, which no pair is of; the win rate passes one half."""
    done = run_case(pool, name, BradleyTerryAnnotator(2.0), 600, train=train)
    assert len(done.labelled.y) == 600
    assert train[done.labelled.ids].all()
    assert (done.labelled.ids[:, 0] != done.labelled.ids[:, 1]).all()
    frame = done.to_frame()
    assert len(frame) == CASES[name].rounds
    assert frame["n_labels"].iloc[-1] == 600
    uniform = pool.gold[~train].mean()
    assert frame["gold"].iloc[-1] > uniform + 0.5
    assert frame["win_rate"].iloc[-1] > 0.7
    assert frame["kl"].iloc[-1] > 0


def test_a_fixed_reward_is_approached_and_no_label_is_asked_for(pool):
    """Case 1: rounds of PPO near the tilted policy of the first reward."""
    short, long = (
        run_case(
            pool,
            AlignmentCase("reward", online=False, rounds=rounds, proximal=True),
            PerfectAnnotator(),
            300,
        )
        for rounds in (1, 30)
    )
    assert np.array_equal(short.labelled.ids, long.labelled.ids)
    base = -np.log(8)
    # One half-step goes half the way, in log ratios up to the prompt's constant.
    once = (short.logprob - base).reshape(8, 80)
    far = (long.logprob - base).reshape(8, 80)
    assert np.allclose(np.diff(far, axis=0), 2 * np.diff(once, axis=0), atol=1e-6)


def test_rejection_sampling_is_the_best_of_a_power_of_n(pool):
    """Case 4, of the reward that was fitted first."""
    done = run_case(pool, "rejection-sampling", PerfectAnnotator(), 300, n=2)
    tilted = run_case(
        pool,
        AlignmentCase("reward", online=False, rounds=1),
        PerfectAnnotator(),
        300,
        eta=1.0,
    )
    order = tilted.logprob
    expected = rejection_fine_tuned(order, pool.prompt_ids, 2, rounds=4)
    assert np.allclose(np.exp(done.logprob), np.exp(expected), atol=1e-9)


def test_online_responses_come_from_the_policy(pool):
    """What is asked about later is better than what the base policy says."""
    done = run_case(pool, "online-dpo", BradleyTerryAnnotator(), 1600, eta=0.2)
    gold = pool.gold[done.labelled.ids].mean(axis=1)
    assert gold[-400:].mean() > gold[:100].mean() + 0.5


def test_hybrid_data_keep_the_offline_labels(pool):
    """Half of the labels are of the behaviour policy, and are trained on to the end."""
    case = AlignmentCase("direct", online=True, rounds=3, offline_share=0.5)
    behaviour = np.where(pool.gold < np.median(pool.gold), 0.0, -50.0)
    done = run_case(
        pool, case, PerfectAnnotator(), 400, behaviour_logprob=behaviour, eta=0.05
    )
    first = pool.gold[done.labelled.ids[:200, 0]]
    assert (first < np.median(pool.gold)).mean() > 0.95
    assert len(done.labelled.y) == 400


def test_the_farthest_opponent_is_the_least_known_direction(pool):
    """By the metric of the pairs so far, against a loop over the candidates."""
    case = AlignmentCase("direct", online=True, rounds=2, opponent="farthest")
    done = run_case(pool, case, PerfectAnnotator(), 40)
    known, (one, other) = done.labelled.ids[:20], done.labelled.ids[25]
    delta = pool.items[known[:, 0]] - pool.items[known[:, 1]]
    inverse = np.linalg.inv(np.eye(5) + delta.T @ delta)
    rows = np.flatnonzero(pool.prompt_ids == pool.prompt_ids[one])
    steps = pool.items[rows] - pool.items[one]
    distance = np.einsum("ij,jk,ik->i", steps, inverse, steps)
    assert rows[distance.argmax()] == other


def test_offline_dpo_can_lower_what_was_chosen():
    """Both responses of off-policy pairs lose to what no pair was about."""
    rng = np.random.default_rng(1)
    items = rng.normal(size=(600, 2)) * 0.3
    bad = np.arange(600) // 100 < 2
    items[bad] -= 2.0
    gold = items.sum(axis=1)
    pool = CandidatePool(items, np.arange(600) % 100, gold=gold)
    done = run_case(
        pool,
        "offline-dpo",
        BradleyTerryAnnotator(3.0),
        400,
        behaviour_logprob=np.where(bad, 0.0, -50.0),
        eta=0.1,
    )
    last = done.rounds[-1]
    assert last["chosen"] < 0
    assert last["rejected"] < last["chosen"]


def test_figures_are_those_of_the_policy_that_is_returned(pool):
    """Gold and divergence, prompt by prompt."""
    done = run_case(pool, "offline-dpo", PerfectAnnotator(), 200, eta=0.5)
    shares = np.exp(done.logprob).reshape(8, 80)
    assert done.rounds[0]["gold"] == pytest.approx(
        (shares * pool.gold.reshape(8, 80)).sum(axis=0).mean()
    )
    kl = (shares * np.log(8 * shares)).sum(axis=0).mean()
    assert done.rounds[0]["kl"] == pytest.approx(kl)
    assert np.allclose(shares, softmax(np.log(shares), axis=0))
    assert tilted_policy(pool.gold, pool.prompt_ids).shape == done.logprob.shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"case": "ppo"}, "iterative-dpo"),
        ({"step": 2.0}, "step in"),
        ({"train": np.ones(640, bool)}, "prompts to judge by"),
    ],
)
def test_what_cannot_be_run_is_refused(pool, options, words):
    """Unknown cases, steps that overshoot, nothing left to judge by."""
    case = options.pop("case", "offline-dpo")
    with pytest.raises(InvalidInputError, match=words):
        run_case(pool, case, PerfectAnnotator(), 10, **options)
    with pytest.raises(InvalidInputError, match="imitation"):
        AlignmentCase("gradient", online=True, rounds=1)
