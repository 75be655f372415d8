"""The `embrm` command and its subcommands."""

import typer

from embrm.cli import cache, demo, doctor, embed, evaluate, fit, score

app = typer.Typer(
    name="embrm",
    help="Reward models on frozen embeddings: embed once, fit in minutes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 2 usage, 3 data, 4 integrity.",
)
app.command("demo")(demo.demo)
app.command("embed")(embed.embed)
app.command("fit")(fit.fit)
app.command("evaluate")(evaluate.evaluate)
app.command("score")(score.score)
app.add_typer(cache.app, name="cache")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line."""
    app()
