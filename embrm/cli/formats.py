"""`embrm formats`: the preference formats that are read."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from embrm.cli.options import AsJson, Debug
from embrm.cli.output import emit, in_flags, print_table, reporting, table

if TYPE_CHECKING:
    from embrm.datasets.formats import Format

Name = Annotated[
    str | None,
    typer.Argument(help="One format, in full.", show_default=False),
]


Markdown = Annotated[
    bool, typer.Option("--markdown/--table", help="Write a table in Markdown.")
]


def formats(
    name: Name = None,
    markdown: Markdown = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the formats of preference files, in the order in which they are tried."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.datasets.formats import find_format, known_formats

        chosen = known_formats() if name is None else {name: find_format(name)}
        if as_json:
            emit(
                {
                    "formats": [
                        {"name": fmt.name, "columns": fmt.columns, "about": fmt.about}
                        for fmt in chosen.values()
                    ]
                }
            )
            return
        if markdown:
            sys.stdout.write(as_markdown(chosen.values()))
            return
        rows = [[fmt.name, fmt.columns, in_flags(fmt.about)] for fmt in chosen.values()]
        laid_out = table(dict.fromkeys(("format", "columns", "of"), "left"), rows)
        for column in laid_out.columns:
            column.no_wrap = False
            column.overflow = "fold"
        laid_out.columns[0].no_wrap = True
        print_table(laid_out)


def as_markdown(formats: "Iterable[Format]") -> str:
    """Write formats as a table in Markdown."""
    lines = ["| format | columns | of |", "|---|---|---|"]
    for fmt in formats:
        cells = (f"`{fmt.name}`", fmt.columns, fmt.about)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"
