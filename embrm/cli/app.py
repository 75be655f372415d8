"""The `embrm` command and its subcommands."""

import sys
from typing import Annotated, Any

import typer
from typer import Option
from typer.core import TyperGroup

import embrm
from embrm.cli.benchmark import benchmark
from embrm.cli.cache import app as cache
from embrm.cli.data import clean, data
from embrm.cli.demo import demo
from embrm.cli.embed import EmbedCommand, embed
from embrm.cli.evaluate import compare, evaluate
from embrm.cli.fit import HeadCommand, fit
from embrm.cli.formats import doctor, formats, heads
from embrm.cli.label import app as label
from embrm.cli.layers import layers
from embrm.cli.output import STOPPED, USAGE, report_error
from embrm.cli.rank_items import rank_items
from embrm.cli.score import mine, score
from embrm.cli.serve import serve
from embrm.cli.simulate import simulate

# The common base of typer's usage errors; typer exports only its children.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class _Commands(TyperGroup):
    """Reports usage errors as all others: one line, JSON where that was asked for."""

    def main(self, args: Any = None, *rest: Any, **extra: Any) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        extra["standalone_mode"] = False
        try:
            code = super().main(given, *rest, **extra)
        except typer.Abort:
            code = STOPPED
        except _UsageError as error:
            code = _report_usage(error, as_json="--json" in given)
        sys.exit(code or 0)


def _report_usage(error: Any, *, as_json: bool) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return USAGE
    words = " ".join(error.format_message().split())
    if not words.endswith((".", ")")):
        words += "."
    where = "embrm" if error.ctx is None else error.ctx.command_path
    report_error(f"{words} See {where} --help.", USAGE, as_json=as_json)
    return USAGE


def paper(ctx: typer.Context) -> None:
    """Say where the studies of arXiv 2411.04991 are now."""
    words = (
        "the studies have left the package: in a checkout of the repository, "
        "`python -m benchmarks.paper` takes the options of embrm paper."
    )
    report_error(words, USAGE, as_json="--json" in ctx.args)
    raise typer.Exit(USAGE)


_ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_extra_args": True}

app = typer.Typer(
    name="embrm",
    help="Reward models on frozen embeddings: embed once, fit in minutes.",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 2 usage, 3 data, 4 integrity.",
)
app.command()(demo)
app.command()(data)
app.command()(clean)
app.command(cls=EmbedCommand)(embed)
app.command()(layers)
app.command(cls=HeadCommand)(fit)
app.command()(evaluate)
app.command()(benchmark)
app.command()(compare)
app.command()(score)
app.command()(mine)
app.command()(serve)
app.command()(heads)
app.command()(formats)
app.command("rank-items")(rank_items)
app.command()(simulate)
app.command(hidden=True, context_settings=_ANY_ARGUMENTS)(paper)
app.add_typer(label, name="label")
app.add_typer(cache, name="cache")
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"embrm {embrm.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        Option(
            "--version",
            help="Print the version and stop.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Take the options before the command."""


def main() -> None:
    """Run the command line."""
    app()
