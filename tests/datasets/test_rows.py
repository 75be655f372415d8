"""Rows are numbered, lines are bounded, and what is broken is said."""

import gzip
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets._rows import (
    Source,
    decoded,
    in_lines,
    in_rows,
    named_rows,
    naming,
    opened,
    text_lines,
    whole,
)
from embrm.exceptions import DataError


def _bad():
    return DataError.of(expected="a", got="b", fix="c", reason="why")


def _one_then_broken():
    yield 1, {"prompt": "p"}
    raise _bad()


def test_a_refusal_has_three_parts():
    """A refusal says what was expected, what was got and what to do."""
    with pytest.raises(DataError, match=r"^expected a; got b\. Fix: c\.$"):
        raise _bad()


def test_naming_puts_the_place_first():
    """An error inside names its place."""
    wanted = pytest.raises(DataError, match=r"^prefs\.csv, line 3: expected a")
    with wanted, naming("prefs.csv, line 3"):
        raise _bad()


def test_naming_keeps_the_reason():
    """The report's reason survives."""
    with pytest.raises(DataError) as caught, naming("here"):
        raise _bad()
    assert caught.value.reason == "why"


def test_an_error_that_ends_the_reading_names_the_source():
    """What a source raises is prefixed with its name."""
    source = Source("x.parquet", _one_then_broken(), in_rows("x.parquet"))
    with pytest.raises(DataError, match=r"^x\.parquet: expected a"):
        list(named_rows(source))


def test_places_are_lines_or_rows():
    """Text files count lines, tables rows."""
    assert (in_lines("a")(3), in_rows("b")(4)) == ("a, line 3", "b, row 4")


class CountingBytes(io.BytesIO):
    """Remembers the largest piece that was asked for."""

    largest = 0

    def readline(self, size=-1):
        line = super().readline(size)
        self.largest = max(self.largest, len(line))
        return line


def _lines(data, limit=1000):
    return list(text_lines(io.BytesIO(data), limit))


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\ufeff"))))
def test_lines_come_back_as_written(texts):
    """What was written line by line is read line by line."""
    data = "".join(f"{text}\n" for text in texts).encode()
    expected = [(n, f"{text}\n") for n, text in enumerate(texts, start=1)]
    assert _lines(data) == expected


def test_a_byte_order_mark_is_dropped():
    """A BOM at the beginning is not text."""
    assert _lines(b"\xef\xbb\xbfa\nb\n") == [(1, "a\n"), (2, "b\n")]


def test_a_line_that_is_not_utf8_names_the_byte_in_the_file():
    """The offset counts from the beginning of the file, BOM included."""
    (_, first), (_, second), (_, third) = _lines(b"\xef\xbb\xbfa\nb\xffc\nd\n")
    assert (first, third) == ("a\n", "d\n")
    with pytest.raises(DataError, match="not UTF-8 at byte offset 6"):
        raise second


def test_offsets_count_the_bom_of_a_whole_file():
    """A file decoded whole counts its BOM too."""
    with pytest.raises(DataError, match="byte offset 4"):
        decoded(b"\xef\xbb\xbfa\xff")


def test_a_line_of_the_greatest_length_is_read():
    """max_line_bytes counts the line without its end."""
    assert _lines(b"abcd\nab\n", 4) == [(1, "abcd\n"), (2, "ab\n")]


def test_a_longer_line_is_refused_and_the_next_is_read():
    """A line too long costs itself alone."""
    (_, first), second = _lines(b"abcde\nab\n", 4)
    assert second == (2, "ab\n")
    with pytest.raises(DataError, match=r"at most 4 bytes.*raise max_line_bytes"):
        raise first


def test_a_longer_last_line_without_end_is_refused():
    """A line may be too long and never end."""
    [(number, error)] = _lines(b"abcdefgh", 4)
    assert number == 1
    assert error.reason == "line too long"


def test_a_long_line_is_never_read_whole():
    """Reading 5 MB on one line holds little more than a megabyte at a time."""
    handle = CountingBytes(b"x" * 5_000_000 + b"\nab\n")
    *_, last = text_lines(handle, 4)
    assert last == (2, "ab\n")
    assert handle.largest <= 1 << 20


def test_offsets_after_a_long_line_are_right():
    """The bytes that were skipped count."""
    (_, _), (_, error) = _lines(b"abcdefgh\n\xff\n", 4)
    with pytest.raises(DataError, match="byte offset 9"):
        raise error


def test_gzip_is_opened_by_its_name(tmp_path):
    """A name that ends in .gz is gunzipped."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"a\n"))
    with opened(path) as handle:
        assert list(text_lines(handle, 10)) == [(1, "a\n")]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "not gzip"])
def test_damaged_gzip_is_refused(tmp_path, damage):
    """A gzip file cut short, altered, or of another kind raises a DataError."""
    whole = gzip.compress(bytes(range(256)) * 50)
    data = {
        "truncated": whole[: len(whole) // 2],
        "flipped": whole[:12] + bytes([whole[12] ^ 255]) + whole[13:],
        "not gzip": b"plain text",
    }[damage]
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(DataError, match="whole gzip file"), opened(path) as handle:
        handle.read()


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    """An error of the system becomes a DataError with its words."""
    with pytest.raises(DataError, match="got No such file"), opened(tmp_path / "a"):
        pass


def test_a_file_is_read_whole_up_to_its_bound():
    """The bound itself is allowed."""
    assert whole(io.BytesIO(b"abcd"), 4) == b"abcd"
    with pytest.raises(DataError, match=r"at most 3 bytes, unpacked.*max_json_bytes"):
        whole(io.BytesIO(b"abcd"), 3)


def test_a_gzip_line_without_end_is_never_held(tmp_path):
    """A few kilobytes that unpack to many megabytes cost one piece at a time."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * 30_000_000 + b"\nab\n"))
    tracemalloc.start()
    with opened(path) as handle:
        (_, error), last = text_lines(handle, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.reason, last) == ("line too long", (2, "ab\n"))
    assert peak < 10_000_000
