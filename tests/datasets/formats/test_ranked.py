"""Ranked: all pairs of K responses, in two shapes of row."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW = {
    "prompt": "What is soup?",
    "responses": ["A dish.", "A hot liquid food.", "No."],
    "ranks": [1, 0, 2],
}
NEMO = {
    "context": [{"role": "user", "content": "What is soup?"}],
    "completions": [
        {"rank": rank, "completion": [{"role": "assistant", "content": text}]}
        for text, rank in zip(ROW["responses"], ROW["ranks"], strict=True)
    ],
}


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("ranked").read(row, reader)
    return reader


def test_all_pairs_of_the_responses_enter_the_better_one_first():
    """Three responses are three pairs, each with y = 1 and k = 3."""
    reader = read(ROW)
    cells = [(pair["first"], pair["second"]) for pair in reader.pairs]
    assert cells == [(1, 0), (0, 2), (1, 2)]
    assert {(pair["y"], pair["k"]) for pair in reader.pairs} == {(1.0, 3)}


def test_items_carry_their_rank_and_pairs_no_weight():
    """Weighting by K is the business of the head."""
    preferences = read_preferences([ROW])
    assert preferences.read_report.format == "ranked"
    assert preferences.items["rank"].tolist() == [1, 0, 2]
    assert preferences.weight is None


def test_ranking_is_another_name_for_ranks():
    """Both columns hold one rank for each response."""
    row = {"prompt": ROW["prompt"], "responses": ROW["responses"]}
    assert read(row | {"ranking": ROW["ranks"]}).pairs == read(ROW).pairs


def test_the_shape_of_nemo_rl_reads_alike():
    """Messages with ranks give the same items and pairs as plain columns."""
    plain, nemo = read_preferences([ROW]), read_preferences([NEMO])
    assert nemo.read_report.format == "ranked"
    assert nemo.pairs.equals(plain.pairs)
    assert nemo.items["response"].equals(plain.items["response"])


def test_equal_ranks_are_ties():
    """A tie has y = 0.5 and keeps the order of the list."""
    (tie,) = read({"prompt": "?", "responses": ["a", "b"], "ranks": [4, 4]}).pairs
    assert (tie["first"], tie["second"], tie["y"]) == (0, 1, 0.5)


def test_ranks_may_start_anywhere():
    """Ranks 1, 2, 3 are the same order as 0, 1, 2; items count from 0."""
    assert read(ROW | {"ranks": [2, 1, 3]}).items == read(ROW).items


def test_a_response_listed_twice_with_one_rank_counts_once():
    """Sampled candidates repeat; the repetition compares nothing."""
    row = ROW | {"responses": ["a", "b", "a"], "ranks": [0, 1, 0]}
    reader = read(row)
    assert [item["response"] for item in reader.items] == ["a", "b"]
    assert [pair["k"] for pair in reader.pairs] == [2]


@settings(max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=7))
def test_every_pair_agrees_with_the_ranks(ranks):
    """For any ranks: K (K - 1) / 2 pairs, y = 1 or a tie, never the worse one first."""
    ranks = [sorted(set(ranks)).index(rank) for rank in ranks]
    names = [f"response {n}" for n in range(len(ranks))]
    reader = read({"prompt": "?", "responses": names, "ranks": ranks})
    assert len(reader.pairs) == len(ranks) * (len(ranks) - 1) // 2
    for pair in reader.pairs:
        first, second = ranks[pair["first"]], ranks[pair["second"]]
        assert (first < second, first == second) == (pair["y"] == 1, pair["y"] == 0.5)


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"ranks": [0, 1]}, "ranks has the wrong length", "a list of 3 as ranks"),
        ({"ranks": "012"}, "ranks is not a list", "got str"),
        ({"ranks": [0, 1, None]}, "missing rank", "whole number as rank; got none"),
        ({"ranks": [0, 1, 1.5]}, "no ranks", "got 1.5"),
        ({"ranks": [0, 1, "last"]}, "rank is not a number", "got 'last'"),
        ({"responses": []}, "responses has the wrong length", "got a list of 0"),
        ({"responses": ["a", {}, "b"]}, "malformed messages", "got keys"),
        ({"responses": ["a", " ", "b"]}, "empty response", "an empty one"),
        (
            {"responses": ["a", "a", "b"]},
            "identical responses with different ranks",
            "the same response with two ranks",
        ),
        (
            {"responses": ["a", "a", "a"], "ranks": [1, 1, 1]},
            "fewer than two responses",
            "at least two different responses; got 1",
        ),
        ({"prompt": None}, "missing prompt", "a prompt with text in it; got none"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | change)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("completions", "reason", "message"),
    [
        (["text"], "completion has no fields", "got str"),
        (
            [{"rank": 0, "completion": NEMO["context"]}],
            "completion is not one message",
            "begins with a turn of the assistant",
        ),
        ([{"rank": 0}], "response is not text", "got NoneType"),
    ],
)
def test_a_bad_row_of_nemo_rl_is_refused_with_its_reason(completions, reason, message):
    """The other shape is checked as strictly."""
    with pytest.raises(DataError, match=message) as caught:
        read(NEMO | {"completions": completions})
    assert caught.value.reason == reason


def test_responses_may_be_messages():
    """Conversational data writes each response as one turn."""
    answers = [[{"role": "assistant", "content": text}] for text in "ab"]
    row = {"prompt": "p", "responses": answers, "ranks": [1, 0]}
    frame = read_preferences([row]).to_frame()
    assert frame[["first", "second"]].to_numpy().tolist() == [["b", "a"]]
