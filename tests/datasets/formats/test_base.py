"""The reader of one row: texts that are texts, responses that differ."""

import pytest

from embrm.datasets.formats import RowReader
from embrm.exceptions import DataError, NoPreferenceError


def test_items_are_numbered_within_the_row():
    """The number is what pairs refer to."""
    reader = RowReader()
    assert [reader.item("p", text) for text in "ab"] == [0, 1]


@pytest.mark.parametrize("response", ["", " ", "\n\t"])
def test_an_empty_response_is_refused(response):
    """Whitespace is no response."""
    with pytest.raises(DataError, match="a response with text in it; got an empty one"):
        RowReader().item("p", response)


@pytest.mark.parametrize("response", [True, 4, ["a"]])
def test_a_response_that_is_no_text_is_refused(response):
    """The type is named, the value is not."""
    got = type(response).__name__
    with pytest.raises(DataError, match=f"a response that is text; got {got}"):
        RowReader().item("p", response)


def test_identical_responses_are_refused():
    """Both spellings of the prompt count as one."""
    reader = RowReader()
    reader.item("p", "a")
    reader.item([{"role": "user", "content": "p"}], "a")
    with pytest.raises(DataError, match=r"two different responses.*the same .* twice"):
        reader.pair(0, 1, 1.0)


def test_equal_responses_to_different_prompts_may_be_compared():
    """Cross-prompt pairs are pairs."""
    reader = RowReader()
    reader.item("p", "a")
    reader.item("q", "a")
    reader.pair(0, 1, 0.5, subset="x")
    assert reader.pairs == [{"first": 0, "second": 1, "y": 0.5, "subset": "x"}]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_texts_say_nothing_and_are_told_apart_from_wrong_ones(missing):
    """A missing prompt or response is a NoPreferenceError."""
    with pytest.raises(NoPreferenceError, match="a prompt; got none"):
        RowReader().item(missing, "r")
    with pytest.raises(NoPreferenceError, match="a response; got none"):
        RowReader().item("p", missing)
