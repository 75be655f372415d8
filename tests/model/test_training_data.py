"""What heads are told beside pairs and labels comes from the columns of the data."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.heads import LengthDebiased, LinearBradleyTerry, make_head
from embrm.model import training_data
from embrm.report import cross_fit


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Half of what Bob says is wrong; nobody knows who labelled the last pairs."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(300):
        who = ["Ann", "Bob", None][n % 3]
        texts = [f"good answer {rng.integers(999)}", f"bad reply {rng.integers(999)}"]
        if who == "Bob" and rng.random() < 0.5:
            texts.reverse()
        row = {"prompt": f"question {n}", "chosen": texts[0], "rejected": texts[1]}
        rows.append(row | {"annotator": who})
    return pd.DataFrame(rows)


def test_annotators_reach_a_head_that_estimates_their_noise(frame):
    """Bob is found out, through frame, encoder and head."""
    head = LinearBradleyTerry(noise="estimate")
    fitted = RewardModel("hashing", head).fit(frame).head_
    rates = dict(zip(fitted.annotators_, fitted.flip_rates_, strict=True))
    assert set(rates) == {"Ann", "Bob", "unknown"}
    assert rates["Bob"] > 0.3 > 0.1 > rates["Ann"]


def test_no_other_head_is_told_of_annotators(frame):
    """A linear head without a flip rate would refuse them."""
    assert len(RewardModel("hashing", "linear").fit(frame).head_.annotators_) == 0
    assert RewardModel("hashing", "logistic").fit(frame).score(frame) > 0.5


def test_annotators_are_named_whatever_they_are(frame):
    """Numbers are names, also where a missing one has made them floats."""
    numbered = frame.assign(annotator=np.where(frame.index % 2, 7.0, np.nan))
    head = LinearBradleyTerry(noise="estimate")
    fitted = RewardModel("hashing", head).fit(numbered).head_
    assert set(fitted.annotators_) == {"7", "unknown"}


def test_lengths_reach_a_head_that_removes_them(frame):
    """In characters, of both responses of each pair; also in cross-fitting."""
    preferences = read_preferences(frame)
    head = LengthDebiased(cv=None)
    model = RewardModel("hashing", head).fit(frame)
    pairs = preferences.to_pairs(model.embed(preferences.texts).vectors)
    lengths = frame[["chosen", "rejected"]].map(len).to_numpy()
    by_hand = clone(head).fit(pairs, preferences.y, lengths=lengths)
    np.testing.assert_array_equal(
        by_hand.reward(pairs.items), model.head_.reward(pairs.items)
    )
    data = training_data(head, preferences)
    held_out = cross_fit(head, pairs, preferences.y, data=data, n_splits=2)
    assert held_out.held_out.all()


def test_weights_and_margins_are_passed_where_there_are_any(frame):
    """A missing weight is 1, a missing margin 0."""
    weighed = frame.assign(weight=2.0, margin=np.where(frame.index == 0, np.nan, 0.5))
    model = RewardModel("hashing", make_head("linear", alpha=1.0)).fit(weighed)
    preferences = read_preferences(weighed)
    pairs = preferences.to_pairs(model.embed(preferences.texts).vectors)
    by_hand = make_head("linear", alpha=1.0).fit(
        pairs,
        preferences.y,
        sample_weight=np.full(len(frame), 2.0),
        margin=np.where(frame.index == 0, 0, 0.5),
    )
    np.testing.assert_array_equal(model.head_.coef_, by_hand.coef_)
