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


@pytest.mark.parametrize("prompt", ["", " \n", [], [{"role": "user", "content": " "}]])
def test_an_empty_prompt_is_refused(prompt):
    """Nothing was asked."""
    with pytest.raises(NoPreferenceError, match="a prompt with text in it; got an em"):
        RowReader().item(prompt, "a")


@pytest.mark.parametrize(
    ("prompt", "got"),
    [
        (3, "a str or a list of messages; got int"),
        (b"p", "got bytes"),
        ({"role": "user", "content": "p"}, "got dict"),
        ([{"role": "user"}], "a string 'content'; got keys .* at message 0"),
        (["p"], "got str at message 0"),
    ],
)
def test_a_prompt_that_is_neither_text_nor_messages_is_refused(prompt, got):
    """A malformed prompt is no prompt that says nothing."""
    with pytest.raises(DataError, match=got) as caught:
        RowReader().item(prompt, "a")
    assert caught.value.reason == "malformed prompt"
    assert not isinstance(caught.value, NoPreferenceError)


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
    with pytest.raises(NoPreferenceError, match="a prompt with text in it; got none"):
        RowReader().item(missing, "r")
    with pytest.raises(NoPreferenceError, match="a response with text in it; got none"):
        RowReader().item("p", missing)
