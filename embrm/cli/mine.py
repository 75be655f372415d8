"""`embrm mine`: training data for other trainers, selected by a saved model."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embrm.cli.evaluate import ModelDir, OtherEncoder
from embrm.cli.inputs import open_model, read_and_say
from embrm.cli.options import CacheDir, Columns, Seed, as_command, column_map
from embrm.cli.output import emit, say
from embrm.cli.score import columns_at_fit
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    from embrm.evaluate.bias.hull import TrainingHull
    from embrm.model import RewardModel
    from embrm.policy.mining import Mined, Score

Items = Annotated[
    str,
    typer.Argument(
        help="File of responses (rows with a prompt and a response, both sides of a "
        "pair, or a list of responses), or - for JSONL."
    ),
]
Out = Annotated[
    Path, typer.Option("--out", help="JSONL to write; the card lies beside it.")
]
Strategy = Annotated[
    str,
    typer.Option(
        "--strategy",
        help="Pairs: best-vs-worst, best-vs-random, best-vs-second, random. "
        "Demonstrations: best-of-n, worst-of-n, top-p, rejection-sampling.",
    ),
]
TrainerFormat = Annotated[
    str,
    typer.Option("--format", help="trl, openrlhf, llama-factory or axolotl."),
]
Caution = Annotated[
    float,
    typer.Option(
        "--caution",
        min=0.0,
        help="Standard deviations that a reward is lowered by before it counts as "
        "good, and raised by before it counts as bad.",
    ),
]
LengthPenalty = Annotated[
    float,
    typer.Option("--length-penalty", help="Nats of reward that a character costs."),
]
Diversity = Annotated[
    float,
    typer.Option(
        "--diversity",
        min=0.0,
        help="Nats that being like what was selected before costs; keeps vectors in "
        "a temporary file.",
    ),
]
MinMargin = Annotated[
    float,
    typer.Option(
        "--min-margin", min=0.0, help="Nats; pairs that are no farther apart are out."
    ),
]
N = Annotated[int, typer.Option("--n", min=1, help="Responses a prompt, of best-of-n.")]
P = Annotated[
    float, typer.Option("--p", help="Share of a prompt's responses, of top-p.")
]
Eta = Annotated[
    float, typer.Option("--eta", help="Temperature in nats, of rejection-sampling.")
]
Whole = Annotated[
    bool,
    typer.Option(
        "--whole-reward/--net-of-style",
        help="Of a model with a block of style: whether what the reward owes to style "
        "(length, lists, markup) counts.",
    ),
]
Hull = Annotated[
    str | None,
    typer.Option(
        "--hull",
        help="The file the model was fitted on: the card then says how many picks lie "
        "outside its hull.",
        show_default=False,
    ),
]


@as_command
def mine(
    model_dir: ModelDir,
    items: Items,
    out: Out,
    strategy: Strategy = "best-vs-worst",
    trainer_format: TrainerFormat = "trl",
    caution: Caution = 0.0,
    length_penalty: LengthPenalty = 0.0,
    diversity: Diversity = 0.0,
    min_margin: MinMargin = 0.0,
    n: N = 1,
    p: P = 0.25,
    eta: Eta = 1.0,
    whole_reward: Whole = False,
    hull: Hull = None,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    column: Columns = None,
    seed: Seed = 0,
) -> None:
    """Select responses by a model's reward and write them for another trainer.

    Preferences carry their margin in nats; a card beside the file says what was
    selected by what. Any number of responses is read in bounded memory.
    """
    from embrm.embed.cache.durable import output_text
    from embrm.policy.mining import MiningRule, mining_card
    from embrm.policy.mining import mine as mine_rows

    _check_out(out)
    rule = MiningRule(
        strategy=strategy,
        format=trainer_format,
        caution=caution,
        length_penalty=length_penalty,
        diversity=diversity,
        min_margin=min_margin,
        n=n,
        p=p,
        eta=eta,
        random_state=seed,
    )
    rule.check()
    model = open_model(model_dir, cache, encoder)
    net = not whole_reward and "style" in (model.blocks or {})
    found = None if hull is None else _hull(model, hull)
    score = _score(model, net=net, hull=found)
    with _read_twice(items) as source:
        named = column_map(column) or _columns_of(model, source)
        mined = mine_rows(source, score, out, rule, columns=named)
    facts = {
        "model": model_dir.name,
        "head": type(model.head_).__name__,
        "encoder": model.fingerprint_.describe(),
        "encoder digest": model.fingerprint_.digest,
        "reward": "net of style" if net else "whole",
        "source": Path(items).name,
    }
    card = out.with_name(f"{out.stem}.card.md")
    with output_text(card) as stream:
        stream.write(mining_card(mined, out, facts))
    _say(mined, out, card)
    emit({**facts, **mined.to_json(), "out": str(out), "card": str(card)})


def _columns_of(model: "RewardModel", source: Any) -> dict[str, str]:
    """Find the columns that were named at fit, by the first row of the file."""
    from embrm.datasets.sources import open_source

    row = next((row for _, row in open_source(source).rows), None)
    return columns_at_fit(model, row) if isinstance(row, dict) else {}


def _say(mined: "Mined", out: Path, card: Path) -> None:
    kind = "pairs" if mined.rule.makes_pairs else "demonstrations"
    say(
        f"{mined.n_written:,} {kind} of {mined.n_items:,} responses to "
        f"{mined.n_prompts:,} prompts, written to {out}",
    )
    for reason, count in mined.left_out.items():
        say(f"left out: {count:,} {reason}")
    lengths = ", ".join(f"{name} {mean:.0f}" for name, mean in mined.length.items())
    say(f"mean length in characters: {lengths}")
    say(f"card: {card}")


def _score(model: "RewardModel", *, net: bool, hull: "TrainingHull | None") -> "Score":
    from embrm.model.style_control import style_of
    from embrm.policy.mining import Scored

    def score(texts: Any) -> Scored:
        vectors = model.embed(texts).vectors
        reward, std = model.reward_vectors(vectors)
        if net:
            reward = reward - model.style_control.owed(style_of(texts))
        outside = None if hull is None else hull.outside(vectors)
        return Scored(reward, std, vectors, outside)

    return score


def _hull(model: "RewardModel", prefs: str) -> "TrainingHull":
    from embrm.evaluate.bias.hull import TrainingHull

    preferences = read_and_say(prefs, on_error="skip")
    return TrainingHull.fit(model.embed(preferences.texts).vectors)


def _check_out(out: Path) -> None:
    if out.suffix != ".jsonl":
        raise invalid_input(
            expected="--out that ends in .jsonl",
            got=repr(out.name)[:60],
            fix="write JSON lines, which every trainer reads",
        )


@contextmanager
def _read_twice(items: str) -> Iterator[str]:
    """Keep standard input in a file, since what is mined is read twice."""
    if items != "-":
        yield items
        return
    with tempfile.TemporaryDirectory() as directory:
        kept = Path(directory, "items.jsonl")
        with kept.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        yield str(kept)
