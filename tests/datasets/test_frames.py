"""read_frame: any source as a frame, row for row."""

import pandas as pd
import pytest

from embrm.datasets import read_frame
from embrm.exceptions import DataError


def test_every_row_and_column_is_there(tmp_path):
    """Rows are not interpreted, only read."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "x": 1}\n\n{"prompt": "q", "y": "z"}\n')
    frame = read_frame(path)
    assert frame.columns.tolist() == ["prompt", "x", "y"]
    assert frame["prompt"].tolist() == ["p", "q"]


def test_numbers_in_csv_are_numbers(tmp_path):
    """Text columns stay text."""
    path = tmp_path / "a.csv"
    path.write_text("response,score\n42,42\n")
    assert read_frame(path).to_dict("records") == [{"response": "42", "score": 42}]


def test_a_frame_is_handed_back():
    """A frame is one already, with its index."""
    frame = pd.DataFrame({"a": [1]}, index=["x"])
    assert read_frame(frame) is frame


def test_a_bad_line_is_refused_by_its_number(tmp_path):
    """Nothing is left out."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p"}\n{"prompt"\n')
    with pytest.raises(DataError, match=r"^a\.jsonl, line 2: .*malformed JSON"):
        read_frame(path)


def test_a_long_line_is_refused(tmp_path):
    """The limit is an argument."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "pppppppppp"}\n')
    with pytest.raises(DataError, match="at most 5 bytes"):
        read_frame(path, max_line_bytes=5)


def test_a_damaged_file_is_named(tmp_path):
    """An error that ends the reading names the file."""
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"^a\.parquet: expected a whole Parquet file"):
        read_frame(path)


def test_a_json_file_beyond_its_bound_is_refused(tmp_path):
    """Frames are read under the same bounds as preferences."""
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    with pytest.raises(DataError, match="at most 5 bytes, unpacked"):
        read_frame(tmp_path / "a.json", max_json_bytes=5)


@pytest.mark.parametrize("row", [{"a": "\ud800"}, {"\udfff": 1}])
def test_half_a_surrogate_pair_is_refused(row):
    """No column of text can hold it; the row is named."""
    with pytest.raises(
        DataError, match=r"^rows, row 2: expected text that is valid Un"
    ):
        read_frame([{"a": "b"}, row])
