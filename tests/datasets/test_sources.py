"""Files, streams, frames, tables and the hub are opened as numbered rows."""

import gzip
import io
import json
import sys
from decimal import Decimal
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embrm.datasets import read_preferences
from embrm.datasets.sources import hub_source, open_source
from embrm.datasets.tables import (
    file_source,
    frame_source,
    iterable_source,
    native,
)
from embrm.exceptions import DataError, InvalidInputError, MissingDependencyError

ROWS = [{"prompt": "p", "response": "a"}, {"prompt": "p", "response": "é"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
FILES = {
    "a.jsonl": LINES,
    "a.JSONL": LINES,
    "v1.2.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.json": json.dumps(ROWS).encode(),
    "a.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "a.csv": pd.DataFrame(ROWS).to_csv(index=False).encode(),
    "a.csv.gz": gzip.compress(pd.DataFrame(ROWS).to_csv(index=False).encode()),
    "a.parquet": pd.DataFrame(ROWS).to_parquet(index=False),
}


def _read(source):
    return [row for _, row in open_source(source).rows]


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_file_yields_the_same_rows(tmp_path, name):
    """Rows do not depend on the container."""
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert _read(path) == _read(str(path)) == ROWS


@pytest.mark.parametrize("source", [ROWS, tuple(ROWS), iter(ROWS), pd.DataFrame(ROWS)])
def test_rows_in_memory_yield_the_same_rows(source):
    """Lists, iterators and frames are sources too."""
    assert _read(source) == ROWS


def test_a_dash_is_standard_input(monkeypatch):
    """JSON lines are read from stdin."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(LINES)))
    assert _read("-") == ROWS


def test_standard_input_stays_open(monkeypatch):
    """What we did not open we do not close."""
    stdin = SimpleNamespace(buffer=io.BytesIO(LINES))
    monkeypatch.setattr(sys, "stdin", stdin)
    _read("-")
    assert not stdin.buffer.closed


def test_a_missing_file_is_refused(tmp_path):
    """The error names the file and the fix."""
    with pytest.raises(DataError, match=r"^a\.jsonl: .*no such file.*check the path"):
        _read(tmp_path / "a.jsonl")


def test_a_directory_is_refused(tmp_path):
    """A folder of files is not a file."""
    with pytest.raises(DataError, match=r"got a directory without any. Fix: name the"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("name", "got"),
    [("a.txt", "'.txt'"), ("a", "no extension"), ("a.gz", "'.gz'"), ("a.b.zip", "zip")],
)
def test_an_unknown_extension_is_refused(tmp_path, name, got):
    """The known extensions are listed."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"ends in \.jsonl.*got .*{got}"):
        _read(tmp_path / name)


@pytest.mark.parametrize("source", [3, None, b"a.jsonl", {"prompt": ["p"]}])
def test_what_holds_no_rows_is_refused(source):
    """The error lists what may be passed."""
    got = type(source).__name__
    with pytest.raises(InvalidInputError, match=f"a DataFrame or a list.*got {got}"):
        _read(source)


@pytest.mark.parametrize("name", ["a\0b.jsonl", "a" * 5000 + ".jsonl"])
def test_a_name_that_no_file_can_have_is_no_file(name):
    """The system's own errors do not escape, nor the name at length."""
    with pytest.raises(
        DataError, match="a file that exists; got no such file"
    ) as caught:
        _read(name)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.nan, None),
        (np.float64("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (None, None),
        ((1, "a"), [1, "a"]),
        (np.array([np.array(["a"]), None], dtype=object), [["a"], None]),
        ({"a": np.array([1])}, {"a": [1]}),
        (float("inf"), float("inf")),
        (np.longdouble(0.5), 0.5),
        (Decimal("0.5"), 0.5),
        (Decimal("sNaN"), None),
        (10**400, 10**400),
    ],
)
def test_values_become_plain_python(value, plain):
    """Whatever pandas, numpy or Arrow hold, formats see plain values."""
    assert native(value) == plain
    assert type(native(value)) is type(plain)


def test_a_frame_yields_its_rows_in_order():
    """All chunks of a long frame are read."""
    frame = pd.DataFrame({"n": np.arange(20_000)})
    rows = list(frame_source(frame).rows)
    assert rows == [(n + 1, {"n": n}) for n in range(20_000)]


def test_places_in_a_frame_name_row_and_index():
    """Both the position and the label are given."""
    source = frame_source(pd.DataFrame({"n": [1, 2]}, index=["x", "y"]))
    assert source.place(2) == "frame, row 2 (index y)"


def test_two_columns_of_one_name_are_refused():
    """One of them would be lost."""
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="different names; got 'a' twice"):
        frame_source(frame)


