"""`embrm score`: rewards of the items in a file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, cast

import typer

from embrm.cli.evaluate import ModelDir, OtherEncoder
from embrm.cli.inputs import open_model
from embrm.cli.options import AsJson, CacheDir, Columns, Config, Debug, column_map
from embrm.cli.output import emit, json_rows, reporting, say, write_json_lines
from embrm.cli.reading import (
    Encoding,
    Images,
    MaxLineBytes,
    PromptTemplate,
    shell_template,
)
from embrm.exceptions import DataError, format_error, invalid_input

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


RewardColumn = Annotated[
    str | None,
    typer.Option("--reward-column", help="Name of the new column of rewards."),
]
RankColumn = Annotated[
    str | None,
    typer.Option("--rank-column", help="Name of the new column of ranks."),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite/--keep", help="Replace columns reward and rank of the file."
    ),
]


def score(
    model_dir: ModelDir,
    items: Items,
    out: ScoreOut = None,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    column: Columns = None,
    reward_column: RewardColumn = None,
    rank_column: RankColumn = None,
    overwrite: Overwrite = False,
    prompt_template: PromptTemplate = None,
    encoding: Encoding = "utf-8",
    max_line_bytes: MaxLineBytes = 16_000_000,
    images: Images = "refuse",
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Add columns reward and rank (1 is best for its prompt) to every row of a file.

    A row may hold one response, both sides of a pair, or a list of responses; labels
    are not needed. Columns of the file are kept: where it has a reward or a rank, the
    new ones are called embrm_reward and embrm_rank.
    """
    with reporting(debug=debug, as_json=as_json):
        from embrm.datasets import read_frame

        check_ending(out)
        quiet = as_json or out is None  # What is printed then is JSON alone.
        model = open_model(model_dir, cache, encoder)
        read = read_frame(items, encoding=encoding, max_line_bytes=max_line_bytes)
        frame = _some_rows(read)
        given = column_map(column)
        model.images = cast("Literal['refuse', 'mark']", images)
        model.columns = given or columns_at_fit(model, frame.columns, as_json=quiet)
        model.prompt_template = shell_template(prompt_template) or _template_at_fit(
            model, frame, as_json=quiet
        )
        wanted = (reward_column, rank_column)
        names = _free_names(frame, wanted, overwrite=overwrite, as_json=quiet)
        ranked = model.rank(frame, names=names, overwrite=overwrite)
        rewards = _rewards(ranked, names[0])
        summary = {
            "n_items": len(rewards),
            "reward_mean": float(rewards.mean()),
            "reward_std": float(rewards.std(ddof=0)),
            "out": None if out is None else str(out),
        }
        if out is None and as_json:
            emit({**summary, "items": list(json_rows(ranked))})
        elif out is None:
            write_json_lines(ranked, sys.stdout)
        else:
            write_rows(ranked, out)
            say(f"{len(rewards)} items scored, written to {out}", as_json=as_json)
            if as_json:
                emit(summary)


def columns_at_fit(model: Any, names: Any, *, as_json: bool) -> dict[str, str]:
    """Find the columns that were named at fit and are in a file, too."""
    named = {
        ours: theirs
        for ours, theirs in (model.columns or {}).items()
        if theirs in names and ours not in names
    }
    if named:
        pairs = ", ".join(f"{ours}={theirs}" for ours, theirs in named.items())
        say(f"columns as at fit: {pairs}", as_json=as_json)
    return named


def _template_at_fit(model: Any, frame: Any, *, as_json: bool) -> str | None:
    """Find the template that prompts were written with at fit, if it fits the file."""
    from embrm.datasets.formats._texts import template_columns

    template: str | None = model.training_.get("prompt_template")
    if template is None or not set(template_columns(template)) <= set(frame.columns):
        return None
    say(f"prompts are written as at fit: {template!r}", as_json=as_json)
    return template


def _free_names(
    frame: "pd.DataFrame",
    wanted: tuple[str | None, str | None],
    *,
    overwrite: bool,
    as_json: bool,
) -> tuple[str, str]:
    """Choose names of the new columns that the file does not have, and say which."""
    names = []
    for name, default in zip(wanted, ("reward", "rank"), strict=True):
        taken = name is None and default in frame.columns and not overwrite
        if taken:
            say(
                f"the file has a column {default!r}, which is kept: the new one is "
                f"embrm_{default} (--overwrite replaces it)",
                as_json=as_json,
            )
        names.append(name or (f"embrm_{default}" if taken else default))
    return names[0], names[1]


def _rewards(ranked: "pd.DataFrame", name: str) -> "pd.Series[float]":
    """Gather the rewards of a table, which may have several a row."""
    import pandas as pd

    several = [column for column in ranked if str(column).startswith(f"{name}_")]
    columns = [name] if name in ranked else several
    cells = pd.concat([ranked[column].explode() for column in columns])
    rewards: pd.Series[float] = cells.astype(float).dropna()
    return rewards


def check_ending(out: Path | None) -> None:
    """Refuse an output file without a known suffix."""
    if out is not None and out.suffix not in _ENDINGS:
        raise invalid_input(
            expected=f"--out that ends in {', '.join(_ENDINGS)}",
            got=repr(out.name)[:60],
            fix="choose one of these endings",
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
    from embrm.embed.cache.durable import output_file, output_text

    if out.suffix == ".jsonl":
        with output_text(out) as stream:
            write_json_lines(ranked, stream)
    elif out.suffix == ".csv":
        with output_text(out) as stream:
            ranked.map(_as_cell).to_csv(stream, index=False)
    else:
        with output_file(out) as file:
            _write_parquet(ranked, file)


def _as_cell(value: Any) -> Any:
    """Write messages and lists in a CSV cell as JSON."""
    nested = isinstance(value, list | dict)
    return json.dumps(value, ensure_ascii=False, default=str) if nested else value


def _write_parquet(ranked: "pd.DataFrame", out: BinaryIO) -> None:
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
