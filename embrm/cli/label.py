"""`embrm label`: a page on which people judge pairs; tasks out, labels in."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from embrm.cli.inputs import open_encoder, open_model, read_and_say
from embrm.cli.options import CacheDir, Columns, Port, Seed, as_command, column_map
from embrm.cli.output import emit, say
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    from embrm.label.queue import LabelQueue

_READING: dict[str, Any] = {"on_error": "skip-uninformative"}

Responses = Annotated[
    Path,
    Argument(
        help="File of responses: preferences, ratings or responses without labels; "
        "labels in it are not looked at."
    ),
]
Labels = Annotated[
    Path,
    Option(
        help="JSONL file of labels, which embrm fit reads. A session goes on from it; "
        "NAME.journal.jsonl beside it holds every judgement and undo."
    ),
]
BeliefModel = Annotated[
    Path | None,
    Option(help="Saved model with a linear head, by which pairs are chosen at first."),
]
EncoderName = Annotated[
    str | None,
    Option(
        help="Encoder of the responses, minilm by default; with --model, where the "
        "model's encoder is found now: another one is refused."
    ),
]
StrategyName = Annotated[
    str,
    Option(
        help="How pairs are chosen: auto (v-optimal), random, d-optimal, info-max, "
        "delta-ucb, double-thompson, ...; an unknown name lists all."
    ),
]
Annotator = Annotated[str, Option(help="Your name; others open the page with theirs.")]
Host = Annotated[
    str, Option(help="Address to listen on; beyond loopback the URL has a token.")
]
NoBrowser = Annotated[bool, Option(help="Open the page in a browser.")]
AllowHost = Annotated[
    list[str] | None, Option(help="Further name of the server; may be repeated.")
]
HeldOut = Annotated[
    float,
    Option(
        min=0.0, max=0.9, help="Share of pairs drawn at random and only evaluated on."
    ),
]
RandomShare = Annotated[
    float, Option(min=0.0, max=1.0, help="Share of further random pairs.")
]
Tool = Annotated[str, Option(help="label-studio, argilla or arena: whose format.")]
TaskFile = Annotated[Path, Option(help="File of tasks to write.")]
HowMany = Annotated[int, Option(min=1, help="Pairs to label.")]
Exported = Annotated[Path, Argument(help="What the tool exported.")]


class _Group(TyperGroup):
    """Takes a file where a subcommand's name could stand: the page is the default."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else "--help"
        if first not in (*self.commands, "--help", "-h"):
            args = ["page", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Group,
    help="Judge pairs of responses in the browser: embrm label FILE --out LABELS. See "
    "embrm label page --help; export and import speak to other labelling tools.",
    no_args_is_help=True,
)


@app.command()
@as_command
def page(
    responses: Responses,
    out: Labels,
    model: BeliefModel = None,
    encoder: EncoderName = None,
    strategy: StrategyName = "auto",
    annotator: Annotator = "me",
    host: Host = "127.0.0.1",
    port: Port = 0,
    browser: NoBrowser = True,
    allow_host: AllowHost = None,
    held_out: HeldOut = 0.1,
    random_share: RandomShare = 0.2,
    cache: CacheDir = None,
    column: Columns = None,
    seed: Seed = 0,
) -> None:
    """Serve the page; the pairs that teach most come first.

    Keys on the page: 1 and 2 for the better response, 0 for a tie, b for both bad, s to
    skip, u to undo. Several annotators share one server, each as ?annotator=NAME.
    """
    from embrm._optional import import_optional

    for name in ("fastapi", "uvicorn", "httptools"):
        import_optional(name, extra="serve")
    from embrm.label.app import run

    shares = {"held_out_share": held_out, "random_share": random_share}
    loop, texts = _loop(
        responses, column, model, encoder, cache, strategy, seed,
        **shares,
    )  # fmt: skip
    queue = _queue(loop, texts, out, seed)
    run(
        queue,
        lambda url: _started(url, browser=browser),
        annotator=annotator,
        host=host,
        port=port,
        hosts=tuple(allow_host or ()),
    )
    n = len(queue.labels())
    say(f"{n:,} labels in {out}; fit with embrm fit {out} --out DIR", stderr=True)