def test_column_names_that_are_no_text_become_text():
    """A frame may number its columns."""
    assert list(frame_source(pd.DataFrame([[7]])).rows) == [(1, {"0": 7})]


def test_entries_that_are_no_mapping_are_bad_rows():
    """One bad entry is one bad row."""
    (_, error), good = iterable_source([3, {"a": np.int64(1)}]).rows
    assert good == (2, {"a": 1})
    assert error.reason == "not an object"


def test_an_iterable_is_read_as_far_as_needed():
    """Generators are streamed."""
    rows = iterable_source({"n": n} for n in range(2)).rows
    assert next(rows) == (1, {"n": 0})


def test_a_value_nested_without_end_is_a_bad_row():
    """A list that holds itself is a DataError."""
    endless = []
    endless.append(endless)
    [(_, error)] = iterable_source([{"a": endless}]).rows
    assert error.reason == "nested too deeply"


def test_parquet_yields_nested_plain_values(tmp_path):
    """Lists of structs are lists of dicts."""
    path = tmp_path / "a.parquet"
    rows = [{"a": [{"role": "user", "content": "Hi"}], "x": 0.5}, {"a": [], "x": None}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert list(file_source(path).rows) == [(1, rows[0]), (2, rows[1])]


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_a_truncated_parquet_file_is_refused(tmp_path, keep):
    """A damaged file is a DataError."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="whole Parquet file"):
        list(file_source(path).rows)


def test_damage_in_the_middle_of_a_parquet_file_is_refused(tmp_path):
    """Damaged pages are found while reading."""
    path = tmp_path / "a.parquet"
    table = pa.table({"a": [f"text {n}" for n in range(1000)]})
    pq.write_table(table, path, write_page_checksum=False)
    data = bytearray(path.read_bytes())
    data[4:400] = b"\xff" * 396
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read beyond row 0"):
        list(file_source(path).rows)


def test_an_integer_of_thousands_of_digits_is_a_bad_row():
    """Python would refuse to write it, in whatever message or column it ended."""
    (_, error), good = iterable_source([{"a": [10**5000]}, {"a": 1}]).rows
    assert good == (2, {"a": 1})
    assert error.reason == "number too long"


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    """A row would hold the last alone."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    with pytest.raises(DataError, match=r"different names; got 'a' twice\. Fix: re"):
        list(file_source(path).rows)


ROW = {"prompt": "p", "chosen": "a", "rejected": "b"}


class Hub(ModuleType):
    """Remembers how it was called, and answers or fails as told."""

    def __init__(self, answer):
        super().__init__("datasets")
        self.answer = answer
        self.calls = []

    def load_dataset(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def hub(monkeypatch):
    """Install a stand-in that answers with the given value."""

    def install(answer):
        module = Hub(answer)
        monkeypatch.setitem(sys.modules, "datasets", module)
        return module

    return install


@pytest.mark.parametrize(
    ("source", "args", "split"),
    [
        ("hf:owner/name@train", ("owner/name", None), "train"),
        ("hf:owner/name:config@test", ("owner/name", "config"), "test"),
        ("hf:owner/na.me-2:config", ("owner/na.me-2", "config"), None),
        ("hf:name@train[:10]", ("name", None), "train[:10]"),
    ],
)
def test_ids_are_taken_apart(hub, source, args, split):
    """Name, config and split reach the package; rows are streamed."""
    module = hub([ROW])
    assert list(hub_source(source).rows) == [(1, ROW)]
    assert module.calls == [(args, {"split": split, "streaming": True})]


def test_preferences_are_read_from_the_hub(hub):
    """A report names the dataset."""
    hub([ROW])
    assert read_preferences("hf:o/n@train").read_report.source == "hf:o/n@train"


def test_the_only_split_need_not_be_named(hub):
    """One split is no choice."""
    hub({"train": [ROW]})
    assert list(hub_source("hf:owner/name").rows) == [(1, ROW)]


def test_several_splits_must_be_named(hub):
    """Which data were meant is not guessed."""
    hub({"train": [ROW], "test": [ROW]})
    with pytest.raises(DataError, match=r"none of train, test. Fix: end the id with"):
        hub_source("hf:owner/name")


@pytest.mark.parametrize(
    "source", ["hf:", "hf:a/b/c", "hf:a/b@", "hf:../x/y", "hf:a b"]
)
def test_malformed_ids_are_refused(hub, source):
    """The error shows the form of an id."""
    hub([ROW])
    with pytest.raises(DataError, match=r"hf:owner/name\[:config\]\[@split\]"):
        hub_source(source)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no x"),
        ValueError("no split x"),
        RuntimeError("no dataset scripts any more"),
    ],
)
def test_what_the_hub_cannot_serve_is_a_data_error(hub, error):
    """The package's own words are kept, in short."""
    hub(error)
    with pytest.raises(DataError, match=f"{type(error).__name__}: no"):
        hub_source("hf:owner/name@train")


