"""RM-Bench: the nine cells of a row, with their styles."""

import json
from collections import Counter

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW = {
    "id": "chat/8",
    "prompt": "Which planet is largest?",
    "chosen": ["Jupiter.", "Jupiter is the largest.", "**Jupiter** is the largest."],
    "rejected": ["Saturn.", "Saturn is the largest.", "**Saturn** is the largest."],
    "domain": "chat",
}
STYLES = ["concise", "detailed-plain", "detailed-markdown"]


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("rm-bench").read(row, reader)
    return reader


def test_a_row_gives_nine_pairs_in_the_order_of_the_matrix():
    """Rows of the matrix are chosen styles, columns rejected ones."""
    preferences = read_preferences([ROW])
    assert preferences.read_report.format == "rm-bench"
    pairs = preferences.pairs
    cells = list(zip(pairs["chosen_style"], pairs["rejected_style"], strict=True))
    assert cells == [(chosen, rejected) for chosen in STYLES for rejected in STYLES]
    responses = preferences.items["response"]
    for n, (first, second) in enumerate(
        zip(pairs["first"], pairs["second"], strict=True)
    ):
        assert responses[first] == ROW["chosen"][n // 3]
        assert responses[second] == ROW["rejected"][n % 3]


def test_pairs_carry_id_and_domain():
    """What the official score groups by is a column of pairs."""
    pairs = read_preferences([ROW]).pairs
    assert set(pairs["benchmark_id"]) == {"chat/8"}
    assert set(pairs["domain"]) == {"chat"}
    assert set(pairs["cells_left_out"]) == {0}


def test_files_of_one_domain_have_no_domain_column():
    """Where the file has a subset and no domain, so have the pairs."""
    row = {name: value for name, value in ROW.items() if name != "domain"}
    pair = read(row | {"id": 8, "subset": "alpacaeval"}).pairs[0]
    assert "domain" not in pair
    assert (pair["subset"], pair["benchmark_id"]) == ("alpacaeval", "8")


def test_equal_chosen_texts_keep_all_nine_cells():
    """Two chosen styles that came out the same are one item in two cells."""
    plain = ROW["chosen"][1]
    preferences = read_preferences([ROW | {"chosen": ["Jupiter.", plain, plain]}])
    assert len(preferences) == 9
    assert len(preferences.items) == 5


def test_a_cell_of_identical_texts_is_left_out_and_the_others_kept():
    """Eight cells stay, each says that one is gone, and the row counts as kept."""
    row = ROW | {"rejected": [ROW["chosen"][1], *ROW["rejected"][1:]]}
    preferences = read_preferences([row])
    pairs = preferences.pairs
    cells = set(zip(pairs["chosen_style"], pairs["rejected_style"], strict=True))
    assert len(pairs) == 8
    assert ("detailed-plain", "concise") not in cells
    assert set(pairs["cells_left_out"]) == {1}
    assert (preferences.read_report.n_kept, preferences.read_report.n_left_out) == (
        1,
        0,
    )


def test_a_row_without_any_cell_left_is_refused():
    """Six times the same text says nothing at all."""
    with pytest.raises(DataError, match="the same response twice") as caught:
        read(ROW | {"chosen": ["Same."] * 3, "rejected": ["Same."] * 3})
    assert caught.value.reason == "identical chosen and rejected"


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"chosen": ["a", "b"]}, "chosen has the wrong length", "list of 3 as chosen"),
        ({"rejected": None}, "rejected is not a list", "got NoneType"),
        ({"rejected": ["a", "b", None]}, "missing response", "got none"),
        ({"chosen": ["a", "b", ""]}, "empty response", "with text in it"),
        ({"prompt": ""}, "empty prompt", "prompt with text in it; got an empty"),
        ({"id": None}, "missing id", "as id; got none"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | change)
    assert caught.value.reason == reason


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "subset"),
    [("chat", "alpacaeval"), ("safety-refuse", "refusals-dangerous")],
)
def test_the_real_files_lose_no_row_and_no_cell(shared_data, name, subset):
    """Nine pairs of every row: nothing is left out of the benchmark's own files."""
    path = shared_data / f"rmbench_{name}_filtered.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    preferences = read_preferences(path)
    assert preferences.read_report.format == "rm-bench"
    assert preferences.read_report.n_kept == preferences.read_report.n_read == len(rows)
    counts = Counter(preferences.pairs["benchmark_id"])
    assert counts == {str(row["id"]): 9 for row in rows}
    assert subset in set(preferences.pairs["subset"])
    assert set(preferences.pairs["cells_left_out"]) == {0}
