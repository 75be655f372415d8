"""What commands print: tables or one JSON object, errors in one line, exit codes."""

import json
import math
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from embrm.exceptions import DataError, EmbrmError, IntegrityError, format_error

if TYPE_CHECKING:
    import pandas as pd


USAGE, DATA, INTEGRITY = 2, 3, 4
_WIDEST = 10_000
STOPPED, BROKEN_PIPE = 130, 141  # as shells say it: 128 and the signal's number
# All but tab and line feed: escape sequences move cursors and set titles.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_COLUMNS = re.compile(r"\bcolumns=\{('[^']*': '[^']*'(?:, '[^']*': '[^']*')*)\}")
_NAMED = re.compile(r"'([^']*)': '([^']*)'")
_FLAGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), flag)
    for pattern, flag in (
        (r"\bcolumns=", "--column "),
        (r"winner=\{[^}]*\}", "--winner VALUE=first (or second, tie, both-bad)"),
        (r"lower_is_better=True", "--lower-is-better"),
        (r"lower_is_better=False", "--higher-is-better"),
        (r"\bprompt_template=", "--prompt-template "),
        (r"\bon_error='([^']*)'", r"--on-error \1"),
        (r"\bencoding='([^']*)'", r"--encoding \1"),
        (r"\braise max_line_bytes", "raise --max-line-bytes"),
        (r"\braise (max_\w+)", r"raise \1 in Python"),
        (r"\bimages='([^']*)'", r"--images \1"),
        (r"\bformat=(?!')", "--format"),
        (r"\bformat='([^']*)'", r"--format \1"),
    )
)


class _Console(Console):
    """A console that raises when its pipe is closed, where rich would just exit."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Open a console; where output is not a terminal, lines have a fixed width."""
    made = _Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
    if made.is_terminal or "COLUMNS" in os.environ:
        return made
    return _Console(
        stderr=stderr, highlight=False, soft_wrap=True, width=100, emoji=False
    )


def print_table(made: Table) -> None:
    """Print a table with nothing cut off; none beside a JSON result.

    In files and pipes it is as wide as it has to be; on a terminal that is too narrow,
    cells take several lines. Columns that may wrap do so everywhere.
    """
    if _MODE.as_json:
        return
    to = console()
    everywhere = to.options.update_width(_WIDEST)
    width = Measurement.get(to, everywhere, made).maximum
    is_fixed = all(column.no_wrap for column in made.columns)
    if is_fixed and not to.is_terminal:
        to.width = max(to.width, width)
    elif is_fixed and width > to.width:
        for column in made.columns:
            column.no_wrap, column.overflow = False, "fold"
    to.print(made, soft_wrap=False)


@dataclass
class _Mode:
    """How the command that runs prints: one runs at a time."""

    as_json: bool = False
    stdout_is_data: bool = False


_MODE = _Mode()


def wants_json() -> bool:
    """Say whether the command was asked for its result as JSON."""
    return _MODE.as_json


def keep_stdout_for_data() -> None:
    """Let the command's words go to stderr, as stdout holds its result."""
    _MODE.stdout_is_data = True


def say(text: str = "", *, stderr: bool = False) -> None:
    """Print a line for readers: to stdout, or to stderr beside a result there."""
    _print(shown(text), stderr=stderr or _MODE.stdout_is_data)


def emit(result: Mapping[str, Any]) -> None:
    """Print the result of a command as JSON, where that was asked for."""
    if _MODE.as_json:
        sys.stdout.write(json_line(result, sys.stdout))


def json_line(value: Any, stream: Any) -> str:
    """Write a value as a line of JSON that a stream can hold."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    plain = not encoding.startswith("utf")
    return json.dumps(value, ensure_ascii=plain, allow_nan=False) + "\n"


def table(columns: Mapping[str, str], rows: list[list[str]]) -> Table:
    """Lay out a table; `columns` maps headings to "left" or "right"."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in columns.items():
        made.add_column(
            heading, justify="right" if justify == "right" else "left", no_wrap=True
        )
    for row in rows:
        made.add_row(*map(shown, row))
    return made


def in_flags(words: str) -> str:
    """Write what a message tells to pass as it is passed on the command line.

    Examples
    --------
    >>> in_flags("pass columns={'prompt': 'question'} or lower_is_better=True")
    'pass --column prompt=question or --lower-is-better'
    """
    words = _COLUMNS.sub(lambda match: _column_flags(match[1]), words)
    for pattern, flag in _FLAGS:
        words = pattern.sub(flag, words)
    return words


