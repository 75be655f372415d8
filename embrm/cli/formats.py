"""`embrm formats` and `embrm heads`: what is read, and what is fitted."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from embrm.cli.options import as_command
from embrm.cli.output import emit, in_flags, print_table, say, table, wants_json

if TYPE_CHECKING:
    from embrm.datasets.formats import Format


@as_command
def heads() -> None:
    """List all heads: name, what it learns from, what it is good for, what it costs."""
    from embrm.heads import HEADS

    rows = [known.to_json() for known in HEADS]
    if wants_json():
        emit({"heads": rows})
        return
    print_table(_table(rows))
    say(
        "\nSeconds are those of 10,000 pairs with d = 384 on two CPU cores. Take "
        "one with\nembrm fit --head NAME; parameters: --param NAME=VALUE."
    )


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("head", no_wrap=True)
    table.add_column("learns from", no_wrap=True)
    table.add_column("good for", ratio=3)
    table.add_column("cost of a fit", ratio=2)
    for row in rows:
        needs = f" (extra {row['extra']})" if row["extra"] else ""
        cells = [row["name"], row["learns_from"], row["good_for"], row["cost"] + needs]
        table.add_row(*map(Text, cells))
    return table


Name = Annotated[
    str | None,
    typer.Argument(help="One format, in full.", show_default=False),
]


Markdown = Annotated[
    bool, typer.Option("--markdown/--table", help="Write a table in Markdown.")
]


@as_command
def formats(
    name: Name = None,
    markdown: Markdown = False,
) -> None:
    """List the formats of preference files, in the order in which they are tried."""
    from embrm.datasets.formats import find_format, known_formats

    chosen = known_formats() if name is None else {name: find_format(name)}
    if wants_json():
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
