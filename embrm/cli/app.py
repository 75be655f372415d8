"""The `embrm` command and its subcommands."""

import typer

from embrm.cli.cache import app as cache
from embrm.cli.demo import demo
from embrm.cli.doctor import doctor
from embrm.cli.embed import embed
from embrm.cli.evaluate import evaluate
from embrm.cli.fit import fit
from embrm.cli.score import score

app = typer.Typer(
    name="embrm",
    help="Reward models on frozen embeddings: embed once, fit in minutes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 2 usage, 3 data, 4 integrity.",
)
app.command()(demo)
app.command()(embed)
app.command()(fit)
app.command()(evaluate)
app.command()(score)
app.add_typer(cache, name="cache")
app.command()(doctor)


def main() -> None:
    """Run the command line."""
    app()
