"""Reading: formats, columns, errors that name the line, and full reports."""

import json
import warnings

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import known_formats, read_preferences
from embrm.exceptions import DataError, InvalidInputError, LeftOutWarning

GOOD = {"prompt": "p", "chosen": "a", "rejected": "b"}
BAD_LINES = {
    '{"prompt": "p"': "malformed JSON",
    "[1, 2]": "objects with named columns; got a list",
    '{"a": ' + "[" * 100_000: "nested too deeply",
    '{"prompt": "p", "chosen": "a", "rejected": "b", "y": Infinity}': "literal Infin",
    '{"prompt": "p", "chosen": "a"}': "no 'rejected' among columns prompt, chosen",
    '{"prompt": "p", "chosen": "", "rejected": "b"}': "got an empty one",
    '{"prompt": "", "chosen": "a", "rejected": "b"}': "prompt with text in it",
    '{"prompt": 3, "chosen": "a", "rejected": "b"}': "a prompt that is a str",
    '{"prompt": "p", "chosen": 4, "rejected": "b"}': "response that is text; got int",
    '{"prompt": "p", "chosen": "a", "rejected": "a"}': "two different responses",
    json.dumps({**GOOD, "y": None}): r"y in \[0, 1\]",
    json.dumps({**GOOD, "y": -1}): r"y in \[0, 1\].*got -1",
    json.dumps({**GOOD, "margin": -1}): "margin >= 0; got -1",
    '{"prompt": "p", "chosen": "\\ud800", "rejected": "b"}': "valid Unicode",
    "x" * 3000: "at most 2000 bytes",
}


def _file(tmp_path, *lines, name="prefs.jsonl"):
    path = tmp_path / name
    path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
    return path


def _limited(line):
    """Return the limit that refuses only the line that is meant to be too long."""
    return 2000 if line.startswith("x") else 10**6


@pytest.mark.parametrize(("line", "message"), BAD_LINES.items(), ids=BAD_LINES.values())
def test_a_bad_row_is_refused_with_file_and_line(tmp_path, line, message):
    """The error names file, 1-based line, reason and fix."""
    path = _file(tmp_path, json.dumps(GOOD), "", line)
    with pytest.raises(DataError, match=rf"^prefs\.jsonl, line 3: .*{message}.*Fix"):
        read_preferences(path, format="pairs", max_line_bytes=_limited(line))


@pytest.mark.parametrize("line", BAD_LINES, ids=BAD_LINES.values())
def test_a_bad_row_is_left_out_and_counted(tmp_path, line):
    """With on_error="skip" the good rows around it are kept."""
    other = {**GOOD, "rejected": "c"}
    path = _file(tmp_path, json.dumps(GOOD), line, json.dumps(other))
    with pytest.warns(LeftOutWarning, match=r"3 rows, 2 kept, 1 left out"):
        preferences = read_preferences(
            path, on_error="skip", max_line_bytes=_limited(line)
        )
    assert preferences.read_report.left_out[0].where == ("prefs.jsonl, line 2",)
    assert preferences.pairs["source_row"].tolist() == [0, 2]


def test_bytes_that_are_not_utf8_are_refused_by_offset(tmp_path):
    """The byte is counted from the beginning of the file."""
    path = tmp_path / "prefs.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\n")
    with pytest.raises(DataError, match=r"line 2: .*byte offset 48"):
        read_preferences(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, name, text):
    """No rows are no preferences, whatever on_error says."""
    (tmp_path / name).write_text(text)
    with pytest.raises(
        DataError, match=rf"^{name}: expected at least one row; got an e"
    ):
        read_preferences(tmp_path / name, on_error="skip")


def test_an_empty_frame_is_refused():
    """Also without a file."""
    with pytest.raises(DataError, match=r"^frame: expected at least one row"):
        read_preferences(pd.DataFrame({"prompt": []}))


