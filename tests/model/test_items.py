"""What can be rewarded in a frame: one response a row, both sides, or lists."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from embrm.exceptions import DataError, InvalidInputError
from embrm.model.items import row_items


def test_texts_are_taken_by_column_name():
    """Renamed columns are found through `columns`."""
    df = pd.DataFrame({"question": ["a"], "response": ["b"]})
    assert row_items(df, {"prompt": "question"}).texts == [("a", "b")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": "p", "response": None},
            r"frame, row 2 \(index y\): .*got none. Fix: drop the row",
        ),
        ({"prompt": None, "response": "r"}, "a prompt with text in it; got n"),
        (
            {"prompt": float("nan"), "response": "r"},
            "a prompt with text in it; got n",
        ),
        ({"prompt": pd.NA, "response": "r"}, "a prompt with text in it; got n"),
        (
            {"prompt": "p", "response": "  "},
            "a response with text in it; got an em",
        ),
        (
            {"prompt": " ", "response": "r"},
            "a prompt with text in it; got an em",
        ),
        (
            {"prompt": "p", "response": 3},
            "got int. Fix: write the response",
        ),
        ({"prompt": 3, "response": "r"}, "a str or a list of messages; got int"),
        ({"prompt": [{"role": "user"}], "response": "r"}, "row 2 .*at message 0"),
        ({"prompt": "p", "response": "\ud800"}, "half of a surrogate pair"),
        ({"prompt": "\ud800", "response": "r"}, "half of a surrogate pair"),
    ],
)
def test_rows_without_text_are_named(row, message):
    """The error holds position and index of the row."""
    df = pd.DataFrame(
        [{"prompt": "p", "response": "r"}, row], index=["x", "y"], dtype=object
    )
    with pytest.raises(DataError, match=message):
        row_items(df)


def test_a_missing_column_is_named_with_those_there_are():
    """The error says how to name another."""
    message = r"column 'response', .*; got 0 among the columns prompt.*columns=\{'resp"
    with pytest.raises(DataError, match=message):
        row_items(pd.DataFrame({"prompt": ["p"]}))


def test_a_column_that_stands_twice_is_refused():
    """Nobody can say which is meant."""
    frame = pd.DataFrame([["p", "q", "r"]], columns=["prompt", "prompt", "response"])
    with pytest.raises(DataError, match="one column 'prompt'; got 2"):
        row_items(frame)


@pytest.mark.parametrize(
    "data", [None, 3, {"prompt": ["p"], "response": ["r"]}, np.zeros((2, 2))]
)
def test_what_is_no_frame_is_refused(data):
    """The error says how to make one."""
    with pytest.raises(InvalidInputError, match=r"got .*pass pd\.DataFrame\(rows\)"):
        row_items(data)


@pytest.mark.parametrize(
    "dtype", ["object", "string", "string[python]", "string[pyarrow]", "category"]
)
def test_texts_of_every_dtype_are_taken(dtype):
    """However pandas holds them, they are the same texts."""
    df = pd.DataFrame({"prompt": ["a", "b"], "response": ["c", "d"]}).astype(dtype)
    assert row_items(df).texts == [("a", "c"), ("b", "d")]


ANSWER = [{"role": "assistant", "content": "Red."}]
ASKED = [{"role": "user", "content": "A colour?"}]
LAYOUTS = {
    "messages": ({"prompt": ASKED, "response": ANSWER}, [("response", None)]),
    "one message": ({"prompt": ASKED, "response": ANSWER[0]}, [("response", None)]),
    "conversation": ({"messages": ASKED + ANSWER}, [("messages", None)]),
    "completion": ({"question": "A colour?", "answer": "Red."}, [("answer", None)]),
    "pair": (
        {"prompt": "A colour?", "chosen": "Red.", "rejected": "Seven."},
        [("chosen", None), ("rejected", None)],
    ),
    "conversations": (
        {"chosen": ASKED + ANSWER, "rejected": [*ASKED, ANSWER[0] | {"content": "7"}]},
        [("chosen", None), ("rejected", None)],
    ),
    "two responses": (
        {"prompt": "A colour?", "response_a": "Red.", "response_b": "Seven."},
        [("response_a", None), ("response_b", None)],
    ),
    "list": (
        {"prompt": "A colour?", "responses": ["Red.", "Seven."]},
        [("responses", 0), ("responses", 1)],
    ),
    "transcripts": (
        {
            "chosen": "\n\nHuman: A colour?\n\nAssistant: Red.",
            "rejected": "\n\nHuman: A colour?\n\nAssistant: Seven.",
        },
        [("chosen", None), ("rejected", None)],
    ),
    "best of n": (
        {"prompt": "A colour?", "chosen": "Red.", "rejected": ["Seven.", "No."]},
        [("chosen", None), ("rejected", 0), ("rejected", 1)],
    ),
}


@pytest.mark.parametrize(("row", "origins"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_that_is_fitted_on_is_scored(row, origins):
    """The responses are found, with the column that each stands in."""
    items = row_items([row])
    assert items.origins == origins
    assert items.texts[0][1] == "Red."
    prompts = [prompt for prompt, _ in items.texts]
    assert all(prompt in ("A colour?", ASKED) for prompt in prompts)


def test_values_are_laid_out_as_the_responses_are():
    """A cell for a response, a list for a list."""
    rows = [LAYOUTS["best of n"][0], {**LAYOUTS["best of n"][0], "rejected": ["x"]}]
    spread = row_items(rows).spread(np.arange(5.0), "reward")
    assert spread["reward_chosen"].tolist() == [0.0, 3.0]
    assert spread["reward_rejected"].tolist() == [[1.0, 2.0], [4.0]]


def _written(path):
    def write(rows, folder):
        target = folder / path
        target.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return target

    return write


CONTAINERS = {
    "dicts": lambda rows, _: rows,
    "pandas": lambda rows, _: pd.DataFrame(rows),
    "polars": lambda rows, _: pl.DataFrame(rows),
    "arrow": lambda rows, _: pa.Table.from_pylist(rows),
    "arrow in pandas": lambda rows, _: pa.Table.from_pylist(rows).to_pandas(
        types_mapper=pd.ArrowDtype
    ),
    "file": _written("rows.jsonl"),
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_is_scored(container, tmp_path):
    """However rows are held, they are the same items."""
    rows = [
        {"prompt": ASKED, "response": ANSWER},
        {"prompt": ASKED, "response": ANSWER},
    ]
    items = row_items(container(rows, tmp_path))
    assert items.texts == [(ASKED, "Red.")] * 2
    assert items.is_one_a_row


def test_columns_of_the_input_are_not_replaced_unasked():
    """A reward that was there is somebody's."""
    items = row_items([{"prompt": "p", "response": "r", "reward": 7}])
    with pytest.raises(
        InvalidInputError, match=r"got one with reward. Fix: name other"
    ):
        items.joined({"reward": np.zeros(1)})
    replaced = items.joined({"reward": np.zeros(1)}, overwrite=True)
    assert replaced["reward"].tolist() == [0.0]
    assert items.joined({"mine": np.zeros(1)})["reward"].tolist() == [7]


