"""`embrm score` writes rewards of a file's items; `embrm mine` selects by them."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, cast

from typer import Argument, Option

from embrm.cli.evaluate import ModelDir, OtherEncoder
from embrm.cli.inputs import open_model, read_and_say
from embrm.cli.options import (
    CacheDir,
    Columns,
    Encoding,
    Images,
    MaxLineBytes,
    PromptTemplate,
    Seed,
    as_command,
    column_map,
    shell_template,
)
from embrm.cli.output import (
    emit,
    json_rows,
    keep_stdout_for_data,
    say,
    wants_json,
    write_json_lines,
)
from embrm.exceptions import DataError, invalid_input

if TYPE_CHECKING:
    import pandas as pd

    from embrm.evaluate.bias.hull import TrainingHull
    from embrm.model import RewardModel
    from embrm.policy.mining import Mined, Score

_ENDINGS = (".jsonl", ".csv", ".parquet")
Items = Annotated[
    str, Argument(help="File with columns prompt and response, or - for JSONL.")
]
ScoreOut = Annotated[
    Path | None,
    Option(
        help="Where to write (.jsonl, .csv or .parquet); JSONL to stdout by default."
    ),
]


RewardColumn = Annotated[str | None, Option(help="Name of the new column of rewards.")]
RankColumn = Annotated[str | None, Option(help="Name of the new column of ranks.")]
Overwrite = Annotated[
    bool,
    Option("--overwrite/--keep", help="Replace columns reward and rank of the file."),
]


@as_command
def score(
    model_dir: ModelDir,
    items: Items,
    out: ScoreOut = None,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    column: Columns = None,
    reward_column: RewardColumn = None,
    rank_column: RankColumn = None,
    overwrite: Overwrite = False,
    prompt_template: PromptTemplate = None,
    encoding: Encoding = "utf-8",
    max_line_bytes: MaxLineBytes = 16_000_000,
    images: Images = "refuse",
) -> None:
    """Add columns reward and rank (1 is best for its prompt) to every row of a file.

    A row may hold one response, both sides of a pair, or a list of responses; labels
    are not needed. Columns of the file are kept: where it has a reward or a rank, the
    new ones are called embrm_reward and embrm_rank.
    """
    from embrm.datasets import read_frame

    check_ending(out)
    if out is None:
        keep_stdout_for_data()
    model = open_model(model_dir, cache, encoder)
    read = read_frame(items, encoding=encoding, max_line_bytes=max_line_bytes)
    frame = _some_rows(read)
    given = column_map(column)
    model.images = cast("Literal['refuse', 'mark']", images)
    model.columns = given or columns_at_fit(model, frame.columns)
    model.prompt_template = shell_template(prompt_template) or _template_at_fit(
        model, frame
    )
    wanted = (reward_column, rank_column)
    names = _free_names(frame, wanted, overwrite=overwrite)
    ranked = model.rank(frame, names=names, overwrite=overwrite)
    rewards = _rewards(ranked, names[0])
    summary = {
        "n_items": len(rewards),
        "reward_mean": float(rewards.mean()),
        "reward_std": float(rewards.std(ddof=0)),
        "out": None if out is None else str(out),
    }
    if out is None and wants_json():
        emit({**summary, "items": list(json_rows(ranked))})
    elif out is None:
        write_json_lines(ranked, sys.stdout)
    else:
        write_rows(ranked, out)
        say(f"{len(rewards)} items scored, written to {out}")
        emit(summary)


def columns_at_fit(model: Any, names: Any) -> dict[str, str]:
    """Find the columns that were named at fit and are in a file, too."""
    named = {
        ours: theirs
        for ours, theirs in (model.columns or {}).items()
        if theirs in names and ours not in names
    }
    if named:
        pairs = ", ".join(f"{ours}={theirs}" for ours, theirs in named.items())
        say(f"columns as at fit: {pairs}")
    return named


def _template_at_fit(model: Any, frame: Any) -> str | None:
    """Find the template that prompts were written with at fit, if it fits the file."""
    from embrm.datasets.formats._texts import template_columns

    template: str | None = model.training_.get("prompt_template")
    if template is None or not set(template_columns(template)) <= set(frame.columns):
        return None
    say(f"prompts are written as at fit: {template!r}")
    return template


def _free_names(
    frame: "pd.DataFrame", wanted: tuple[str | None, str | None], *, overwrite: bool
) -> tuple[str, str]:
    """Choose names of the new columns that the file does not have, and say which."""
    names = []
    for name, default in zip(wanted, ("reward", "rank"), strict=True):
        taken = name is None and default in frame.columns and not overwrite
        if taken:
            say(
                f"the file has a column {default!r}, which is kept: the new one is "
                f"embrm_{default} (--overwrite replaces it)"
            )
        names.append(name or (f"embrm_{default}" if taken else default))
    return names[0], names[1]


def _rewards(ranked: "pd.DataFrame", name: str) -> "pd.Series[float]":
    """Gather the rewards of a table, which may have several a row."""
    import pandas as pd

    several = [column for column in ranked if str(column).startswith(f"{name}_")]
    columns = [name] if name in ranked else several
    cells = pd.concat([ranked[column].explode() for column in columns])
    rewards: pd.Series[float] = cells.astype(float).dropna()
    return rewards


def check_ending(
    path: Path | None,
    option: str = "--out",
    endings: tuple[str, ...] = (".jsonl", ".csv", ".parquet"),
) -> None:
    """Refuse a file that cannot be written, before anything is computed."""
    if path is not None and path.suffix not in endings:
        *others, last = endings
        known = f"{', '.join(others)} or {last}" if others else last
        raise invalid_input(
            expected=f"{option} that ends in {known}",
            got=repr(path.name)[:60],
            fix="choose such an ending",
        )


def _some_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    if frame.empty:
        raise DataError.of(
            expected="at least one row to score",
            got="none",
            fix="check that the rows were written, and to this place",
            reason="no rows",
        )
    return frame


def write_rows(ranked: "pd.DataFrame", out: Path) -> None:
    """Write a frame as JSON lines, CSV or Parquet, as its name ends."""
    from embrm.embed.cache.durable import output_file, output_text

    if out.suffix == ".jsonl":
        with output_text(out) as stream:
            write_json_lines(ranked, stream)
    elif out.suffix == ".csv":
        with output_text(out) as stream:
            ranked.map(_as_cell).to_csv(stream, index=False)
    else:
        with output_file(out) as file:
            _write_parquet(ranked, file)


def _as_cell(value: Any) -> Any:
    """Write messages and lists in a CSV cell as JSON."""
    nested = isinstance(value, list | dict)
    return json.dumps(value, ensure_ascii=False, default=str) if nested else value


def _write_parquet(ranked: "pd.DataFrame", out: BinaryIO) -> None:
    import pyarrow as pa

    try:
        ranked.to_parquet(out, index=False)
    except pa.ArrowException as error:
        raise DataError.of(
            expected="columns that each hold values of one type, for Parquet",
            got=str(error)[:80],
            fix="write to a .jsonl file instead",
            reason="mixed types",
        ) from error


Responses = Annotated[
    str,
    Argument(
        help="File of responses (rows with a prompt and a response, both sides of a "
        "pair, or a list of responses), or - for JSONL."
    ),
]
Out = Annotated[Path, Option(help="JSONL to write; the card lies beside it.")]
Strategy = Annotated[
    str,
    Option(
        help="Pairs: best-vs-worst, best-vs-random, best-vs-second, random. "
        "Demonstrations: best-of-n, worst-of-n, top-p, rejection-sampling."
    ),
]
TrainerFormat = Annotated[
    str, Option("--format", help="trl, openrlhf, llama-factory or axolotl.")
]
Caution = Annotated[
    float,
    Option(
        min=0.0,
        help="Standard deviations that a reward is lowered by before it counts as "
        "good, and raised by before it counts as bad.",
    ),
]
LengthPenalty = Annotated[float, Option(help="Nats of reward that a character costs.")]
Diversity = Annotated[
    float,
    Option(
        min=0.0,
        help="Nats that being like what was selected before costs; keeps vectors in "
        "a temporary file.",
    ),
]
MinMargin = Annotated[
    float, Option(min=0.0, help="Nats; pairs that are no farther apart are out.")
]
N = Annotated[int, Option(min=1, help="Responses a prompt, of best-of-n.")]
P = Annotated[float, Option(help="Share of a prompt's responses, of top-p.")]
Eta = Annotated[float, Option(help="Temperature in nats, of rejection-sampling.")]
Whole = Annotated[
    bool,
    Option(
        "--whole-reward/--net-of-style",
        help="Of a model with a block of style: whether what the reward owes to style "
        "(length, lists, markup) counts.",
    ),
]
Hull = Annotated[
    str | None,
    Option(
        help="The file the model was fitted on: the card then says how many picks lie "
        "outside its hull."
    ),
]


@as_command
def mine(
    model_dir: ModelDir,
    items: Responses,
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

    check_ending(out, endings=(".jsonl",))
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
        f"{mined.n_prompts:,} prompts, written to {out}"
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