def test_a_damaged_file_is_refused_even_when_skipping(tmp_path):
    """Rows that cannot be counted are not left out."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(DataError, match=r"^a\.jsonl\.gz: expected a whole gzip file"):
        read_preferences(path, on_error="skip")


def test_one_warning_is_given_for_all_rows_left_out():
    """Warnings do not pile up."""
    rows = [GOOD, *([{**GOOD, "chosen": ""}] * 7)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_preferences(rows, on_error="skip")
    assert len(caught) == 1


def test_no_warning_is_given_when_all_rows_are_kept():
    """Warnings are errors here, so silence is proven by not failing."""
    assert read_preferences([GOOD], on_error="skip").read_report.n_left_out == 0


ROWS = st.sampled_from(
    [
        GOOD,
        {**GOOD, "chosen": ""},
        {**GOOD, "rejected": "a"},
        {**GOOD, "margin": -1},
        {"question": "p"},
        {},
        7,
        {**GOOD, "y": 0.5},
        {"chosen": "\n\nHuman: x", "rejected": "b"},
    ]
)


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=8), st.none() | st.integers(1, 10))
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_every_row_is_accounted_for(rows, max_rows):
    """n_read == n_kept + n_left_out == the rows there were, up to max_rows."""
    preferences = read_preferences([GOOD, *rows], on_error="skip", max_rows=max_rows)
    report = preferences.read_report
    assert report.n_read == report.n_kept + report.n_left_out
    assert report.n_read == min(len(rows) + 1, max_rows or 100)
    assert report.n_kept == preferences.pairs["source_row"].nunique()


@pytest.mark.parametrize("name", known_formats())
def test_nesting_at_the_limit_of_the_parser_is_no_crash(name):
    """Rows that are just not too deep to parse are not too deep to refuse."""
    for depth in range(900, 1000, 9):
        deep = "[" * depth + "]" * depth
        text = f'{{"prompt": {deep}, "chosen": {deep}, "rejected": {deep}}}'
        with pytest.raises(DataError):
            read_preferences([orjson.loads(text)], format=name)


@settings(max_examples=40)
@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1))
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_pairs_say_what_the_rows_said(triples):
    """Every kept pair has the texts of its row."""
    columns = ("prompt", "chosen", "rejected")
    rows = [dict(zip(columns, triple, strict=True)) for triple in triples]
    frame = read_preferences(rows, format="pairs", on_error="skip").to_frame()
    kept = [triple for triple in triples if triple[1] != triple[2]]
    texts = frame[["prompt", "first", "second"]]
    assert list(texts.itertuples(index=False, name=None)) == kept


def test_all_sources_of_the_same_rows_give_the_same_preferences(tmp_path):
    """The container makes no difference."""
    rows = [{**GOOD, "margin": 1.5, "subset": "x"}, {**GOOD, "chosen": "é"}]
    frame = pd.DataFrame(rows)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "a.json", orient="records")
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    want = read_preferences(rows)
    for name in ("a.jsonl", "a.json", "a.csv.gz", "a.parquet"):
        got = read_preferences(tmp_path / name)
        pd.testing.assert_frame_equal(got.items, want.items)
        pd.testing.assert_frame_equal(got.pairs, want.pairs)
    pd.testing.assert_frame_equal(read_preferences(frame).items, want.items)


def test_columns_are_renamed():
    """Canonical names map to actual ones, also crosswise."""
    row = {"question": "p", "chosen": "b", "rejected": "a"}
    columns = {"prompt": "question", "chosen": "rejected", "rejected": "chosen"}
    frame = read_preferences([row], columns=columns).to_frame()
    assert frame.loc[0, ["prompt", "first", "second"]].tolist() == ["p", "a", "b"]


def test_a_column_that_is_not_there_is_reported_with_those_that_are():
    """A misspelt column is answered with the nearest that is there."""
    row = {"question": "p", "chosen": "b", "rejected": "a"}
    with pytest.raises(
        InvalidInputError,
        match="'Question', which none of columns question, chosen, rejected is. "
        r"Fix: did you mean 'question'\?",
    ):
        read_preferences([row], format="pairs", columns={"prompt": "Question"})


def test_cells_of_a_frame_may_be_conversations_and_missing():
    """Messages in cells are prompts; NaN is a missing text."""
    message = [{"role": "user", "content": "p"}]
    frame = pd.DataFrame(
        {"prompt": [np.array(message), message], "chosen": ["a", np.nan]}
    ).assign(rejected="b")
    with pytest.warns(LeftOutWarning, match=r"1 missing response \(frame, row 2"):
        preferences = read_preferences(frame, on_error="skip")
    assert preferences.items["prompt"].tolist() == [message, message]


def test_source_rows_are_positions_in_the_frame():
    """Positions lead back to the frame's index."""
    frame = pd.DataFrame([GOOD, {**GOOD, "chosen": ""}, GOOD], index=["x", "y", "z"])
    with pytest.warns(LeftOutWarning, match=r"row 2 \(index y\)"):
        preferences = read_preferences(frame, on_error="skip")
    assert frame.index[preferences.pairs["source_row"]].tolist() == ["x", "z"]


def test_max_rows_reads_no_further():
    """A row beyond the limit is not even looked at."""
    rows = iter([GOOD, 7])
    assert len(read_preferences(rows, max_rows=1)) == 1
    assert next(rows) == 7


def test_the_format_is_settled_by_the_first_row_that_can_be_used():
    """A defective first row does not decide for all."""
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}]
    other = [turns[0], {"role": "assistant", "content": "b"}]
    rows = [
        {"prompt": "p", "chosen": None, "rejected": None},
        {"prompt": "p", "chosen": turns, "rejected": other},
    ]
    with pytest.warns(LeftOutWarning, match="read as trl: 2 rows, 1 kept"):
        read_preferences(rows, on_error="skip")


