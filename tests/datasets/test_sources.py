"""Opening sources: by extension, from stdin, from memory; and refusing the rest."""

import gzip
import io
import json
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from embrm.datasets.sources import open_source
from embrm.exceptions import DataError, InvalidInputError

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
    return [
        row
        for _, row in open_source(source, max_line_bytes=999, max_json_bytes=999).rows
    ]


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
    """The error names the file and the cure."""
    with pytest.raises(DataError, match=r"^a\.jsonl: .*no such file.*check the path"):
        _read(tmp_path / "a.jsonl")


def test_a_directory_is_refused(tmp_path):
    """A folder of files is not a file."""
    with pytest.raises(DataError, match=r"got a directory. To mend: name one"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("name", "got"),
    [("a.txt", "'.txt'"), ("a", "no extension"), ("a.gz", "'.gz'"), ("a.b.zip", "zip")],
)
def test_an_unknown_extension_is_refused(tmp_path, name, got):
    """The known extensions are listed."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"ends in one of \.jsonl.*got .*{got}"):
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
