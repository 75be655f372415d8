"""TRL's formats. The golden cases are in test_registry."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import read_preferences
from embrm.exceptions import DataError


def _turns(*contents, first="user"):
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return [
        {"role": roles[n % 2], "content": content} for n, content in enumerate(contents)
    ]


def _read(**row):
    return read_preferences([row], format="trl")


def test_explicit_text_is_read_as_trl_when_named():
    """Undetected it is `pairs`, which means the same."""
    assert _read(prompt="p", chosen="a", rejected="b").texts == [("p", "a"), ("p", "b")]


def test_a_text_prompt_with_messages_stays_text():
    """What the row calls its prompt is kept as written."""
    read = _read(
        prompt="p",
        chosen=_turns("a", first="assistant"),
        rejected=_turns("b", first="assistant"),
    )
    assert read.texts == [("p", "a"), ("p", "b")]


words = st.lists(st.sampled_from(["go", "stop", "on", "a\nb"]), min_size=1, max_size=4)


@settings(max_examples=50)
@given(words, words, words)
def test_implicit_text_is_cut_without_loss(prompt, chosen, rejected):
    """Prompt and response together are the text, and words stay whole."""
    a, b = " ".join(prompt + chosen), " ".join(prompt + rejected)
    if a == b:
        return
    (start, first), (_, second) = _read(chosen=a, rejected=b).texts
    assert [start, *first.split()] == [start, *a[len(start) :].split()]
    assert (start.split() + first.split(), start.split() + second.split()) == (
        a.split(),
        b.split(),
    )


@pytest.mark.parametrize(
    ("chosen", "rejected", "message"),
    [
        ("Yes", "No", "begin with the same prompt"),
        ("Yes", ["No"], r"both text or both lists.*str and list"),
        ("Yes", 3, "str and int"),
        ("Yes", None, "a response with text in it; got none"),
        ([], [], "list and list"),
        (_turns("p", "a"), "a", "list and str"),
        (_turns("p", "a"), _turns("p", "a"), "the same response twice"),
        (
            _turns("p", "a", "q", "b"),
            _turns("p", "c", "q", "d"),
            "differ in the last turn alone; got a difference at message 1, of 4 and 4",
        ),
        (
            _turns("p", "a"),
            _turns("p", "a", "q", "b"),
            "differ in the last turn alone",
        ),
        (
            _turns("p", "a", "q"),
            _turns("p", "a", "r"),
            "a turn of the assistant; got a last turn of 'user'",
        ),
        (
            _turns("a", first="assistant"),
            [{"role": "assistant"}],
            r"string 'content'; got keys \['role'\] at message 0",
        ),
        (
            _turns("a", first="assistant"),
            _turns("b", first="assistant"),
            "a prompt with text in it",
        ),
    ],
)
def test_rows_that_are_no_comparison_are_refused(chosen, rejected, message):
    """Each defect has its own words."""
    with pytest.raises(DataError, match=message):
        _read(chosen=chosen, rejected=rejected)


def test_a_missing_column_is_named():
    """Implicit rows need both texts."""
    with pytest.raises(DataError, match="no 'chosen' among columns rejected"):
        _read(rejected="a b")


def test_transcripts_are_left_to_hh():
    """Texts that begin as HH transcripts are not cut at a word."""
    start = "\n\nHuman: p\n\nAssistant: "
    read = read_preferences([{"chosen": f"{start}a b", "rejected": f"{start}a c"}])
    assert read.read_report.format == "hh"
    assert read.items["response"].tolist() == ["a b", "a c"]


def test_other_columns_are_carried():
    """Scores of a published data set go along with its pairs."""
    read = _read(
        prompt="p",
        chosen=_turns("p", "a"),
        rejected=_turns("p", "b"),
        messages=_turns("p", "a"),
        score_chosen=8.0,
    )
    assert read.pairs["score_chosen"].tolist() == [8.0]
    assert "messages" not in read.pairs