@app.command("export")
@as_command
def export_tasks(
    responses: Responses,
    out: TaskFile,
    tool: Tool = "label-studio",
    n: HowMany = 100,
    model: BeliefModel = None,
    encoder: EncoderName = None,
    strategy: StrategyName = "auto",
    labels: Annotated[
        Path | None, Option("--labels", help="Labels so far, by which to choose.")
    ] = None,
    cache: CacheDir = None,
    column: Columns = None,
    seed: Seed = 0,
) -> None:
    """Write a prioritised file of tasks for another labelling tool."""
    from embrm.label.exchange import config_of, learn_labels, write_tasks

    loop, texts = _loop(
        responses, column, model, encoder, cache, strategy, seed,
        held_out_share=0.1,
    )  # fmt: skip
    if labels is not None:
        read = read_and_say(labels, **_READING)
        learned, unknown = learn_labels(loop, texts, read)
        say(f"{learned:,} labels known, {unknown:,} of others")
    written = write_tasks(loop, texts, out, tool=tool, n=n, seed=seed)
    say(f"{written:,} tasks for {tool}: {out}")
    if tool == "label-studio":
        about = "paste it as the project's labelling interface, then import the tasks"
        say(f"label config: {config_of(out)}; {about}")
    emit({"tasks": written, "tool": tool, "out": str(out)})


@app.command("import")
@as_command
def import_labels(exported: Exported, out: Labels, column: Columns = None) -> None:
    """Bring labels of another tool into the table of labels; known ones stay once."""
    from embrm.label.exchange import add_labels

    options: dict[str, Any] = {"columns": column_map(column), **_READING}
    read = read_and_say(exported, **options)
    added, known = add_labels(read, out)
    say(f"{added:,} labels added to {out}, {known:,} known")
    emit({"added": added, "known": known, "out": str(out)})


def _loop(
    responses: Path,
    column: list[str] | None,
    model: Path | None,
    encoder: str | None,
    cache: str | None,
    strategy: str,
    seed: int,
    **options: Any,
) -> Any:
    """Read and embed the responses; make the loop and its texts."""
    from embrm.active import DEFAULT_STRATEGY, make_strategy
    from embrm.label.tasks import Texts, distinct_items, make_loop
    from embrm.model import RewardModel
    from embrm.model.items import row_items

    chosen = make_strategy(DEFAULT_STRATEGY if strategy == "auto" else strategy)
    texts, prompt_ids = distinct_items(row_items(responses, column_map(column)))
    opened = (
        RewardModel(open_encoder(encoder or "minilm"), cache=cache)
        if model is None
        else open_model(model, cache, encoder)
    )
    embedded = opened.embed(texts)
    say(str(embedded))
    head = None if model is None else opened.head_
    loop = make_loop(
        texts,
        prompt_ids,
        embedded.vectors,
        head,
        strategy=chosen,
        random_state=seed,
        **options,
    )
    return loop, Texts(texts)


def _queue(loop: Any, texts: Any, out: Path, seed: int) -> "LabelQueue":
    """Open the session, and fit on the labels that are there."""
    from embrm.label.progress import Refitter
    from embrm.label.queue import LabelQueue, QueueSettings, journal_of

    if out.exists() and not journal_of(out).exists():
        raise invalid_input(
            expected=f"a new file, or one of an earlier session, for {out}",
            got="a file without its journal",
            fix="write to another --out; embrm label import adds labels to a table",
        )
    queue = LabelQueue(loop, texts, out, QueueSettings(seed=seed))
    n = len(queue.labels())
    if n:
        Refitter(queue).refit()
        say(f"{n:,} labels of earlier sessions")
    return queue


def _started(url: str, *, browser: bool) -> None:
    say(f"Judge at {url} (Ctrl+C ends; every label is saved at once)")
    emit({"url": url})
    import sys

    sys.stdout.flush()
    if browser:
        webbrowser.open(url)
