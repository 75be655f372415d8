"""HH transcripts. The golden cases are in test_registry."""

import json

import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, LeftOutWarning

START = "\n\nHuman: p\n\nAssistant:"


@pytest.mark.parametrize(
    ("chosen", "rejected", "message"),
    [
        (f"{START} a", "p b", "transcripts that begin with '.*'; got another text"),
        (f"{START} a", 3, "got another text"),
        (f"{START} a", None, "a response with text in it; got none"),
        (f"{START} a", "\n\nHuman: q\n\nAssistant: b", "two that part before it"),
        (f"{START} a", "\n\nHuman: p", "two that part before it"),
        (f"{START} a", f"{START} ", "a response with text in it"),
        (f"{START} a", f"{START}  a ", "two different responses"),
        (
            "\n\nHuman: \n\nAssistant: a",
            "\n\nHuman: \n\nAssistant: b",
            "prompt with text",
        ),
    ],
)
def test_transcripts_without_a_comparison_are_refused(chosen, rejected, message):
    """Each defect has its own words."""
    with pytest.raises(DataError, match=message):
        read_preferences([{"chosen": chosen, "rejected": rejected}], format="hh")


def test_words_that_look_like_turns_within_a_turn_are_text():
    """Only a marker after an empty line begins a turn."""
    start = "\n\nHuman: Who is the Human: in this?\n\nAssistant:"
    [(prompt, _), _] = read_preferences(
        [{"chosen": f"{start} a", "rejected": f"{start} b"}]
    ).texts
    assert prompt == [{"role": "user", "content": "Who is the Human: in this?"}]


def test_margins_and_other_columns_are_read():
    """Transcripts may have margins too."""
    row = {"chosen": f"{START} a", "rejected": f"{START} b", "margin": 2, "subset": "x"}
    [pair] = read_preferences([row]).pairs.to_dict("records")
    assert (pair["margin"], pair["subset"]) == (2.0, "x")


@pytest.mark.realdata
def test_real_transcripts_are_kept_but_for_two_without_a_response(shared_data):
    """Of 1,156 rows, two have an empty response; all others are pairs."""
    with pytest.warns(LeftOutWarning):
        preferences = read_preferences(
            shared_data / "hh_harmless_dev.jsonl", on_error="skip"
        )
    report = preferences.read_report
    assert (report.n_read, report.n_kept) == (1156, 1154)
    [left] = report.left_out
    assert (left.reason, left.n) == ("empty response", 2)
    assert left.where == (
        "hh_harmless_dev.jsonl, line 44",
        "hh_harmless_dev.jsonl, line 259",
    )


@pytest.mark.realdata
def test_the_two_left_out_have_indeed_no_response(shared_data):
    """The rows left out end with an assistant's turn without text."""
    lines = (shared_data / "hh_harmless_dev.jsonl").read_text("utf-8").split("\n")
    for number in (44, 259):
        row = json.loads(lines[number - 1])
        texts = (row["chosen"], row["rejected"])
        assert any(text.rstrip().endswith("Assistant:") for text in texts)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_real_transcripts_are_cut_without_loss(shared_data):
    """Prompt and responses put together are the transcripts, white space aside."""
    path = shared_data / "hh_harmless_dev.jsonl"
    lines = path.read_text("utf-8").split("\n")
    preferences = read_preferences(path, on_error="skip")
    roles = {"user": "Human:", "assistant": "Assistant:"}
    for pair in preferences.to_frame().itertuples():
        turns = [f"{roles[m['role']]} {m['content']}" for m in pair.prompt]
        start = " ".join([*turns, "Assistant:"])
        row = json.loads(lines[pair.source_row])
        assert f"{start} {pair.first}".split() == row["chosen"].split()
        assert f"{start} {pair.second}".split() == row["rejected"].split()
