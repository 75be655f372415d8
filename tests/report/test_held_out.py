"""Probabilities of labels by heads that were not fitted on them."""

import numpy as np
import pytest
from scipy.special import expit

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.exceptions import InvalidInputError
from embrm.report import held_out_probability


def rows(prompts):
    """Pairs whose better response says so."""
    return [
        {"prompt": f"prompt {n}", "chosen": f"good {n}", "rejected": f"bad {n}"}
        for n in prompts
    ]


@pytest.fixture(scope="module")
def model():
    return RewardModel("hashing:64").fit(rows(range(20)))


def test_for_new_prompts_it_is_the_model_s_own(model):
    """Nothing has to be fitted."""
    preferences = read_preferences(rows(range(20, 30)))
    pairs = preferences.to_pairs(model.embed(preferences.texts).vectors)
    found = held_out_probability(model, preferences, pairs)
    np.testing.assert_array_equal(found, expit(model.head_.decision_function(pairs)))


def test_a_label_is_judged_without_itself(model):
    """A turned label is improbable to the heads that have not seen it."""
    turned = rows(range(20))
    turned[3] |= {"chosen": "bad 3", "rejected": "good 3"}
    fitted = RewardModel("hashing:64").fit(turned)
    preferences = read_preferences(turned)
    pairs = preferences.to_pairs(fitted.embed(preferences.texts).vectors)
    calls = []
    found = held_out_probability(
        fitted, preferences, pairs, after_fit=lambda: calls.append(1)
    )
    assert found.argmin() == 3
    assert found[3] < 0.5
    assert len(calls) == 5


def test_one_known_prompt_alone_cannot_be_held_out(model):
    """It is said, not guessed."""
    preferences = read_preferences(rows([0]))
    pairs = preferences.to_pairs(model.embed(preferences.texts).vectors)
    with pytest.raises(InvalidInputError, match="two prompts or more"):
        held_out_probability(model, preferences, pairs)
