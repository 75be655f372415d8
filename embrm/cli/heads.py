"""`embrm heads`: which heads there are, what each learns from and is good for."""

from typing import Any

from rich.table import Table
from rich.text import Text

from embrm.cli.options import AsJson, Config, Debug
from embrm.cli.output import emit, print_table, reporting, say


def heads(config: Config = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """List all heads: name, what it learns from, what it is good for, what it costs."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.heads import HEADS

        rows = [known.to_json() for known in HEADS]
        if as_json:
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
