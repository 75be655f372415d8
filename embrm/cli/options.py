"""Options that several commands share, and reading them from a YAML file."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from typer import Option

from embrm._yaml import YamlError, parse_yaml, read_yaml_file
from embrm.cli.output import reporting
from embrm.exceptions import InvalidInputError, invalid_input

Port = Annotated[int, Option(min=0, max=65535, help="Port; 0 takes a free one.")]


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
        root, values = read_yaml_file(path)
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
    Option(
        help="YAML file whose keys are this command's options; flags override it.",
        is_eager=True,
        callback=load_config,
    ),
]
AsJson = Annotated[bool, Option("--json/--no-json", help="Print one JSON object.")]
Debug = Annotated[bool, Option(help="Show tracebacks.")]
CacheDir = Annotated[
    str | None,  # a Path would make s3://bucket of s3:/bucket
    Option(
        help="Directory or s3://... where vectors are kept; without it, nothing is."
    ),
]
DEFAULT_ENCODER = "smollm2"
"""The library's default, by name: importing it from there would slow every command."""

EncoderName = Annotated[
    str,
    Option(
        help="smollm2: mean over the response at layer 20 of 30 of SmolLM2-135M; "
        "minilm: ten times faster, rougher; hashing; a directory with a model, a GGUF "
        "file or an id on the hub (st:... or causal:... say which kind). Of causal "
        "models, where to look: smollm2@15,20 or smollm2@published (last token of the "
        "last layer)."
    ),
]
Format = Annotated[
    str | None,
    Option(help="Format of the file; found out from its columns by default."),
]
Columns = Annotated[
    list[str] | None,
    Option(help="Rename a column, e.g. prompt=question; may be repeated."),
]
OnError = Annotated[
    str,
    Option(
        help="Rows that cannot be used. raise: stop; skip: leave them out and count "
        "them; skip-uninformative: leave out only those that can be read but say "
        "nothing (an empty text, identical responses, no label)."
    ),
]
MaxRows = Annotated[int | None, Option(min=1, help="Read only the first rows.")]
PromptTemplate = Annotated[
    str | None,
    Option(
        help=r"Write the prompt from several columns, e.g. '{instruction}\n{input}'."
    ),
]
Winner = Annotated[
    list[str] | None,
    Option(
        help="What a value of the winner's column means, e.g. --winner 0=first "
        "--winner 1=second --winner 2=tie; may be repeated."
    ),
]
LowerIsBetter = Annotated[
    bool | None,
    Option(
        "--lower-is-better/--higher-is-better",
        help="Which way scores count; higher is better by default.",
    ),
]
Encoding = Annotated[str, Option(help="Encoding of text files, e.g. latin-1.")]
MaxLineBytes = Annotated[
    int,
    Option(
        min=1, help="Longest line of a text file; a longer one is never held in memory."
    ),
]
Images = Annotated[
    str,
    Option(
        help="Messages with an image. refuse: they are errors; mark: [image] stands in "
        "its place."
    ),
]
ReportOut = Annotated[
    Path | None, Option(help="HTML file to write: verdict, figures, tables, warnings.")
]
Seed = Annotated[int, Option(min=0, help="Seed of everything random.")]


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


@dataclass(frozen=True)
class Reading:
    """How a command was told to read files, not yet checked.

    A command with a parameter `reading` has these options, in this order.
    """

    format: Format = None
    column: Columns = None
    prompt_template: PromptTemplate = None
    winner: Winner = None
    lower_is_better: LowerIsBetter = None
    images: Images = "refuse"
    on_error: OnError = "skip-uninformative"
    max_rows: MaxRows = None
    encoding: Encoding = "utf-8"
    max_line_bytes: MaxLineBytes = 16_000_000

    def options(self) -> dict[str, Any]:
        """Gather the options that `read_preferences` takes.

        Raises
        ------
        InvalidInputError
            If one is not written as its help says.
        """
        winner = named_values(self.winner, "--winner VALUE=MEANING", "--winner 0=first")
        told = {
            "columns": column_map(self.column),
            "prompt_template": shell_template(self.prompt_template),
            "winner": {value: _meaning(word) for value, word in winner.items()} or None,
        }
        as_given = {name: v for name, v in vars(self).items() if name != "column"}
        return as_given | told


@dataclass(frozen=True)
class _OfAll:
    """The options of every command."""

    config: Config = None
    as_json: AsJson = False
    debug: Debug = False


def as_command(function: Callable[..., None], **defaults: Any) -> Callable[..., None]:
    """Make a command: with the options of every command, its errors reported.

    `--config`, `--json` and `--debug` come last. The options of reading take the place
    of a parameter `reading`, which gets them together.

    Parameters
    ----------
    function : callable
    **defaults
        Of options of reading that have another default in this command.
    """
    signature = inspect.signature(function, eval_str=True)
    own, parameters = signature.parameters, list[inspect.Parameter]()
    for parameter in own.values():
        is_reading = parameter.name == "reading"
        parameters += _options(Reading, **defaults) if is_reading else [parameter]
    of_all = [option for option in _options(_OfAll) if option.name not in own]
    parameters += of_all

    @wraps(function)
    def wrapped(**given: Any) -> None:
        told = {option.name: given.pop(option.name) for option in of_all}
        with reporting(debug=told["debug"], as_json=told["as_json"]):
            if "reading" in own:
                read = {field.name: given.pop(field.name) for field in fields(Reading)}
                given["reading"] = Reading(**read)
            function(**given)

    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def _options(of: type, **defaults: Any) -> list[inspect.Parameter]:
    """Make an option of each field of a class, some with another default."""
    return [
        field.replace(
            kind=field.KEYWORD_ONLY, default=defaults.get(field.name, field.default)
        )
        for field in inspect.signature(of).parameters.values()
    ]


def shell_template(given: str | None) -> str | None:
    r"""Read a template as it was typed: in a shell, a line break is easier as \n."""
    return given and given.replace("\\n", "\n")


def _meaning(word: str) -> str | float:
    """Read a word, or a probability."""
    try:
        return float(word)
    except ValueError:
        return word.replace("-", " ")
