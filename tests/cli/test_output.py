"""Errors are one line with an exit code; warnings are lines, too."""

import io
import json
import math
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from embrm.cli.output import (
    emit,
    exit_code,
    json_line,
    json_rows,
    reporting,
    write_json_lines,
)
from embrm.exceptions import (
    DataError,
    FingerprintMismatchError,
    IntegrityError,
    InvalidInputError,
    LeftOutWarning,
    MissingDependencyError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInputError("x"), 2),
        (MissingDependencyError("x"), 2),
        (DataError("x"), 3),
        (IntegrityError("x"), 4),
        (FingerprintMismatchError("x"), 4),
    ],
)
def test_exit_codes_say_what_kind_of_error_it_was(error, code):
    """2 usage, 3 data, 4 integrity."""
    assert exit_code(error) == code


def test_an_error_is_one_line_without_a_traceback(capsys):
    """The message goes to stderr; markup in it is shown as it is."""
    with pytest.raises(typer.Exit) as caught, reporting(debug=False):
        raise DataError("expected [bold]text[/bold]; got none. Fix: write.")
    shown = capsys.readouterr()
    assert caught.value.exit_code == 3
    assert shown.err == ("error: expected [bold]text[/bold]; got none. Fix: write.\n")
    assert shown.out == ""


def test_debug_shows_the_traceback(capsys):
    """--debug is for those who fix embrm."""
    with pytest.raises(typer.Exit), reporting(debug=True):
        raise DataError("x")
    assert "Traceback" in capsys.readouterr().err


def test_json_errors_are_json(capsys):
    """With --json, stdout holds the error as an object."""
    with pytest.raises(typer.Exit), reporting(debug=False, as_json=True):
        raise IntegrityError("x")
    assert capsys.readouterr().out == '{"error": "x", "exit_code": 4}\n'


def test_an_unexpected_error_says_how_to_see_more(capsys):
    """A bug exits with 1 and names --debug."""
    with pytest.raises(typer.Exit) as caught, reporting(debug=False):
        raise ZeroDivisionError("division by zero")
    assert caught.value.exit_code == 1
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_warnings_are_one_line(capsys):
    """No file names, no source lines."""
    with reporting(debug=False):
        warnings.warn("3 rows left out", LeftOutWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: 3 rows left out\n"


def test_stopping_keeps_what_was_embedded(capsys):
    """Ctrl-C exits with 130 and says that nothing is lost."""
    with pytest.raises(typer.Exit) as caught, reporting(debug=False):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    assert "what the cache holds is kept" in capsys.readouterr().err


def test_stopping_in_the_middle_says_how_far_it_came(capsys):
    """embed_items' own words are passed on; JSON gets them, too."""
    with pytest.raises(typer.Exit), reporting(debug=False, as_json=True):
        raise KeyboardInterrupt("stopped after 3 of 9 texts")
    assert capsys.readouterr().out == (
        '{"error": "stopped after 3 of 9 texts", "exit_code": 130}\n'
    )


def test_what_the_system_refuses_is_one_line(capsys):
    """No traceback, but the path and what to check."""
    with pytest.raises(typer.Exit) as caught, reporting(debug=False):
        raise PermissionError(13, "Permission denied", "/there")
    shown = capsys.readouterr().err
    assert caught.value.exit_code == 2
    assert "got Permission denied (/there). Fix: check the path" in shown


def test_a_reader_that_left_is_no_error(capsys):
    """Like other tools whose pipe breaks: nothing is said, and the code is 141."""
    with pytest.raises(typer.Exit) as caught, reporting(debug=False):
        raise BrokenPipeError
    assert caught.value.exit_code == 141
    assert capsys.readouterr().err == ""


def test_a_full_disk_under_stdout_gives_no_traceback(monkeypatch, capsys):
    """Where the error cannot be printed as JSON, stderr still has it."""

    class Full:
        encoding = "utf-8"

        def write(self, _text):
            raise OSError(28, "No space left on device")

        flush = write

    monkeypatch.setattr("sys.stdout", Full())
    with (
        pytest.raises(typer.Exit) as caught,
        reporting(debug=False, as_json=True),
    ):
        emit({"a": 1})
    assert caught.value.exit_code == 2
    assert "No space left on device" in capsys.readouterr().err


def test_json_is_escaped_where_the_stream_cannot_hold_it():
    """Chinese text in a terminal that knows ASCII only is still JSON."""

    class Plain:
        encoding = "ascii"

    assert json_line({"a": "字"}, Plain()) == '{"a": "\\u5b57"}\n'
    assert json_line({"a": "字"}, None) == '{"a": "字"}\n'


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, None),
        (float("nan"), None),
        (float("-inf"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (True, True),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        ("字", "字"),
        (pd.Timestamp("2026-11-20 10:00"), "2026-11-20 10:00:00"),
        (Decimal("1.50"), "1.50"),
        ([1, float("nan")], [1, None]),
        ((1, 2), [1, 2]),
        (np.array([[1.5], [2.5]]), [[1.5], [2.5]]),
        ({1: {"a": np.int8(1)}}, {"1": {"a": 1}}),
    ],
    ids=str,
)
def test_every_cell_becomes_json(cell, expected):
    """Missing is None; what JSON does not have is text."""
    frame = pd.DataFrame({"x": pd.Series([cell], dtype=object)})
    ((_, value),) = next(json_rows(frame)).items()
    assert value == expected
    json.dumps(value, allow_nan=False)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_as_the_same_bits(number):
    """JSON lines lose no digit."""
    stream = io.StringIO()
    write_json_lines(pd.DataFrame({"x": [number]}), stream)
    read = json.loads(stream.getvalue())["x"]
    assert read == number
    assert math.copysign(1, read) == math.copysign(1, number)


def test_columns_of_any_name_and_the_order_of_rows_stay():
    """One object per row, keys in the order of the columns."""
    frame = pd.DataFrame([[1, "a"], [2, "b"]], columns=[0, "x"], index=[5, 5])
    assert list(json_rows(frame)) == [{"0": 1, "x": "a"}, {"0": 2, "x": "b"}]
