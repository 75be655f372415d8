"""Filters about what pairs say: what goes, what stays, and that reports add up."""

import pytest

from embrm.datasets import (
    filter_by_length,
    filter_contradictions,
    filter_label_errors,
    filter_near_duplicate_prompts,
    filter_repeats,
    filter_shared_prompts,
    filter_ties,
    read_preferences,
)
from embrm.exceptions import InvalidInputError


def pair(prompt, chosen, rejected, **more):
    """A row of the format pairs."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def rows_kept(preferences):
    """Source rows of the pairs."""
    return preferences.pairs["source_row"].tolist()


ROWS = [
    pair("a", "x", "y"),
    pair("a", "x", "y"),
    pair("b", "x", "y"),
    pair("b", "y", "x"),
    pair("c", "x", "y", y=0.5),
    pair("d", "x", "y"),
]


@pytest.mark.parametrize(
    ("apply", "kept"),
    [
        (filter_repeats, [0, 2, 3, 4, 5]),
        (filter_contradictions, [0, 1, 4, 5]),
        (filter_ties, [0, 1, 2, 3, 5]),
    ],
)
def test_each_filter_leaves_out_what_its_name_says(apply, kept):
    """And its report lists the rest, with texts and reason."""
    preferences = read_preferences(ROWS)
    result, report = apply(preferences)
    assert rows_kept(result) == kept
    gone = report.removed
    assert sorted([*kept, *gone["source_row"]]) == list(range(6))
    assert set(gone["left_out"]) == {report.left_out[0].reason}
    assert list(gone.columns[:3]) == ["prompt", "first", "second"]
    assert gone["first"].tolist() == [ROWS[n]["chosen"] for n in gone["source_row"]]


def test_what_is_left_out_adds_up_over_a_chain_of_filters():
    """The tables of what was removed are joined in the order of the filters."""
    preferences = read_preferences(ROWS)
    total = None
    for apply in (filter_repeats, filter_contradictions, filter_ties):
        preferences, report = apply(preferences)
        total = report if total is None else total + report
    assert rows_kept(preferences) == [0, 5]
    assert total.removed["source_row"].tolist() == [1, 2, 3, 4]
    assert total.removed["left_out"].tolist() == [
        "repeats an earlier pair",
        "contradicts another pair",
        "contradicts another pair",
        "tie",
    ]


def test_prompts_of_a_test_set_go_with_their_near_duplicates():
    """Exactly, in another spelling, and nearly; not nearly where that is off."""
    sea = "Write a short poem about the sea at night"
    train = read_preferences([pair(p, "x", "y") for p in ("a", sea, "b ", "c")])
    test = read_preferences([pair(p, "u", "v") for p in (f"{sea}, please", "b")])
    kept, report = filter_shared_prompts(train, test)
    assert rows_kept(kept) == [0, 3]
    assert report.left_out[0].reason == "prompt is also in rows"
    assert rows_kept(filter_shared_prompts(train, test, None)[0]) == [0, 1, 3]


def test_rated_items_of_shared_prompts_go_too():
    """Data without pairs are filtered by item."""
    rows = [{"prompt": p, "response": "x", "score": 1.0} for p in "ab"]
    test = read_preferences([pair("a", "u", "v")])
    kept, report = filter_shared_prompts(read_preferences(rows), test)
    assert kept.items["prompt"].tolist() == ["b"]
    assert report.unit == "items"
    assert report.removed["response"].tolist() == ["x"]


def test_the_first_of_near_duplicate_prompts_stays():
    """With all its pairs; of data without pairs, with its items."""
    sea = "Write a short poem about the sea at night"
    prompts = (sea, "a", f"{sea}!", sea)
    kept, report = filter_near_duplicate_prompts(
        read_preferences([pair(p, "x", "y") for p in prompts])
    )
    assert rows_kept(kept) == [0, 1, 3]
    assert report.removed["prompt"].tolist() == [f"{sea}!"]
    rated = [{"prompt": p, "response": "x", "score": 1.0} for p in prompts]
    kept, report = filter_near_duplicate_prompts(read_preferences(rated))
    assert kept.items["prompt"].tolist() == [sea, "a"]
    assert report.unit == "items"


def test_labels_that_look_wrong_go():
    """By held-out probabilities, one for each pair."""
    preferences = read_preferences(ROWS)
    kept, _ = filter_label_errors(preferences, [0.9, 0.9, 0.05, 0.6, 0.5, 0.9])
    assert rows_kept(kept) == [0, 1, 3, 4, 5]
    with pytest.raises(InvalidInputError):
        filter_label_errors(preferences, [0.9])


def test_pairs_across_prompts_can_be_removed_and_listed():
    """The prompt shown is that of first."""
    first = read_preferences([pair("a", "one two", "y"), pair("b", "three four", "z")])
    first.pairs.loc[0, "second"] = first.pairs.loc[1, "second"]
    _, report = filter_by_length(first, min_words=2)
    assert report.removed["prompt"].tolist() == ["a", "b"]
    assert report.removed["second"].tolist() == ["z", "z"]
