"""The quick way of plain rows gives the tables and the report of the careful way."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import read_preferences
from embrm.datasets.formats import known_formats
from embrm.exceptions import DataError

TEXTS = st.sampled_from(
    [
        *(
            "a",
            "b ",
            " b",
            "ä",
            "[",
            "[x",
            "",
            " ",
            "e\u0301",
            "é",
            "c",
            "N/A",
            "\ud800",
        ),
        *(
            '{"role": "assistant", "content": "c"}',
            '[{"role": "user", "content": "a"}]',
        ),
    ]
)
NUMBERS = st.integers(-3, 3) | st.floats(allow_nan=True) | st.just(10**30)
CELLS = TEXTS | st.none() | st.booleans() | NUMBERS | st.just([1]) | st.just({"a": 1})
WINNERS = st.sampled_from(
    ["A", "B", "tie", "a", " A ", "A>B", "both bad", "m", "x", "", None, 1, 2, 0, True]
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "human", "tool"]),
            "content": TEXTS | st.none(),
        },
        optional={"name": st.just("n")},
    ),
    max_size=3,
)
ANSWER = st.fixed_dictionaries(
    {"role": st.sampled_from(["assistant", "user"]), "content": TEXTS}
)


@st.composite
def conversations(draw):
    """Two conversations with turns in common, mostly."""
    turns = draw(TURNS)
    other = turns if draw(st.integers(0, 4)) else draw(TURNS)
    return {
        "chosen": [*turns, draw(ANSWER)],
        "rejected": [*other, draw(ANSWER)],
        "note": draw(CELLS),
    }


USER, BOT = ({"role": role, "content": role} for role in ("user", "assistant"))
SHAPES = {
    "pairs": (
        {"prompt": "p", "chosen": "x", "rejected": "y", "note": "n", "kind": "k"},
        st.fixed_dictionaries(
            {"prompt": TEXTS, "chosen": TEXTS, "rejected": TEXTS},
            optional={"note": CELLS, "kind": CELLS},
        ),
    ),
    "two-responses": (
        {"prompt": "p", "response_a": "x", "response_b": "y", "model_a": "m"}
        | {"winner": "A", "note": "n"},
        st.fixed_dictionaries(
            {"prompt": TEXTS, "response_a": TEXTS, "response_b": TEXTS}
            | {"model_a": st.just("m"), "winner": WINNERS, "note": CELLS}
        ),
    ),
    "pku-saferlhf": (
        {"prompt": "p", "response_0": "x", "response_1": "y", "better_response_id": 1},
        st.fixed_dictionaries(
            {"prompt": TEXTS, "response_0": TEXTS, "response_1": TEXTS}
            | {"better_response_id": WINNERS}
        ),
    ),
    "ratings": (
        {"prompt": "p", "response": "x", "rating": 3, "kind": 1.5, "turn": 1}
        | {"rater": "z", "note": "n", "flag": True},
        st.fixed_dictionaries(
            {"prompt": TEXTS, "response": TEXTS, "rating": NUMBERS, "kind": CELLS}
            | {"turn": CELLS, "rater": CELLS, "note": CELLS, "flag": CELLS}
        ),
    ),
    "trl": (
        {
            "chosen": [USER, BOT | {"content": "x"}],
            "rejected": [USER, BOT],
            "note": "n",
        },
        conversations(),
    ),
    "trl with a prompt": (
        {"prompt": "user", "chosen": [USER, BOT | {"content": "x"}]}
        | {"rejected": [USER, BOT], "note": "n"},
        st.builds(
            lambda prompt, row: {"prompt": prompt, **row}, TEXTS, conversations()
        ),
    ),
}


def _read(rows):
    try:
        return read_preferences(rows, on_error="skip"), None
    except DataError as error:
        return None, str(error)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=120)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::embrm.exceptions.EmbrmWarning")
def test_the_quick_way_reads_what_the_careful_way_reads(shape, data):
    """The same tables, report and errors, whatever the cells hold."""
    first, rows = SHAPES[shape]
    rows = [first, *data.draw(st.lists(rows, min_size=1, max_size=8))]
    quick, refused = _read(rows)
    with pytest.MonkeyPatch.context() as patch:
        for fmt in known_formats().values():
            patch.setitem(fmt.__dict__, "plain", None)
        careful, also_refused = _read(rows)
    assert refused == also_refused
    if quick is None or careful is None:
        return
    assert quick.read_report.format == shape.split()[0]
    pd.testing.assert_frame_equal(quick.items, careful.items)
    pd.testing.assert_frame_equal(quick.pairs, careful.pairs)
    assert quick.read_report.to_json() == careful.read_report.to_json()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore::embrm.exceptions.EmbrmWarning")
def test_plain_rows_are_read_the_quick_way(shape, monkeypatch):
    """After the first row, a format's own reading is not asked."""
    first, _ = SHAPES[shape]
    fmt = known_formats()[shape.split()[0]]
    asked = []

    def read(row, reader):
        asked.append(row)
        fmt_read(row, reader)

    fmt_read = fmt.read
    monkeypatch.setitem(fmt.__dict__, "read", read)
    assert read_preferences([first] * 5).read_report.n_kept == 5
    assert len(asked) == 1
