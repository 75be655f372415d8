"""Options that several commands share, and reading them from a YAML file."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from embrm._yaml import YamlError, parse_yaml
from embrm.exceptions import InvalidInputError, invalid_input

_LARGEST = 1_000_000
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")
]


def load_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the keys of a YAML file the defaults of this command's options."""
    if path is None or ctx.resilient_parsing:
        return path
    known = {parameter.name for parameter in ctx.command.params} - {"config", None}
    given = _read_yaml(path)
    # "json" is the option's name, "as_json" the parameter's: json is a module.
    if "json" in given:
        given["as_json"] = given.pop("json")
    for name in {"column", "param"} & set(given):
        given[name] = _as_repeated(given[name])
    unknown = sorted(set(given) - known)
    if unknown:
        options = sorted(f"{'json' if n == 'as_json' else n}" for n in known if n)
        raise typer.BadParameter(
            f"unknown key {unknown[0]!r} in {path}; known: {', '.join(options)}"
        )
    ctx.default_map = {**(ctx.default_map or {}), **given}
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file, hyphens in its keys as underscores."""
    try:
        if path.stat().st_size > _LARGEST or not path.is_file():
            raise typer.BadParameter(f"{path} is no file of at most {_LARGEST:,} bytes")
        text = path.read_text(encoding="utf-8")
        root, values = parse_yaml(text)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8") from error
    except YamlError as error:
        raise typer.BadParameter(f"{path}: {error}") from error
    if values is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise typer.BadParameter(f"{path} should map option names to values")
    keys = [str(key.value).replace("-", "_") for key, _ in root.value]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise typer.BadParameter(f"{path}: {twice[0]!r} is there twice")
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _as_repeated(given: Any) -> Any:
    """Take one NAME=VALUE, a list of them or a mapping as the repeated option does."""
    if isinstance(given, dict):
        return [f"{name}={_as_text(value)}" for name, value in given.items()]
    return [given] if isinstance(given, str) else given


def _as_text(value: Any) -> str:
    """Write a value of a YAML file so that it is read again as what it is."""
    return value if isinstance(value, str) else json.dumps(value)


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
AsJson = Annotated[
    bool, typer.Option("--json/--no-json", help="Print one JSON object.")
]
Debug = Annotated[bool, typer.Option("--debug/--no-debug", help="Show tracebacks.")]
CacheDir = Annotated[
    str | None,  # a Path would make s3://bucket of s3:/bucket
    typer.Option(
        "--cache",
        help="Directory or s3://... where vectors are kept; without it, nothing is.",
        show_default=False,
    ),
]
DEFAULT_ENCODER = "smollm2"
"""The library's default, by name: importing it from there would slow every command."""

EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="smollm2: mean over the response at layer 20 of 30 of SmolLM2-135M; "
        "minilm: ten times faster, rougher; hashing; a directory with a model, a GGUF "
        "file or an id on the hub (st:... or causal:... say which kind). Of causal "
        "models, where to look: smollm2@15,20 or smollm2@published (last token of the "
        "last layer).",
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
ReportOut = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="HTML file to write: verdict, figures, tables, warnings.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]


def column_map(columns: list[str] | None) -> dict[str, str] | None:
    """Turn `["prompt=question"]` into `{"prompt": "question"}`."""
    example = "--column prompt=question"
    return named_values(columns, "--column NAME=YOURS", example) or None


def head_params(params: list[str] | None) -> dict[str, Any]:
    """Turn `["noise=estimate", "alpha=2"]` into `{"noise": "estimate", "alpha": 2}`."""
    example = "--param noise=estimate"
    named = named_values(params, "--param NAME=VALUE", example)
    try:
        return {name: parse_yaml(value)[1] for name, value in named.items()}
    except YamlError as error:
        raise _misspelt("--param NAME=VALUE", params, example) from error


def named_values(
    given: list[str] | None, expected: str, example: str
) -> dict[str, str]:
    """Turn a repeated option NAME=VALUE into a mapping.

    Raises
    ------
    InvalidInputError
        If one is not written so.
    """
    pairs: list[list[str]] = [part.split("=", 1) for part in given or []]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise _misspelt(expected, given, example)
    return dict(pairs)


def _misspelt(
    expected: str, given: list[str] | None, example: str
) -> InvalidInputError:
    return invalid_input(
        expected=expected,
        got=", ".join(given or [])[:60],
        fix=f"write it as in {example}",
    )
