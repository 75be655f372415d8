"""`embrm score`: rewards of the items in a file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embrm.cli.evaluate import ModelDir, OtherEncoder
from embrm.cli.inputs import open_model
from embrm.cli.options import AsJson, CacheDir, Columns, Config, Debug, column_map
from embrm.cli.output import emit, json_rows, reporting, say, write_json_lines
from embrm.exceptions import DataError, InvalidInputError, format_error

if TYPE_CHECKING:
    import pandas as pd

_ENDINGS = (".jsonl", ".csv", ".parquet")
Items = Annotated[
    str,
    typer.Argument(help="File with columns prompt and response, or - for JSONL."),
]
ScoreOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Where to write (.jsonl, .csv or .parquet); JSONL to stdout by default.",
        show_default=False,
    ),
]


def score(
    model_dir: ModelDir,
    items: Items,
    out: ScoreOut = None,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    column: Columns = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Add columns reward and rank (1 is best for its prompt) to every row of a file."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.datasets import read_frame

        check_ending(out)
        columns = column_map(column)
        model = open_model(model_dir, cache, encoder).set_params(columns=columns)
        ranked = model.rank(_some_rows(read_frame(items)))
        summary = {
            "n_items": len(ranked),
            "reward_mean": float(ranked["reward"].mean()),
            "reward_std": float(ranked["reward"].std(ddof=0)),
            "out": None if out is None else str(out),
        }
        if out is None and as_json:
            emit({**summary, "items": list(json_rows(ranked))})
        elif out is None:
            write_json_lines(ranked, sys.stdout)
        else:
            write_rows(ranked, out)
            say(f"{len(ranked)} items scored, written to {out}", as_json=as_json)
            if as_json:
                emit(summary)


def check_ending(out: Path | None) -> None:
    """Refuse a file to write to whose ending says no known format."""
    if out is not None and out.suffix not in _ENDINGS:
        raise InvalidInputError(
            format_error(
                expected=f"--out that ends in {', '.join(_ENDINGS)}",
                got=repr(out.name)[:60],
                fix="choose one of these endings",
            )
        )


def _some_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    if frame.empty:
        raise DataError(
            format_error(
                expected="at least one row to score",
                got="none",
                fix="check that the rows were written, and to this place",
            ),
            reason="no rows",
        )
    return frame


def write_rows(ranked: "pd.DataFrame", out: Path) -> None:
    """Write a frame as JSON lines, CSV or Parquet, as its name ends."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".jsonl":
        with out.open("w", encoding="utf-8") as stream:
            write_json_lines(ranked, stream)
    elif out.suffix == ".csv":
        ranked.map(_as_cell).to_csv(out, index=False)
    else:
        _write_parquet(ranked, out)


def _as_cell(value: Any) -> Any:
    """Write messages and lists in a CSV cell as JSON."""
    nested = isinstance(value, list | dict)
    return json.dumps(value, ensure_ascii=False, default=str) if nested else value


def _write_parquet(ranked: "pd.DataFrame", out: Path) -> None:
    import pyarrow as pa

    try:
        ranked.to_parquet(out, index=False)
    except pa.ArrowException as error:
        raise DataError(
            format_error(
                expected="columns that each hold values of one type, for Parquet",
                got=str(error)[:80],
                fix="write to a .jsonl file instead",
            ),
            reason="mixed types",
        ) from error
