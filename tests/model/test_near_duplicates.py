"""Near-duplicate prompts as one: in held-out splits and in the check for leakage."""

import numpy as np
import pytest

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.evaluate import PromptGroupKFold
from embrm.exceptions import LeakageWarning
from embrm.persist import load_model, save_model

TOPICS = ["sea at night", "old town", "first snow", "long road home", "empty house"]


def rows(end):
    """A pair on each topic; prompts differ from others in how they end alone."""
    return [
        {
            "prompt": f"Write a short and simple poem about the {topic}{end}",
            "chosen": f"good {topic}",
            "rejected": f"bad {topic}",
        }
        for topic in TOPICS
    ]


@pytest.fixture(scope="module")
def model():
    return RewardModel("hashing:64").fit(rows("."), group_near_duplicates=True)


def test_near_duplicates_are_on_one_side_of_every_split():
    """Pairs made so have one id for both spellings; others keep the prompt's."""
    preferences = read_preferences(rows(".") + rows(", please!"))
    vectors = np.eye(20)
    plain = preferences.to_pairs(vectors)
    grouped = preferences.to_pairs(vectors, group_near_duplicates=True)
    assert len(np.unique(plain.groups)) == 10
    assert len(np.unique(grouped.groups)) == 5
    for train, test in PromptGroupKFold(5).split(grouped):
        assert set(train % 5).isdisjoint(test % 5)


def test_evaluate_notices_near_duplicates_of_what_was_fitted_on(model):
    """Where they were grouped in the fit; other prompts are new."""
    near = read_preferences(rows(", please!"))
    assert model.seen_pairs(near).all()
    plain = RewardModel("hashing:64").fit(rows("."))
    assert not plain.seen_pairs(near).any()
    with pytest.warns(LeakageWarning, match="5 of 5 pairs"):
        model.evaluate(near)
    other = [row | {"prompt": f"Name a {n}th fruit"} for n, row in enumerate(rows(""))]
    assert not model.seen_pairs(read_preferences(other)).any()


def test_a_saved_model_notices_them_too(model, tmp_path):
    """The bundle holds the sketches; one fitted without them holds none."""
    near = read_preferences(rows(", please!"))
    again = load_model(save_model(model, tmp_path / "near"))
    for stored, known in zip(
        again.training_sketches_, model.training_sketches_, strict=True
    ):
        np.testing.assert_array_equal(stored, known)
    assert again.seen_pairs(near).all()
    plain = RewardModel("hashing:64").fit(rows("."))
    assert load_model(save_model(plain, tmp_path / "m")).training_sketches_ is None
