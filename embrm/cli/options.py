"""Options that several commands share, and reading them from a YAML file."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml


def load_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the keys of a YAML file the defaults of this command's options."""
    if path is None or ctx.resilient_parsing:
        return path
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}") from error
    known = {parameter.name for parameter in ctx.command.params} - {"config", None}
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path} should map option names to values")
    given = {str(key).replace("-", "_"): value for key, value in values.items()}
    # "json" is the option's name, "as_json" the parameter's: json is a module.
    if "json" in given:
        given["as_json"] = given.pop("json")
    unknown = sorted(set(given) - known)
    if unknown:
        options = sorted(f"{'json' if n == 'as_json' else n}" for n in known if n)
        raise typer.BadParameter(
            f"unknown key {unknown[0]!r} in {path}; known: {', '.join(options)}"
        )
    ctx.default_map = {**(ctx.default_map or {}), **given}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file whose keys are this command's options; flags override it.",
        is_eager=True,
        callback=load_config,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Directory where vectors are kept; without it, nothing is kept.",
        show_default=False,
    ),
]
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder", help="minilm, hashing, a local model directory, or a hub id."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", help="Format of the file; found out from its columns by default."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="Rename a column, e.g. prompt=question; may be repeated."
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        "--on-error",
        help="Rows that cannot be used. raise: stop; skip: leave them out and count "
        "them; skip-uninformative: leave out only those that can be read but say "
        "nothing (an empty text, identical responses, no label).",
    ),
]
MaxRows = Annotated[
    int | None,
    typer.Option("--max-rows", min=1, help="Read only the first rows."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]


def column_map(columns: list[str] | None) -> dict[str, str] | None:
    """Turn `["prompt=question"]` into `{"prompt": "question"}`."""
    pairs: list[list[str]] = [column.split("=", 1) for column in columns or []]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise typer.BadParameter("--column takes NAME=YOURS, e.g. prompt=question")
    return dict(pairs) or None


def read_options(
    format: str | None,  # noqa: A002
    columns: list[str] | None,
    on_error: str,
    max_rows: int | None,
) -> dict[str, Any]:
    """Gather the options that `read_preferences` takes."""
    if on_error not in ("raise", "skip", "skip-uninformative"):
        raise typer.BadParameter("--on-error is raise, skip or skip-uninformative")
    return {
        "format": format,
        "columns": column_map(columns),
        "on_error": on_error,
        "max_rows": max_rows,
    }
