"""Rows as the real datasets hold them, in every container that may deliver them.

`golden/schemas.json` holds a few rows in the schema of each dataset, with all of its
columns, and by hand what they say: pairs as [prompt, first, second, y], items as
[prompt, response, attributes], columns of the pairs, and rows left out by reason.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embrm.datasets import read_preferences

GOLDEN = Path(__file__).parents[1] / "golden" / "schemas.json"
CASES = json.loads(GOLDEN.read_text("utf-8"))


def _dicts(rows, folder):
    return rows


def _stream(rows, folder):
    return iter(rows)


def _json_lines(rows, folder):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _zipped_lines(rows, folder):
    path = folder / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(_json_lines(rows, folder).read_bytes()))
    return path


def _json_list(rows, folder):
    path = folder / "rows.json"
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False), "utf-8")
    return path


def _parquet(rows, folder):
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _frame(rows, folder):
    return pd.DataFrame(rows)


def _frame_of_arrays(rows, folder):
    return pd.read_parquet(_parquet(rows, folder))


def _frame_of_arrow(rows, folder):
    return pd.read_parquet(_parquet(rows, folder), dtype_backend="pyarrow")


def _csv(rows, folder):
    path = folder / "rows.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def _csv_of_arrays(rows, folder):
    path = folder / "rows.csv"
    _frame_of_arrays(rows, folder).to_csv(path, index=False)
    return path


def _json_in_tsv(rows, folder):
    path = folder / "rows.tsv"
    pd.DataFrame(rows).map(_as_json).to_csv(path, index=False, sep="\t")
    return path


def _as_json(cell):
    return json.dumps(cell) if isinstance(cell, list | dict) else cell


CONTAINERS = [
    *(_dicts, _stream, _json_lines, _zipped_lines, _json_list),
    *(_parquet, _frame, _frame_of_arrays, _frame_of_arrow),
    *(_csv, _csv_of_arrays, _json_in_tsv),
]
DELIVERED = [
    pytest.param(case, container, id=f"{case['case']}, {container.__name__}")
    for case in CASES
    for container in CONTAINERS
]


def _missing_as_none(values):
    return [None if value is None or value != value else value for value in values]


@pytest.mark.parametrize(("case", "container"), DELIVERED)
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_rows_of_a_real_schema_are_detected_and_read(case, container, tmp_path):
    """Format, prompts, texts, labels, columns and report are those written by hand."""
    source = container(case["rows"], tmp_path)
    preferences = read_preferences(source, on_error="skip-uninformative")
    report = preferences.read_report
    left_out = {entry.reason: entry.n for entry in report.left_out}
    assert report.format == case["format"]
    assert left_out == case.get("left_out", {})
    assert report.n_read == len(case["rows"]) == report.n_kept + sum(left_out.values())
    texts = preferences.to_frame()[["prompt", "first", "second", "y"]]
    assert texts.to_numpy(object).tolist() == case["pairs"]
    for name, values in case.get("columns", {}).items():
        assert _missing_as_none(preferences.pairs[name]) == values
    if "items" in case:
        _check_items(preferences.items, case["items"])


def _check_items(items, expected):
    assert items[["prompt", "response"]].to_numpy(object).tolist() == [
        row[:2] for row in expected
    ]
    for (_, _, attributes), item in zip(
        expected, items.to_dict("records"), strict=True
    ):
        found = _missing_as_none(item[name] for name in attributes)
        assert found == list(attributes.values())


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_columns_of_numbers_are_numeric(case):
    """Labels, margins, weights, ratings and ranks can be handed to a head."""
    numeric = {"y", "margin", "weight", "strength", "score", "rank", "k", "honesty"}
    preferences = read_preferences(case["rows"], on_error="skip-uninformative")
    for table in (preferences.pairs, preferences.items):
        for name in numeric.intersection(table.columns):
            assert np.issubdtype(table[name].dtype, np.number)