def test_a_source_in_no_known_format_is_refused_when_skipping_too():
    """Leaving out everything unexplained would be silence."""
    with pytest.raises(
        DataError, match=r"^rows: expected the columns of a known format"
    ):
        read_preferences([{"a": 1}, {"a": 2}], on_error="skip")


def test_a_source_without_a_readable_row_is_refused_when_skipping_too(tmp_path):
    """What is wrong with the first is in the error."""
    path = _file(tmp_path, "{", "[")
    with pytest.raises(DataError, match=r"no row could be read, .*malformed JSON"):
        read_preferences(path, on_error="skip")


def test_a_recognised_source_without_a_usable_row_gives_empty_tables():
    """The report says why nothing is left."""
    with pytest.warns(
        LeftOutWarning, match="read as pairs: 1 rows, 0 kept, 1 left out"
    ):
        preferences = read_preferences([{**GOOD, "chosen": ""}], on_error="skip")
    assert len(preferences) == 0


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"on_error": "ignore"}, "on_error 'raise' or 'skip' or .*; got 'ignore'"),
        ({"max_rows": 0}, "max_rows that is an int >= 1; got 0"),
        ({"max_line_bytes": -1}, "max_line_bytes that is an int >= 1; got -1"),
        ({"max_json_bytes": 2.5}, "max_json_bytes that is an int >= 1; got 2.5"),
        ({"max_rows": "7"}, "max_rows that is an int >= 1; got '7'. Fix: pass 1"),
        ({"on_error": ["skip"]}, "on_error 'raise' or 'skip' or"),
        ({"columns": [("prompt", "question")]}, "canonical names.*; got a list that d"),
        ({"columns": "prompt"}, "canonical names.*; got a str that does not"),
        ({"format": ["pairs"]}, "the name of a format; got unknown format"),
        ({"columns": {"prompt": 3}}, "columns that maps canonical names"),
        ({"format": "pears"}, r"unknown format 'pears'; known: .*did you mean 'pairs'"),
    ],
)
def test_wrong_arguments_are_refused(argument, message):
    """Arguments are checked before anything is read."""
    with pytest.raises(InvalidInputError, match=message):
        read_preferences([GOOD], **argument)


@pytest.mark.realdata
def test_real_pool_of_ratings_is_read_whole(shared_data):
    """Every rated response of a real pool is an item with its prompt's group."""
    preferences = read_preferences(shared_data / "pool_dev.parquet")
    frame = pd.read_parquet(shared_data / "pool_dev.parquet")
    assert preferences.read_report.n_kept == len(frame) == 20_978
    assert preferences.items["gold"].tolist() == frame["gold"].tolist()
    assert preferences.items["prompt_id"].nunique() == frame["prompt_id"].nunique()


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "format_name", "n_rows", "n_pairs"),
    [
        ("rmbench_chat_filtered.json", "rm-bench", 129, 1161),
        ("rmbench_safety-refuse_filtered.json", "rm-bench", 284, 2556),
        ("llmbar_natural.json", "llmbar", 100, 100),
    ],
)
def test_real_benchmarks_are_detected_and_kept_whole(
    shared_data, name, format_name, n_rows, n_pairs
):
    """Benchmarks in their native files need no argument."""
    preferences = read_preferences(shared_data / name)
    report = preferences.read_report
    assert (report.format, report.n_kept, len(preferences)) == (
        format_name,
        n_rows,
        n_pairs,
    )


_SAYS_NOTHING = [
    {"prompt": "p", "chosen": "", "rejected": "b"},
    {"prompt": "p", "chosen": None, "rejected": "b"},
    {"prompt": "p", "chosen": "a", "rejected": "a"},
    {"prompt": None, "chosen": "a", "rejected": "b"},
    {"prompt": " ", "chosen": "a", "rejected": "b"},
    {"prompt": "p", "chosen": "a", "rejected": "b", "y": None},
]


@pytest.mark.parametrize("row", _SAYS_NOTHING, ids=str)
def test_rows_that_say_nothing_can_be_left_out_alone(row):
    """on_error="skip-uninformative" counts them, with a warning."""
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    with pytest.warns(LeftOutWarning, match="1 left out"):
        read = read_preferences([good, row], on_error="skip-uninformative")
    assert (read.read_report.n_kept, read.read_report.n_left_out) == (1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "chosen": 3, "rejected": "b"}, "got int"),
        ({"prompt": "p", "chosen": "a"}, "rejected"),
        ({"prompt": "p", "chosen": "a", "rejected": "b", "margin": -1}, "margin"),
    ],
)
def test_rows_that_are_wrong_still_stop_the_reading(row, message):
    """on_error="skip-uninformative" does not hide mistakes."""
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    with pytest.raises(DataError, match=message):
        read_preferences([good, row], on_error="skip-uninformative")