def test_a_label_that_is_missing_does_not_matter():
    """What is scored need not say which response is better."""
    row = {"question": "q", "response_A": "a", "response_B": "b", "label": None}
    assert len(row_items([row]).texts) == 2


@pytest.mark.parametrize(
    "row",
    [
        {"response": "a"},
        {"responses": ["a"]},
        {"chosen": "a", "rejected": "b"},
        {"prompt": "not this", "response": "a"},
    ],
    ids=["one", "list", "pair", "prompt beside"],
)
def test_a_template_writes_the_prompt_of_what_is_scored(row):
    """As in reading preferences; what it names is no response, whatever its name."""
    found = row_items([{"text": "t", "ask": "q", **row}], None, "{text}\n{ask}").texts
    assert found[0] == ("t\nq", "a")
    assert {prompt for prompt, _ in found} == {"t\nq"}


def test_a_template_that_names_no_column_of_the_row_is_refused():
    """Nothing is scored with half a prompt."""
    with pytest.raises(DataError, match="column 'ask', which the prompt_template"):
        row_items([{"prompt": "p", "response": "a"}], None, "{ask}")


def test_a_benchmark_s_row_without_its_id_is_scored():
    """What only the official score needs is not asked for."""
    row = {"prompt": "p", "chosen": ["a"], "rejected": ["b", "c"], "num_correct": 1}
    texts = row_items([row | {"subset": "s"}]).texts
    assert texts == [("p", "a"), ("p", "b"), ("p", "c")]