def _column_flags(mapping: str) -> str:
    """Write each entry of a mapping of columns as a flag of its own."""
    flags = []
    for ours, theirs in _NAMED.findall(mapping):
        named = "YOURS" if theirs == "your name for it" else theirs
        word = f"{ours}={named}"
        # Letters of other alphabets need no quotes; what a shell reads does.
        plain = not any(sign in ' ()<>|&;$`"*?[]#~!' for sign in word)
        flags.append(f"--column {word}" if plain else f"--column '{word}'")
    return " ".join(flags)


def shown(text: str) -> str:
    """Write foreign text so that it is printed as it is: no markup, no controls."""
    return escape(_CONTROL.sub("\ufffd", text))


def one_line(text: str) -> str:
    """Join the lines of a message, such as a library's, into one."""
    return " ".join(text.split())


@contextmanager
def reporting(*, debug: bool, as_json: bool = False) -> Iterator[None]:
    """Turn warnings into lines on stderr, and errors into a line and an exit code."""
    _MODE.as_json = _MODE.stdout_is_data = as_json
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            yield
        # What is still in the buffer fails here, if it does, and not at the exit.
        sys.stdout.flush()
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except EmbrmError as error:
        _fail(error, str(error), exit_code(error), debug=debug)
    except KeyboardInterrupt as stop:
        words = str(stop) or "stopped; what the cache holds is kept"
        _fail(stop, words, STOPPED, debug=debug)
    except BrokenPipeError:
        _be_quiet()
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:
        _fail(error, _system_error(error), USAGE, debug=debug)
    except Exception as error:  # noqa: BLE001
        words = f"{type(error).__name__}: {error}"
        if not debug:
            words += " (run again with --debug for the traceback)"
        _fail(error, words, 1, debug=debug)
    finally:
        _MODE.as_json = _MODE.stdout_is_data = False


def exit_code(error: EmbrmError) -> int:
    """Choose the exit code of an error: 2 usage, 3 data, 4 integrity."""
    if isinstance(error, IntegrityError):
        return INTEGRITY
    return DATA if isinstance(error, DataError) else USAGE


def report_error(words: str, code: int, *, as_json: bool) -> None:
    """Print an error in one line on stderr, and as JSON where JSON was asked for."""
    # The pipe may be closed.
    words = one_line(words)
    with suppress(OSError):
        _print(f"[bold red]error:[/] {shown(in_flags(words))}", stderr=True)
    if as_json:
        try:
            error = {"error": in_flags(words), "exit_code": code}
            sys.stdout.write(json_line(error, sys.stdout))
            sys.stdout.flush()
        except OSError:
            _be_quiet()


def _fail(error: BaseException, words: str, code: int, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    report_error(words, code, as_json=_MODE.as_json)
    raise typer.Exit(code)


def _system_error(error: OSError) -> str:
    place = "" if error.filename is None else f" ({error.filename})"
    return format_error(
        expected="files that can be read and written",
        got=f"{error.strerror or type(error).__name__}{place}",
        fix="check the path, its permissions and the free space; --debug says where",
    )


def _be_quiet() -> None:
    """Let nothing more be written to stdout, not even at the exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


def _show_warning(message: Warning | str, *_: Any) -> None:
    _print(f"[bold yellow]warning:[/] {shown(in_flags(str(message)))}", stderr=True)


def _print(markup: str, *, stderr: bool) -> None:
    """Print wrapped between words on a terminal, and as it is to files and pipes."""
    to = console(stderr=stderr)
    to.print(markup, soft_wrap=not to.is_terminal)


def json_rows(frame: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Yield each row as a dict that `json.dumps` takes.

    Parameters
    ----------
    frame : DataFrame

    Yields
    ------
    dict
        Missing values, NaN and infinity are None; times and whatever else JSON does
        not have are text.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"when": [pd.Timestamp("2026-11-20")], "x": [np.nan]})
    >>> list(json_rows(frame))
    [{'when': '2026-11-20 00:00:00', 'x': None}]
    """
    names = [str(name) for name in frame.columns]
    columns = [frame.iloc[:, n].tolist() for n in range(len(names))]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, map(_plain, values), strict=True))


def write_picture(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure of matplotlib, in the format that the name ends with."""
    from embrm.embed.cache.durable import output_file

    with output_file(path) as file:
        figure.savefig(file, format=path.suffix[1:] or "png", dpi=dpi)


def write_json_lines(frame: "pd.DataFrame", stream: Any) -> None:
    """Write one JSON object per row; numbers come back as the same bits."""
    for row in json_rows(frame):
        stream.write(json_line(row, stream))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    # NA and NaT, told by their text: no bool comes of comparing them.
    text = str(value)
    return None if text in ("<NA>", "NaT") else text