def test_a_connection_lost_on_the_way_is_a_data_error(hub):
    """Rows already read do not hide that others are missing."""

    def rows():
        yield ROW
        raise ConnectionError("reset")

    hub(rows())
    with pytest.raises(DataError, match=r"^hf:o/n@train: .*ConnectionError: reset"):
        read_preferences("hf:o/n@train")


def test_without_the_package_the_extra_is_named(monkeypatch):
    """The fix is an install command."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"embrm\[hub\]"):
        hub_source("hf:owner/name")


_FRAME = pd.DataFrame({"prompt": ["p"], "chosen": ["a"], "rejected": ["b"]})


def test_a_csv_with_row_numbers_as_pandas_writes_them_is_read(tmp_path):
    """`df.to_csv(path)` gives its first column no name; that is told, and no rating."""
    path = tmp_path / "x.csv"
    _FRAME.to_csv(path)
    report = read_preferences(path).read_report
    assert report.n_kept == 1
    assert "Unnamed: 0" in report.columns
    assert any("no name: row numbers" in note for note in report.notes)
    again = pd.DataFrame({"prompt": ["p"], "response": ["a"], "Unnamed: 0": [3]})
    with pytest.raises(DataError, match="says how good 'response' is"):
        read_preferences(again)


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_files_are_read_beside_their_descriptions(tmp_path, make):
    """Feather and the shards that `datasets` saves, with its JSON files beside them."""
    table = pa.Table.from_pandas(_FRAME)
    with make(str(tmp_path / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "state.json").write_text('{"_split": null}')
    (tmp_path / "dataset_info.json").write_text("{}")
    assert read_preferences(tmp_path).texts == [("p", "a"), ("p", "b")]


@pytest.mark.parametrize("keep", [0, 9, 100, -20])
def test_a_damaged_arrow_file_is_refused(tmp_path, keep):
    """Cut anywhere, it is an error that names the file."""
    path = tmp_path / "x.feather"
    _FRAME.to_feather(path, compression="uncompressed")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"^x\.feather: expected a whole Arrow file"):
        read_preferences(path)


def test_arrow_offsets_that_point_outside_are_refused(tmp_path):
    """Arrow trusts them; what they point to is not ours."""
    path = tmp_path / "x.feather"
    frame = pd.DataFrame({"prompt": ["p" * 111] * 2, "chosen": "a", "rejected": "b"})
    frame.to_feather(path, compression="uncompressed")
    good, bad = (np.array([0, n, 222], "<i8").tobytes() for n in (111, 10**9))
    data = path.read_bytes()
    assert data.count(good) == 1
    path.write_bytes(data.replace(good, bad))
    with pytest.raises(DataError, match="expected a whole Arrow file"):
        read_preferences(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_by_its_mark(tmp_path, encoding):
    """Excel's "Unicode text" begins with it; the report says so."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = tmp_path / "x.csv"
    path.write_bytes((mark + "prompt,chosen,rejected\np,ä,b\n").encode(encoding))
    read = read_preferences(path)
    assert read.texts[0] == ("p", "ä")
    assert "the text is UTF-16" in read.read_report.notes


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("x.xlsx", "save it as CSV in UTF-8, or read it with pandas"),
        ("x.csv.zip", "unpack it, or pack it as .gz"),
        ("x.txt", "rename it by what it holds"),
        ("x.pkl", "write it as one of these, or pass a DataFrame"),
    ],
)
def test_a_kind_of_file_that_is_not_read_is_told_what_to_become(tmp_path, name, fix):
    """Renaming a spreadsheet would help nobody."""
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(DataError, match=f"or .feather; got .*Fix: {fix}"):
        read_preferences(tmp_path / name)
