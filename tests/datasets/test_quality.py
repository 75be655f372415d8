"""Quality filters: what they leave out, what stays, and what they report."""

import math
import random
from difflib import SequenceMatcher

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import (
    LeftOut,
    Preferences,
    QualityReport,
    filter_by_agreement,
    filter_by_length,
    filter_near_duplicates,
    read_preferences,
)
from embrm.datasets.quality import count_words
from embrm.exceptions import InvalidInputError, LeftOutWarning


def of_pairs(*responses: tuple[str, str], **columns: list) -> Preferences:
    rows = [
        {"prompt": f"prompt {n}", "chosen": chosen, "rejected": rejected}
        | {name: values[n] for name, values in columns.items()}
        for n, (chosen, rejected) in enumerate(responses)
    ]
    return read_preferences(rows, format="pairs")


def of_ratings(*responses: str) -> Preferences:
    rows = [{"prompt": "?", "response": text, "score": 1.0} for text in responses]
    return read_preferences(rows, format="ratings")


def words(n: int, start: str = "w") -> str:
    return " ".join(f"{start}{i}" for i in range(n))


def left_out(report: QualityReport) -> dict[str, int]:
    return {entry.reason: entry.n for entry in report.left_out}


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("one", 1),
        ("one  two\nthree", 3),
        ("你好，世界。", 4),  # noqa: RUF001
        ("用 Python 写代码", 5),
        ("これはペンです。", 7),
        ("안녕 하세요", 2),
        ("𠀀𠀁", 2),
        ("！？　", 0),  # noqa: RUF001
    ],
)
def test_words_are_counted_in_scripts_with_and_without_spaces(text, n):
    """Han and kana characters count one each, their punctuation does not."""
    assert count_words(text) == n


@settings(max_examples=100)
@given(st.text(st.characters(max_codepoint=0x2FF)))
def test_outside_chinese_and_japanese_words_are_those_of_split(text):
    """For alphabets, the count is that of `str.split`."""
    assert count_words(text) == len(text.split())


def test_short_and_long_pairs_are_left_out():
    """Both responses must have 10 to 500 words, ends included."""
    preferences = of_pairs(
        (words(10), words(500)),
        (words(9), words(20)),
        (words(20), words(501)),
        (words(9), words(501)),
    )
    kept, report = filter_by_length(preferences)
    assert kept.pairs["source_row"].tolist() == [0]
    assert left_out(report) == {"too short": 2, "too long": 1}


def test_of_data_without_pairs_the_items_are_judged():
    """Ratings have no pairs; their items are filtered and reported."""
    preferences = of_ratings(words(3), words(30), words(600))
    kept, report = filter_by_length(preferences)
    assert kept.items["source_row"].tolist() == [1]
    assert kept.items.index.tolist() == [0]
    assert (report.unit, report.n_before, report.n_after) == ("items", 3, 1)


def test_an_item_goes_with_its_last_pair():
    """Items of other pairs stay, and the ids of the pairs follow them."""
    rows = [
        {"prompt": "?", "chosen": words(3), "rejected": words(12)},
        {"prompt": "?", "chosen": words(12), "rejected": words(15)},
    ]
    kept, _ = filter_by_length(read_preferences(rows))
    assert kept.items["response"].tolist() == [words(12), words(15)]
    assert kept.pairs[["first", "second"]].to_numpy().tolist() == [[0, 1]]


def test_an_item_that_never_had_a_pair_stays():
    """A rating without a pair is no part of what the filter judges."""
    preferences = of_pairs((words(3), words(12)))
    extra = preferences.items.head(1).assign(response="Alone.")
    items = pd.concat([preferences.items, extra], ignore_index=True)
    kept, _ = filter_by_length(
        Preferences(items, preferences.pairs, preferences.read_report)
    )
    assert kept.items["response"].tolist() == ["Alone."]


def test_filters_leave_their_input_and_the_account_alone():
    """A filter is a pure function; the report counts rows of the source."""
    preferences = of_pairs((words(3), words(12)), (words(11), words(12)))
    items, pairs = preferences.items.copy(), preferences.pairs.copy()
    kept, _ = filter_by_length(preferences)
    pd.testing.assert_frame_equal(preferences.items, items)
    pd.testing.assert_frame_equal(preferences.pairs, pairs)
    assert kept.read_report is preferences.read_report


