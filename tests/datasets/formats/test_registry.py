"""The registry of formats: order, detection, names, and the golden cases."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import known_formats, read_preferences
from embrm.datasets.formats import column_names, detect_format, find_format
from embrm.exceptions import DataError, InvalidInputError, LeftOutWarning

PUBLISHED = json.loads(
    (Path(__file__).parents[1] / "golden" / "published.json").read_text("utf-8")
)
GOLDEN = Path(__file__).parents[1] / "golden" / "pairwise.json"
CASES = json.loads(GOLDEN.read_text("utf-8"))

MESSAGES = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
]
FIRST_ROWS = {
    "rewardbench": {
        "prompt": "p", "chosen": "a", "rejected": "b", "subset": "s", "id": 1
    },
    "rewardbench2": {
        "id": "1", "prompt": "p", "chosen": ["a"], "rejected": ["b", "c", "d"],
        "num_correct": 1, "total_completions": 4, "subset": "s",
    },
    "rm-bench": {
        "id": "1", "prompt": "p", "chosen": list("abc"), "rejected": list("def"),
        "domain": "chat",
    },
    "judgebench": {
        "pair_id": "1", "source": "s", "question": "p", "response_A": "a",
        "response_B": "b", "label": "A>B",
    },
    "llmbar": {"input": "p", "output_1": "a", "output_2": "b", "label": 1},
    "helpsteer2": {
        "prompt": "p", "response": "a", "helpfulness": 3, "correctness": 3,
        "coherence": 3, "complexity": 3, "verbosity": 3,
    },
    "helpsteer2-preference": {
        "prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": -2
    },
    "helpsteer3": {
        "context": MESSAGES[:1], "response1": "a", "response2": "b",
        "overall_preference": 2,
    },
    "ultrafeedback": {
        "instruction": "p",
        "completions": [
            {"response": "a", "annotations": {"honesty": {"Rating": "4"}}}
        ],
    },
    "trl": {
        "chosen": MESSAGES,
        "rejected": [MESSAGES[0], {"role": "assistant", "content": "x"}],
    },
    "hh": {
        "chosen": "\n\nHuman: Hi\n\nAssistant: a",
        "rejected": "\n\nHuman: Hi\n\nAssistant: b",
    },
    "ranked": {"prompt": "p", "responses": ["a", "b"], "ranks": [0, 1]},
    "unpaired": {"prompt": "p", "completion": "a", "label": True},
    "ratings": {"prompt": "p", "response": "a", "score": 3.5},
    "pairs": {"prompt": "p", "chosen": "a", "rejected": "b"},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_golden_rows_become_the_expected_items_and_pairs(case):
    """Each golden case reads as its hand-written items and pairs."""
    preferences = read_preferences(case["rows"], format=case["format"])
    items = preferences.items[["prompt", "response"]].to_numpy().tolist()
    assert items == case["items"]
    assert preferences.pairs.to_dict("records") == case["pairs"]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_golden_rows_are_detected(case):
    """Each golden case is recognised without being named."""
    assert read_preferences(case["rows"]).read_report.format == case["format"]


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_a_typical_row_is_detected_as_its_own_format(name):
    """One typical row of each format is explained by that format first."""
    assert detect_format(FIRST_ROWS[name]).name == name


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_a_typical_row_can_be_read(name):
    """One typical row of each format is kept."""
    assert read_preferences([FIRST_ROWS[name]]).read_report.n_kept == 1


def test_every_known_format_has_rows_in_its_true_schema():
    """No format is registered without a test of detection and reading."""
    published = {case["format"] for case in PUBLISHED.values()}
    assert set(known_formats()) == set(FIRST_ROWS) | published


def test_specific_formats_stand_before_general_ones():
    """Plain pairs explain benchmark rows too, so they are tried last."""
    assert list(known_formats())[-1] == "pairs"


def test_known_formats_cannot_be_changed_from_outside():
    """The registry hands out a copy."""
    known_formats().clear()
    assert "pairs" in known_formats()


def test_an_unknown_name_is_refused_with_the_known_names():
    """A wrong name lists the right ones."""
    with pytest.raises(InvalidInputError, match="unknown format 'x'; known: rewardb"):
        find_format("x")


def test_a_misspelt_name_is_answered_with_the_nearest():
    """A near miss is answered with a suggestion."""
    with pytest.raises(InvalidInputError, match="did you mean 'helpsteer2'"):
        find_format("helpster2")


def test_an_unexplained_row_lists_its_columns_and_not_all_formats():
    """The error of detection is one line a person can act on."""
    with pytest.raises(DataError, match=r"got columns a, b. Fix: name yours") as got:
        detect_format({"a": 1, "b": 2})
    assert len(str(got.value)) < 250


def test_long_column_lists_are_shortened():
    """An error does not echo a frame of a thousand columns."""
    assert len(column_names({f"{n:050d}": n for n in range(1000)})) < 700


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a", "A>B", "\n\nHuman: x\n\nAssistant: y", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "response", "annotations", "rank"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", FIRST_ROWS)
@settings(max_examples=40)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
@pytest.mark.filterwarnings("ignore::embrm.exceptions.MisreadWarning")
def test_no_row_brings_a_format_down(name, data):
    """Whatever stands in the cells, a row is kept or counted as left out."""
    row = dict(FIRST_ROWS[name])
    for column in data.draw(st.sets(st.sampled_from(sorted(row)), min_size=1)):
        row[column] = data.draw(CELLS)
    report = read_preferences([row], format=name, on_error="skip").read_report
    assert report.n_read == report.n_kept + report.n_left_out == 1


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_a_row_without_its_columns_lists_both(name):
    """A named format on other columns says which it got and which it takes."""
    with pytest.raises(DataError, match=r"columns of format .*got .*another format"):
        read_preferences([{"x": "?", "z": "!"}], format=name)


def test_a_skipped_row_is_warned_about():
    """Leaving out is never silent."""
    rows = [FIRST_ROWS["pairs"], {**FIRST_ROWS["pairs"], "rejected": "a"}]
    with pytest.warns(LeftOutWarning, match="1 identical chosen and rejected"):
        read_preferences(rows, on_error="skip")
