"""The rankings a report shows are the most and the least agreeing ones."""

import numpy as np

from embrm import RewardModel
from embrm.report.rankings import telling_rankings


def make(scores, rewards):
    rows = [
        {"prompt": f"p{p}", "response": f"r{p}{k}", "score": float(score)}
        for p, group in enumerate(scores)
        for k, score in enumerate(group)
    ]
    preferences = RewardModel("hashing").read(rows)
    return telling_rankings(preferences, np.concatenate(rewards), n_each=1)


def test_the_best_and_the_worst_agreement_are_chosen():
    """One prompt in perfect order, one in reverse."""
    scores = [[0, 1, 2]] * 3
    rewards = [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    chosen = make(scores, rewards)
    assert [example["prompt"] for example in chosen] == ["p1", "p2"]


def test_responses_stand_from_the_highest_reward_down():
    """Each response comes with its score and reward."""
    scores = [[0, 1, 2]] * 2
    first, second = make(scores, [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    assert [r["score"] for r in first["responses"]] == ["2", "1", "0"]
    assert [r["score"] for r in second["responses"]] == ["0", "1", "2"]
    assert first["responses"][0]["reward"] == "+2.00"


def test_unknown_rewards_are_passed_over():
    """Items that no fold held out are not shown."""
    scores = [[0, 1, 2]] * 3
    rewards = [[np.nan] * 3, [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    assert [example["prompt"] for example in make(scores, rewards)] == ["p1", "p2"]


def test_without_scores_nothing_is_shown():
    """Chosen/rejected data have no grades to agree with."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    preferences = RewardModel("hashing").read(rows)
    assert telling_rankings(preferences, np.zeros(2)) == []