def test_what_is_kept_still_joins_with_vectors():
    """Labels, columns and item rows stay together."""
    preferences = of_pairs(
        (words(3), words(12)), (words(11), words(12)), margin=[1.0, 2.0]
    )
    kept, _ = filter_by_length(preferences)
    assert kept.to_pairs(np.eye(2)).ids.tolist() == [[0, 1]]
    assert kept.margin is not None
    assert kept.margin.tolist() == [2.0]


def test_a_filter_that_leaves_nothing_out_changes_nothing():
    """All rows, ids and columns are as before."""
    preferences = of_pairs((words(11), words(12)), (words(13), words(14)))
    kept, report = filter_by_length(preferences)
    pd.testing.assert_frame_equal(kept.items, preferences.items)
    pd.testing.assert_frame_equal(kept.pairs, preferences.pairs)
    assert (report.n_left_out, report.left_out) == (0, ())


def test_everything_may_be_left_out():
    """An empty result is one, and the next filter takes it."""
    kept, first = filter_by_length(of_pairs(("a", "b")))
    again, second = filter_near_duplicates(kept)
    third = filter_by_length(again)[1]
    assert len(again.items) == len(again) == 0
    assert (first + second + third).n_after == 0


@pytest.mark.parametrize(("low", "high"), [(-1, 5), (6, 5)])
def test_lengths_must_make_a_range(low, high):
    """An impossible range is refused."""
    with pytest.raises(InvalidInputError, match="0 <= min_words <= max_words; got"):
        filter_by_length(of_pairs(("a", "b")), low, high)


def test_near_duplicates_are_left_out():
    """Nine words of ten in common are a ratio of 0.9; half of them, 0.5."""
    preferences = of_pairs(
        (words(10), words(9) + " other"),
        (words(10), words(5) + " " + words(5, "v")),
    )
    kept, report = filter_near_duplicates(preferences)
    assert kept.pairs["source_row"].tolist() == [1]
    assert left_out(report) == {"near-duplicate responses": 1}


def test_the_threshold_itself_is_left_out():
    """The source asks for a ratio below 0.8: four words of five are too many."""
    preferences = of_pairs(("a b c d e", "a b c d f"))
    assert filter_near_duplicates(preferences, 0.8)[1].n_left_out == 1
    assert filter_near_duplicates(preferences, 0.81)[1].n_left_out == 0


def test_chinese_texts_are_compared_character_by_character():
    """Without spaces a text would be one word, and never a near-duplicate."""
    preferences = of_pairs(("今天天气非常好。", "今天天气非常坏。"))
    assert filter_near_duplicates(preferences)[1].n_left_out == 1


def test_copies_of_long_texts_are_found_by_characters_too():
    """difflib's autojunk would miss this copy with one letter in three exchanged."""
    source = random.Random(0)
    letters = [source.choice("abcd") for _ in range(600)]
    copy = [letter if n % 8 else "e" for n, letter in enumerate(letters)]
    texts = ("".join(letters), "".join(copy))
    assert SequenceMatcher(None, *texts).ratio() < 0.8
    _, report = filter_near_duplicates(of_pairs(texts), unit="character")
    assert report.n_left_out == 1


def test_the_same_answer_to_two_prompts_is_no_near_duplicate():
    """Across prompts, equal responses tell the prompts apart."""
    preferences = of_pairs((words(10), words(9)), (words(10), words(9)))
    crossed = preferences.pairs.assign(first=[0, 1], second=[2, 3])
    crossed = Preferences(preferences.items, crossed, preferences.read_report)
    assert filter_near_duplicates(crossed)[1].n_left_out == 0


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=12),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=12),
    st.floats(0.05, 1.0),
)
def test_the_upper_bounds_change_no_decision(a, b, max_ratio):
    """Trying cheap bounds first decides as the full ratio does."""
    responses = " ".join(a), " ".join(b) + " e"
    ratio = SequenceMatcher(None, a, [*b, "e"], autojunk=False).ratio()
    _, report = filter_near_duplicates(of_pairs(responses), max_ratio)
    assert report.n_left_out == (ratio >= max_ratio)


