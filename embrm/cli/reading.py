"""Options by which commands read preference files."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal

import typer

from embrm.cli.options import (
    Columns,
    Format,
    MaxRows,
    OnError,
    column_map,
    named_values,
)

PromptTemplate = Annotated[
    str | None,
    typer.Option(
        "--prompt-template",
        help=r"Write the prompt from several columns, e.g. '{instruction}\n{input}'.",
        show_default=False,
    ),
]
Winner = Annotated[
    list[str] | None,
    typer.Option(
        "--winner",
        help="What a value of the winner's column means, e.g. --winner 0=first "
        "--winner 1=second --winner 2=tie; may be repeated.",
        show_default=False,
    ),
]
LowerIsBetter = Annotated[
    bool | None,
    typer.Option(
        "--lower-is-better/--higher-is-better",
        help="Which way scores count; higher is better by default.",
        show_default=False,
    ),
]
Encoding = Annotated[
    str, typer.Option("--encoding", help="Encoding of text files, e.g. latin-1.")
]
MaxLineBytes = Annotated[
    int,
    typer.Option(
        "--max-line-bytes",
        min=1,
        help="Longest line of a text file; a longer one is never held in memory.",
    ),
]
Images = Annotated[
    str,
    typer.Option(
        "--images",
        help="Messages with an image. refuse: they are errors; mark: [image] stands in "
        "its place.",
    ),
]


@dataclass(frozen=True)
class Reading:
    """How a command was told to read files, not yet checked."""

    format: str | None
    column: list[str] | None
    prompt_template: str | None
    winner: list[str] | None
    lower_is_better: bool | None
    images: Literal["refuse", "mark"]
    on_error: str
    max_rows: int | None
    encoding: str
    max_line_bytes: int

    def options(self) -> dict[str, Any]:
        """Gather the options that `read_preferences` takes.

        Raises
        ------
        InvalidInputError
            If one is not written as its help says.
        """
        winner = named_values(self.winner, "--winner VALUE=MEANING", "--winner 0=first")
        return {
            "format": self.format,
            "columns": column_map(self.column),
            "prompt_template": shell_template(self.prompt_template),
            "winner": {value: _meaning(word) for value, word in winner.items()} or None,
            "lower_is_better": self.lower_is_better,
            "images": self.images,
            "on_error": self.on_error,
            "max_rows": self.max_rows,
            "encoding": self.encoding,
            "max_line_bytes": self.max_line_bytes,
        }


_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "format": (Format, None),
    "column": (Columns, None),
    "prompt_template": (PromptTemplate, None),
    "winner": (Winner, None),
    "lower_is_better": (LowerIsBetter, None),
    "images": (Images, "refuse"),
    "on_error": (OnError, "skip-uninformative"),
    "max_rows": (MaxRows, None),
    "encoding": (Encoding, "utf-8"),
    "max_line_bytes": (MaxLineBytes, 16_000_000),
}


def reads_preferences(
    command: Callable[..., None], **defaults: Any
) -> Callable[..., None]:
    """Give a command the options of reading; it takes them together, as `reading`.

    Parameters
    ----------
    command : callable
    **defaults
        Of options that have another default in this command.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name == "reading":
            parameters += [
                parameter.replace(
                    name=name, annotation=kind, default=defaults.get(name, default)
                )
                for name, (kind, default) in _OPTIONS.items()
            ]
        else:
            parameters.append(parameter)

    @wraps(command)
    def wrapped(**given: Any) -> None:
        read = Reading(**{name: given.pop(name) for name in _OPTIONS})
        command(**given, reading=read)

    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def shell_template(given: str | None) -> str | None:
    r"""Read a template as it was typed: in a shell, a line break is easier as \n."""
    return given and given.replace("\\n", "\n")


def _meaning(word: str) -> str | float:
    """Read a word, or a probability."""
    try:
        return float(word)
    except ValueError:
        return word.replace("-", " ")
