"""What commands print: tables or one JSON object, errors in one line, exit codes."""

import json
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embrm.exceptions import DataError, EmbrmError, IntegrityError

USAGE, DATA, INTEGRITY = 2, 3, 4


def console(*, stderr: bool = False) -> Console:
    """Open a console; where output is not a terminal, tables keep a fixed width."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return (
        made
        if made.is_terminal
        else Console(stderr=stderr, highlight=False, soft_wrap=True, width=100)
    )


def say(text: str = "", *, as_json: bool = False) -> None:
    """Print a line for people: to stdout, or to stderr beside a JSON result."""
    console(stderr=as_json).print(escape(text))


def emit(result: Mapping[str, Any]) -> None:
    """Print the JSON result of a command."""
    sys.stdout.write(json.dumps(result, ensure_ascii=False, allow_nan=False) + "\n")


def table(columns: Mapping[str, str], rows: list[list[str]]) -> Table:
    """Lay out a table; `columns` maps headings to "left" or "right"."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in columns.items():
        made.add_column(
            heading, justify="right" if justify == "right" else "left", no_wrap=True
        )
    for row in rows:
        made.add_row(*map(escape, row))
    return made


@contextmanager
def reporting(*, debug: bool, as_json: bool = False) -> Iterator[None]:
    """Turn warnings into lines on stderr, and errors into a line and an exit code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            yield
    except EmbrmError as error:
        _fail(error, exit_code(error), debug=debug, as_json=as_json)
    except KeyboardInterrupt:
        console(stderr=True).print("stopped; what was embedded is kept")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # The reader of our output went away (e.g. head): nothing is wrong.
        sys.stderr.close()
        raise typer.Exit(0) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:  # noqa: BLE001
        _fail(error, 1, debug=debug, as_json=as_json)


def exit_code(error: EmbrmError) -> int:
    """Choose the exit code of an error: 2 usage, 3 data, 4 integrity."""
    if isinstance(error, IntegrityError):
        return INTEGRITY
    return DATA if isinstance(error, DataError) else USAGE


def _fail(error: Exception, code: int, *, debug: bool, as_json: bool) -> None:
    if debug:
        traceback.print_exc()
    words = str(error) if code != 1 else f"{type(error).__name__}: {error}"
    hint = "" if debug or code != 1 else " (run again with --debug for the traceback)"
    console(stderr=True).print(f"[bold red]error:[/] {escape(words + hint)}")
    if as_json:
        emit({"error": words, "exit_code": code})
    raise typer.Exit(code)


def _show_warning(message: Warning | str, *_: Any) -> None:
    console(stderr=True).print(f"[bold yellow]warning:[/] {escape(str(message))}")