@pytest.mark.parametrize(
    "arguments", [{"max_ratio": 0.0}, {"max_ratio": 1.1}, {"unit": "letter"}]
)
def test_ratio_and_unit_are_checked(arguments):
    """A percentage or an unknown unit is refused."""
    with pytest.raises(InvalidInputError, match=r"max_ratio in \(0, 1\] and unit"):
        filter_near_duplicates(of_pairs(("a", "b")), **arguments)


def test_disputed_pairs_are_left_out_and_unknown_ones_kept():
    """At 0.6 or below is disputed; NaN says nothing against a pair."""
    preferences = of_pairs(("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"))
    shares = [0.6, 0.61, np.nan, 0.2]
    pairs = preferences.pairs.assign(annotator_agreement=shares)
    kept, report = filter_by_agreement(
        Preferences(preferences.items, pairs, preferences.read_report)
    )
    assert kept.pairs["source_row"].tolist() == [1, 2]
    assert left_out(report) == {"low annotator agreement": 2}


def test_agreement_may_stand_in_another_column():
    """`column` names it; it comes through the reader as any other column."""
    preferences = of_pairs(("a", "b"), ("c", "d"), kappa=[0.9, 0.1])
    kept, _ = filter_by_agreement(preferences, 0.5, column="kappa")
    assert kept.pairs["source_row"].tolist() == [0]


def test_a_missing_agreement_column_is_named():
    """The message lists the columns there are."""
    with pytest.raises(
        InvalidInputError, match="'annotator_agreement' of pairs; got c"
    ):
        filter_by_agreement(of_pairs(("a", "b")))


@pytest.mark.parametrize("value", [80.0, -0.1, "high"])
def test_agreement_must_be_a_share(value):
    """Percentages and words are refused, not compared."""
    preferences = of_pairs(("a", "b"), ("c", "d"), share=[0.5, value])
    with pytest.raises(InvalidInputError, match=r"in \[0, 1\].*at pair 1"):
        filter_by_agreement(preferences, column="share")


def test_reports_of_a_chain_add_up():
    """The sum begins with the first filter and ends with the last."""
    preferences = of_pairs(
        (words(3), words(12)),
        (words(10), words(9) + " other"),
        (words(12), words(12, "v")),
    )
    kept, first = filter_by_length(preferences)
    kept, second = filter_near_duplicates(kept)
    total = first + second
    assert (total.n_before, total.n_after, total.n_left_out) == (3, 1, 2)
    assert list(left_out(total)) == ["too short", "near-duplicate responses"]
    assert len(kept) == 1


def test_reports_of_different_chains_do_not_add_up():
    """A later report must begin where the earlier one ended."""
    one, other = (
        QualityReport("pairs", 5, 3, (LeftOut("too short", 2, ("0", "1")),)),
        QualityReport("pairs", 4, 4),
    )
    with pytest.raises(InvalidInputError, match="begins with the 3 pairs"):
        _ = one + other


def test_a_report_prints_aligned_and_names_at_most_five_places():
    """Counts and reasons line up; further places are dots."""
    preferences = of_pairs(*[("a", f"b{n}") for n in range(12)], (words(600), "a"))
    _, report = filter_by_length(preferences, min_words=1)
    assert str(report) == (
        "13 pairs before, 12 after, 1 left out\n   1  too long  source row 12"
    )
    _, report = filter_by_length(preferences, min_words=2, max_words=599)
    assert str(report).splitlines()[1:] == [
        "   13  too short  source rows 0, 1, 2, 3, 4, ..."
    ]


@pytest.mark.realdata
def test_real_transcripts_pass_in_part(shared_data):
    """On real pairs every filter keeps most and leaves some out."""
    path = shared_data / "hh_harmless_dev.jsonl"
    with pytest.warns(LeftOutWarning):
        preferences = read_preferences(path, on_error="skip")
    kept, length = filter_by_length(preferences)
    kept, alike = filter_near_duplicates(kept)
    assert 0.4 * len(preferences) < len(kept) < len(preferences)
    assert (length + alike).n_after == len(kept)
    assert set(kept.pairs["first"]) | set(kept.pairs["second"]) == set(kept.items.index)


@pytest.mark.parametrize("min_agreement", [60, -0.1, math.nan])
def test_the_least_agreement_is_a_share(min_agreement):
    """A percentage would leave out every pair."""
    with pytest.raises(InvalidInputError, match=r"in \[0, 1\].*write 60% as 0\.6"):
        filter_by_agreement(of_pairs(("a", "b")), min_agreement)
