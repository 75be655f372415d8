"""AlpacaEval 2: win rates, and what the length-controlled one is called."""

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.suites import score_suite
from embrm.exceptions import InvalidInputError


def test_the_win_rate_is_the_mean_preference():
    """A draw is 1.5, or 0 in older files; discrete wins count draws one half."""
    rows = pd.DataFrame({"index": [0, 1, 2, 3]})
    scores = pd.DataFrame({"id": [0, 1, 2, 3], "preference": [2, 1.2, 0, 1.9]})
    table = score_suite("alpacaeval", rows, scores).table["score"]
    assert table["overall"] == pytest.approx((1 + 0.2 + 0.5 + 0.9) / 4)
    assert table["discrete win rate"] == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    values = pd.Series([2, 1.2, 1.5, 1.9])
    assert table["standard error"] == pytest.approx(values.sem())


def test_an_annotation_without_a_preference_is_left_out():
    """As the benchmark does; a row that was not annotated makes it partial."""
    rows = pd.DataFrame({"index": [0, 1, 2]})
    scores = pd.DataFrame({"id": [0, 1, 2], "preference": [2.0, np.nan, 1.0]})
    result = score_suite("alpacaeval", rows, scores)
    assert result.overall == pytest.approx(0.5)
    assert "1 annotations without a preference" in result.notes[0]
    assert np.isnan(score_suite("alpacaeval", rows, scores.iloc[:2]).overall)


def test_rewards_win_by_the_greater_one(rewards):
    """The second output is the model's."""
    rows = pd.DataFrame({"index": [0, 1]})
    scores = rewards(
        {
            0: {"output_1": 0.0, "output_2": 1.0},
            1: {"output_1": 1.0, "output_2": 1.0},
        }
    )
    assert score_suite("alpacaeval", rows, scores).overall == pytest.approx(0.75)


@pytest.fixture
def judged():
    """A judge that likes length, of two models that are equally good."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(100, 2000, (1500, 2))
    lengths[:, 1] += 800
    delta = lengths[:, 0] - lengths[:, 1]
    hard = rng.normal(size=1500)
    p = 1 / (1 + np.exp(2 * np.tanh(delta / delta.std()) - 0.5 * hard))
    rows = pd.DataFrame(
        {"index": range(1500), "length_1": lengths[:, 0], "length_2": lengths[:, 1]}
    )
    scores = pd.DataFrame(
        {"id": range(1500), "preference": 1 + (rng.random(1500) < p).astype(float)}
    )
    return rows, scores, pd.Series(hard)


def test_length_control_takes_the_judges_liking_out(judged):
    """With difficulty it is the benchmark's variant without gamed baselines."""
    rows, scores, hard = judged
    table = score_suite("alpacaeval", rows, scores, difficulty=hard).table["score"]
    assert table["win rate"] > 0.65
    controlled = table["length-controlled win rate (length_controlled_noreg)"]
    assert controlled == pytest.approx(0.5, abs=0.05)


def test_without_difficulty_it_is_labelled(judged):
    """It is not the official one."""
    rows, scores, _ = judged
    table = score_suite("alpacaeval", rows, scores).table
    labelled = [name for name in table.index if "not official" in name]
    assert len(labelled) == 2
    assert not [name for name in table.index if "length_controlled_" in name]


def test_gamed_baselines_make_it_the_official_variant(judged):
    """With a tenth of a row's weight each."""
    rows, scores, hard = judged
    rng = np.random.default_rng(1)
    gamed = pd.DataFrame(
        {
            "preference": rng.random(200),
            "std_delta_len": rng.normal(size=200),
            "instruction_difficulty": rng.normal(size=200),
        }
    )
    result = score_suite("alpacaeval", rows, scores, difficulty=hard, gamed=gamed)
    assert "length-controlled win rate (length_controlled_v1)" in result.table.index


def test_a_difficulty_is_needed_for_every_row(judged):
    """Ids that are not in it are counted."""
    rows, scores, hard = judged
    with pytest.raises(InvalidInputError, match="1 missing"):
        score_suite("alpacaeval", rows, scores, difficulty=hard.iloc[:-1])


def test_preferences_out_of_range_are_refused():
    """A share of wins is not a preference."""
    rows = pd.DataFrame({"index": [0, 1]})
    scores = pd.DataFrame({"id": [0, 1], "preference": [0.3, 1.0]})
    with pytest.raises(InvalidInputError, match="from 1"):
        score_suite("alpacaeval", rows, scores)
