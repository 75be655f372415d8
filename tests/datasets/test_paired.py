"""What a reward model is fitted on: at least one pair."""

import pandas as pd
import pytest

from embrm.datasets import read_pairs, read_preferences
from embrm.exceptions import DataError


def rated(**columns) -> pd.DataFrame:
    """Two responses to one prompt, with more columns."""
    return pd.DataFrame({"prompt": ["p"] * 2, "response": ["a", "b"], **columns})


def test_pairs_are_read_as_they_are():
    """One row, one pair."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    assert len(read_pairs(rows)) == 1


def test_preferences_are_passed_on():
    """What was read once is not read again."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    preferences = read_preferences(rows)
    assert read_pairs(preferences) is preferences


def test_scores_become_pairs():
    """Of responses to the same prompt."""
    assert len(read_pairs(rated(score=[1.0, 2.0]))) == 1


def test_unpaired_labels_become_pairs():
    """A good response against a bad one."""
    assert len(read_pairs(rated(label=[True, False]))) == 1


def test_a_rating_with_another_name_is_suggested():
    """The error names the column, and leaves to the caller whether high is good."""
    message = r"ratings in gold.*columns=\{'score': 'your name for it'\}"
    with pytest.raises(DataError, match=message + ".*lower_is_better=True"):
        read_pairs(rated(gold=[1.0, 2.0]))


def test_following_the_suggestion_works():
    """The fix helps."""
    assert len(read_pairs(rated(gold=[1.0, 2.0]), columns={"score": "gold"})) == 1


def test_equal_scores_are_no_pair():
    """And the error says what is needed."""
    with pytest.raises(DataError, match=r"2 items and no pair.*different scores"):
        read_pairs(rated(score=[1.0, 1.0]))


@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_when_no_row_was_kept_the_reason_is_named():
    """Rows that were skipped are the trouble, not the scores."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": ""}]
    with pytest.raises(
        DataError,
        match=r"no row kept of 1 .empty.*Fix: drop the row or fill",
    ):
        read_pairs(rows, format="pairs", on_error="skip")
