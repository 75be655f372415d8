"""No format takes a row that belongs to another."""

import contextlib
import itertools

import numpy as np
import pytest

from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]
ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")

# Rows of the benchmark and rating formats, by the one name that may take them.
OWN = [
    (
        "rewardbench",
        {"prompt": "a", "chosen": "b", "rejected": "c", "subset": "d", "id": 1},
    ),
    (
        "rewardbench2",
        {
            "id": "ref:1",
            "prompt": "a",
            "chosen": ["b"],
            "rejected": ["c", "d", "e"],
            "num_correct": 1,
            "total_completions": 4,
            "subset": "Ties",
        },
    ),
    (
        "rewardbench2",
        {
            "id": "tied:1",
            "prompt": "a",
            "chosen": ["b", "c", "d"],
            "rejected": ["e", "f", "g"],
            "num_correct": 3,
            "total_completions": 6,
            "subset": "Ties",
        },
    ),
    (
        "rm-bench",
        {"id": 1, "prompt": "a", "chosen": list("bcd"), "rejected": list("efg")},
    ),
    (
        "judgebench",
        {
            "pair_id": "1",
            "original_id": "1",
            "source": "a",
            "question": "b",
            "response_model": "c",
            "response_A": "d",
            "response_B": "e",
            "label": "A>B",
        },
    ),
    ("llmbar", {"input": "a", "output_1": "b", "output_2": "c", "label": 1}),
    (
        "helpsteer2",
        {"prompt": "a", "response": "b", **dict.fromkeys(ATTRIBUTES, 3)},
    ),
    (
        "helpsteer2-preference",
        {
            "split": "train",
            "prompt": "a",
            "response_1": "b",
            "response_2": "c",
            "preference_strength": -1,
        },
    ),
    (
        "helpsteer3",
        {
            "domain": "a",
            "language": "b",
            "context": MESSAGES[:1],
            "response1": "c",
            "response2": "d",
            "overall_preference": 2,
        },
    ),
    (
        "ultrafeedback",
        {
            "source": "a",
            "instruction": "b",
            "models": ["c"],
            "completions": [{"response": "d", "annotations": {}}],
        },
    ),
    ("ranked", {"prompt": "a", "responses": ["b", "c"], "ranks": [0, 1]}),
    ("ranked", {"prompt": "a", "responses": ["b", "c"], "ranking": [0, 1]}),
    (
        "ranked",
        {
            "context": MESSAGES[:1],
            "completions": [{"rank": 0, "completion": MESSAGES[1:]}],
        },
    ),
    ("unpaired", {"prompt": "a", "completion": "b", "label": True}),
    ("unpaired", {"prompt": "a", "response": "b", "label": 0}),
    ("unpaired", {"prompt": MESSAGES[:1], "completion": MESSAGES[1:], "label": False}),
    ("ratings", {"prompt": "a", "response": "b", "score": 1.5}),
    ("ratings", {"prompt": "a", "response": "b", "score": 1.5, "label": True}),
    ("ratings", {"prompt": "a", "response": "b", "gold": 1.5, "prompt_id": 3}),
    ("ratings", {"prompt": "a", "response": "b", "helpfulness": 3}),
]

# Rows of other formats, and of none.
FOREIGN = [
    {"prompt": "a", "chosen": "b", "rejected": "c"},
    {"prompt": "a", "chosen": "b", "rejected": "c", "margin": 1.0},
    {"chosen": "a b", "rejected": "a c"},
    {"chosen": MESSAGES, "rejected": MESSAGES},
    {"prompt": MESSAGES[:1], "chosen": MESSAGES[1:], "rejected": MESSAGES[1:]},
    {"prompt": "a", "chosen": MESSAGES * 2, "rejected": MESSAGES * 2, "id": 1},
    {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a"},
    {"prompt": "a", "completions": ["b", "c"], "labels": [True, False]},
    {"prompt": "a", "response": "b"},
    {"prompt": "a", "response": "b", "category": "c"},
    {"text": "a"},
    {},
]
NAMES = sorted({name for name, _ in OWN})


@pytest.mark.parametrize(("owner", "row"), OWN)
def test_a_row_is_taken_by_its_own_format_alone(owner, row):
    """Of the benchmark and rating formats, exactly one takes each example."""
    assert [name for name in NAMES if find_format(name).detect(row)] == [owner]


@pytest.mark.parametrize("row", FOREIGN)
def test_a_row_of_another_format_is_left_alone(row):
    """Plain pairs, TRL and HH rows, and rows of no format, are taken by none."""
    assert not [name for name in NAMES if find_format(name).detect(row)]


ODD_CELLS = [
    None,
    float("nan"),
    "",
    "N/A",
    -1,
    2.5,
    10**400,
    True,
    b"x",
    [],
    {},
    [None],
    [{}],
    [[]],
    np.array(["a", "b", "c"], dtype=object),
    np.array([]),
    [{"role": "assistant", "content": None}],
    [{"response": "a", "annotations": {"honesty": {"Rating": [1]}}}],
    [{"rank": [], "completion": "a"}],
]


@pytest.mark.parametrize(("owner", "row"), OWN)
def test_an_odd_cell_is_refused_by_a_data_error_or_read(owner, row):
    """Whatever stands in a cell, nothing but `DataError` comes out."""
    for column, cell in itertools.product(row, ODD_CELLS):
        odd = row | {column: cell}
        for name in NAMES:
            find_format(name).detect(odd)
        with contextlib.suppress(DataError):
            find_format(owner).read(odd, RowReader())
