"""What heads are told beside pairs and labels comes from the columns of the data."""

import numpy as np
import pandas as pd
import pytest

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.heads import LinearBradleyTerry, make_head
from embrm.heads.wrappers.length_debiased import LengthDebiased
from embrm.model.fit_params import fit_params
from embrm.report.crossfit import cross_fit


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
    preferences = read_preferences(frame)
    assert fit_params(make_head("linear"), preferences) == {}
    assert fit_params(make_head("logistic"), preferences) == {}


def test_annotators_are_named_whatever_they_are(frame):
    """Numbers are names, also where a missing one has made them floats."""
    numbered = frame.assign(annotator=np.where(frame.index % 2, 7.0, np.nan))
    head = LinearBradleyTerry(noise="estimate")
    told = fit_params(head, read_preferences(numbered))
    assert set(told["annotator"]) == {"7", "unknown"}


def test_lengths_reach_a_head_that_removes_them(frame):
    """In characters, of both responses of each pair; also in cross-fitting."""
    preferences = read_preferences(frame)
    head = LengthDebiased(cv=None)
    told = fit_params(head, preferences)
    expected = frame[["chosen", "rejected"]].map(len).to_numpy()
    np.testing.assert_array_equal(told["lengths"], expected)
    model = RewardModel("hashing", head).fit(frame)
    pairs = preferences.to_pairs(model.embed(preferences.texts).vectors)
    held_out = cross_fit(head, pairs, preferences.y, fit_params=told, n_splits=2)
    assert held_out.held_out.all()


def test_weights_and_margins_are_passed_where_there_are_any(frame):
    """A missing weight is 1, a missing margin 0."""
    weighed = frame.assign(weight=2.0, margin=np.where(frame.index == 0, np.nan, 0.5))
    told = fit_params(make_head("linear"), read_preferences(weighed))
    np.testing.assert_array_equal(told["sample_weight"], 2.0)
    np.testing.assert_array_equal(told["margin"], np.where(frame.index == 0, 0, 0.5))
