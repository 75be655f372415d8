"""Reading whatever there is: rows are kept or counted, and only our errors escape."""

import contextlib
import gzip
import io
import json
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.datasets import known_formats, read_frame, read_preferences
from embrm.exceptions import DataError, InvalidInputError, LeftOutWarning

GOLDEN = Path(__file__).parent / "golden" / "schemas.json"
CASES = json.loads(GOLDEN.read_text("utf-8"))
PUBLISHED = json.loads(GOLDEN.with_name("published.json").read_text("utf-8"))
ROWS = [row for case in (*CASES, *PUBLISHED.values()) for row in case["rows"]]
COLUMNS = sorted({name for row in ROWS for name in row})
FIELDS = ["role", "content", "response", "annotations", "rank", "completion", "Rating"]

TEXTS = st.text(max_size=6) | st.sampled_from(
    ["", "N/A", "nan", "A>B", "true", "1", "\ud800", "\n\nHuman: a\n\nAssistant: b"]
)
NUMBERS = (
    st.integers()
    | st.floats()
    | st.booleans()
    | st.sampled_from([0, 1, 2, 2**63, 10**400])
    # Hypothesis cannot show a number of 5,000 digits, so it makes one on the spot.
    | st.sampled_from(["+1", "-1"]).map(lambda sign: int(sign) * 10**5000)
)
CELLS = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS) | st.text(max_size=2), inner, max_size=3
        )
    ),
    max_leaves=6,
)
ODD_ROWS = st.dictionaries(
    st.sampled_from(COLUMNS) | st.text(max_size=3), CELLS, max_size=6
)
OPTIONS = st.fixed_dictionaries(
    {
        "format": st.none() | st.sampled_from(sorted(known_formats())),
        "on_error": st.sampled_from(["raise", "skip", "skip-uninformative"]),
    }
)


@st.composite
def damaged_rows(draw):
    """Real rows in which a few cells are odd, added or gone."""
    row = dict(draw(st.sampled_from(ROWS)))
    for name in draw(st.sets(st.sampled_from(COLUMNS), max_size=2)):
        row[name] = draw(CELLS)
    for name in draw(st.sets(st.sampled_from(sorted(row)), max_size=2)):
        row[name] = draw(CELLS)
    for name in draw(st.sets(st.sampled_from(sorted(row)), max_size=1)):
        del row[name]
    return row


ODD_SETTINGS = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def _outcome(source, options):
    """Return what was read, or the message of our error."""
    try:
        return read_preferences(source, **options), None
    except (DataError, InvalidInputError) as error:
        return None, str(error)


def _check(source, n_rows=None, **options):
    """Every row is in the report, or an error of ours says how to fix it."""
    preferences, message = _outcome(source, options)
    if preferences is None:
        assert "Fix: " in message
        assert len(message) < 4000
        return
    report = preferences.read_report
    assert report.n_read == report.n_kept + report.n_left_out
    assert n_rows is None or report.n_read == n_rows
    for numbers in (preferences.y, preferences.margin, preferences.weight):
        assert numbers is None or (numbers >= 0).all()
    assert len(preferences.texts) == len(preferences.items)
    assert len(preferences.to_frame()) == len(preferences)
    assert all(report.columns.values())


@ODD_SETTINGS
@given(st.lists(damaged_rows() | ODD_ROWS | CELLS, min_size=1, max_size=4), OPTIONS)
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
@pytest.mark.filterwarnings("ignore::embrm.exceptions.MisreadWarning")
def test_any_rows_are_kept_or_counted(rows, options):
    """Whatever a list holds, each of its entries is in the report."""
    _check(rows, len(rows), **options)


@ODD_SETTINGS
@given(st.lists(ODD_ROWS | damaged_rows(), max_size=4))
def test_any_rows_become_a_frame_or_are_refused(rows):
    """A frame has a row for each, whatever is in it."""
    with contextlib.suppress(DataError):
        assert len(read_frame(rows)) == len(rows)


@ODD_SETTINGS
@given(st.lists(damaged_rows(), min_size=1, max_size=3), OPTIONS)
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
@pytest.mark.filterwarnings("ignore::embrm.exceptions.MisreadWarning")
def test_any_frame_is_kept_or_counted(rows, options):
    """Columns that a row lacks are missing cells of a frame that takes any objects."""
    frame = pd.DataFrame(
        {
            n: pd.Series([row.get(n) for row in rows], dtype=object)
            for n in dict.fromkeys(chain(*rows))
        }
    )
    _check(frame, len(frame), **options)


def _as_json(row):
    try:
        return json.dumps(row)
    except ValueError:  # A number of 5,000 digits cannot be written.
        return "{" + '"a": 1' + "0" * 5000 + "}"


@ODD_SETTINGS
@given(
    st.lists(
        (damaged_rows() | ODD_ROWS | CELLS).map(_as_json) | st.text(max_size=9),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
    st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.jsonl.gz", "a.json.gz"]),
    OPTIONS,
)
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
@pytest.mark.filterwarnings("ignore::embrm.exceptions.MisreadWarning")
def test_any_text_file_is_read_or_refused(tmp_path, rows, as_list, name, options):
    """JSON of any content, in lines or as a list, under any name."""
    text = f"[{','.join(rows)}]" if as_list else "\n".join(rows)
    data = text.encode("utf-8", "replace")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    _check(tmp_path / name, **options)


def _parquet(rows):
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer)
    return buffer.getvalue()


FLAT = CASES[0]["rows"]
LINES = "\n".join(map(json.dumps, FLAT)).encode()
FILES = {
    "a.jsonl": LINES,
    "a.json": json.dumps(FLAT).encode(),
    "a.csv": pd.DataFrame(FLAT).to_csv(index=False).encode(),
    "a.jsonl.gz": gzip.compress(LINES),
    "a.json.gz": gzip.compress(json.dumps(FLAT).encode()),
    "a.parquet": _parquet(FLAT),
}


@ODD_SETTINGS
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 9999), st.binary(max_size=4)), max_size=3),
    st.none() | st.binary(max_size=40),
    OPTIONS,
)
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
@pytest.mark.filterwarnings("ignore::embrm.exceptions.MisreadWarning")
def test_any_bytes_are_read_or_refused(tmp_path, name, edits, other, options):
    """Files of which a few bytes are wrong, or all."""
    data = bytearray(FILES[name])
    for at, piece in edits:
        start = at % len(data)
        data[start : start + len(piece)] = piece
    (tmp_path / name).write_bytes(bytes(data) if other is None else other)
    _check(tmp_path / name, **options)


@pytest.mark.parametrize("output", [[], "[", ["one"], ["a", "b", "c"]])
def test_outputs_that_are_not_two_are_left_out(output):
    """Where the format was said to be a list of two."""
    row = {"instruction": "2+2?", "output": output}
    with pytest.warns(LeftOutWarning, match="1 no two outputs"):
        read_preferences([row], format="alpaca-list", on_error="skip")
