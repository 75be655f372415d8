"""`embrm simulate`: an experiment over a candidate pool, defined by a grid file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from embrm.cli.inputs import open_encoder
from embrm.cli.options import Columns, EncoderName, as_command, column_map, load_config
from embrm.cli.output import emit, print_table, say, wants_json
from embrm.cli.simulate_output import report_failed_cells
from embrm.exceptions import InvalidInputError, invalid_input

if TYPE_CHECKING:
    import pandas as pd

    from embrm.datasets.candidate_pools import Candidates
    from embrm.experiment import Experiment
    from embrm.experiment.config import GridConfig
    from embrm.pool import CandidatePool


PoolFile = Annotated[
    Path,
    Option(
        help="Parquet, JSONL or CSV file, one row per item: prompt_id (or prompt), "
        "gold, response, length, vector."
    ),
]
Vectors = Annotated[
    Path | None,
    Option(
        help=".npy or .safetensors file, one row per item. Without it: the column "
        "vector, else the texts are embedded."
    ),
]
TextCache = Annotated[
    Path | None,
    Option(
        help="Directory where vectors of embedded texts are kept; in --out by default."
    ),
]
GridFile = Annotated[
    Path, Argument(metavar="GRID", help="YAML file of the grid, as above.")
]


def load_options(ctx: typer.Context, path: Path | None) -> Path | None:
    """Read `--config` as every command does; for a grid, name its new argument."""
    try:
        return load_config(ctx, path)
    except typer.BadParameter as error:
        if path is None or not _is_grid(path):
            raise
        raise typer.BadParameter(
            f"{path} is a grid, and --config takes a YAML file of options; write: "
            f"embrm simulate {path} --pool POOL --out OUT"
        ) from error


SimulateConfig = Annotated[
    Path | None,
    Option(
        help="YAML file whose keys are this command's options; flags override it.",
        is_eager=True,
        callback=load_options,
    ),
]
SimulateOut = Annotated[
    Path, Option(help="Directory for cells, tables and pictures; runs go on there.")
]
Jobs = Annotated[int, Option(help="Cells at a time; -1 for all processors.")]
Quiet = Annotated[bool, Option(help="Print errors, and nothing else.")]


@as_command
def simulate(
    grid: GridFile,
    pool: PoolFile,
    out: SimulateOut,
    vectors: Vectors = None,
    column: Columns = None,
    encoder: EncoderName = "minilm",
    cache: TextCache = None,
    jobs: Jobs = 1,
    quiet: Quiet = False,
    config: SimulateConfig = None,
) -> None:
    """Simulate annotators on a pool with gold scores, and compare heads.

    Every combination of design, annotator, budget, head and seed is a cell:
    pairs are drawn and labelled, the head is fitted, and evaluated on
    held-out prompts. Finished cells are kept in --out: a run that was
    stopped continues, a larger grid computes what is new.

    Exits with 1 where a cell failed. A grid file:

    designs:
      - same-prompt
      - mixed-prompt: {share: 0.5}
    annotators:
      - perfect
      - bradley-terry: {error_rate: [0.1, 0.2, 0.3]}
    budgets: [1000, 5000]
    heads:
      - linear
      - lightgbm: {num_leaves: 15}
    seeds: 3
    test_share: 0.25
    """
    start = time.perf_counter()
    from embrm.datasets.candidate_pools import read_candidates
    from embrm.experiment.config import read_grid

    _check_jobs(jobs)
    read = read_grid(grid)
    candidates = read_candidates(
        pool, vectors, columns=column_map(column), needed=["gold"]
    )
    made = _with_vectors(candidates, encoder, cache or out / "vectors", quiet=quiet)
    experiment = _experiment(read, candidates, made)
    if not quiet:
        say(f"{pool.name}: {made}")
        say(read.describe())
    _keep_grid(grid, out)
    frame = _run(experiment, out, jobs, quiet=quiet)
    _write_table(frame, out)
    pictures = _write_pictures(frame, out, quiet=quiet)
    seconds = time.perf_counter() - start
    _print(frame, read, out, pictures, seconds, quiet=quiet)
    report_failed_cells(frame, out / "results.csv")


def _is_grid(path: Path) -> bool:
    from embrm.experiment.config import KEYS
    from embrm.experiment.grid import read_yaml

    try:
        return not set(KEYS).isdisjoint(read_yaml(path))
    except InvalidInputError:
        return False


def _check_jobs(jobs: int) -> None:
    if jobs == 0:
        raise invalid_input(
            expected="--jobs of 1 or more, or -1 for all processors",
            got="0",
            fix="use --jobs 2 for two cells at a time",
        )


def _with_vectors(
    candidates: "Candidates", encoder: str, cache: Path, *, quiet: bool
) -> "CandidatePool":
    """Take the vectors of the file, else embed its texts."""
    if candidates.vectors is not None or candidates.texts is None:
        return candidates.to_pool()
    from embrm.embed import embed_items

    embedded = embed_items(
        candidates.texts,
        open_encoder(encoder),
        cache,
        progress=False if quiet else None,
    )
    if not quiet:
        say(str(embedded))
    return candidates.to_pool(embedded.vectors)


def _experiment(
    grid: "GridConfig", candidates: "Candidates", pool: "CandidatePool"
) -> "Experiment":
    """Split the pool, and check now that it is large enough for the grid."""
    from embrm.experiment import Experiment

    train, test = grid.split(pool.prompt_ids)
    if candidates.texts is None and candidates.lengths is not None:
        grid = grid.with_lengths(candidates.lengths[train])
    train_pool = pool.take(train)
    grid.check_budgets(train_pool)
    return Experiment(train_pool, pool.take(test), **grid.options)


def _keep_grid(grid: Path, out: Path) -> None:
    from embrm.embed.cache.durable import write_durably

    out.mkdir(parents=True, exist_ok=True)
    kept = out / "grid.yaml"
    if not (kept.exists() and kept.samefile(grid)):
        write_durably(kept, grid.read_bytes())


def _run(
    experiment: "Experiment", out: Path, jobs: int, *, quiet: bool
) -> "pd.DataFrame":
    try:
        return experiment.run(out, n_jobs=jobs, progress=False if quiet else None)
    except KeyboardInterrupt:
        words = f"stopped; finished cells are kept in {out}: run again to go on"
        raise KeyboardInterrupt(words) from None


def _write_table(frame: "pd.DataFrame", out: Path) -> None:
    from embrm.embed.cache.durable import output_file, output_text

    with output_text(out / "results.csv") as text:
        frame.to_csv(text, index=False)
    with output_file(out / "results.parquet") as file:
        frame.to_parquet(file, index=False)


def _write_pictures(frame: "pd.DataFrame", out: Path, *, quiet: bool) -> list[Path]:
    """Draw what the grid varies; without matplotlib, print that there are no plots."""
    from embrm.cli.simulate_output import write_pictures
    from embrm.exceptions import MissingDependencyError

    try:
        return write_pictures(frame, out)
    except MissingDependencyError as error:
        if not quiet:
            say(f"no pictures: {error}")
        return []


def _print(
    frame: "pd.DataFrame",
    grid: "GridConfig",
    out: Path,
    pictures: list[Path],
    seconds: float,
    *,
    quiet: bool,
) -> None:
    from embrm.cli.simulate_output import json_table, make_tables

    emit(
        {
            "cells": grid.n_cells,
            "failed": int((frame["error_type"] != "").sum()),
            "table": json_table(frame),
            "out": str(out),
            "pictures": [str(path) for path in pictures],
            "seconds": seconds,
        }
    )
    if quiet:
        return
    if not wants_json():
        say("\nOrder consistency with gold on held-out prompts, mean over seeds:")
        for title, section in make_tables(frame):
            say(f"\n{title}" if title else "")
            print_table(section)
    n_warned = int((frame["warnings"] != "").sum())
    if n_warned:
        words = f"\n{n_warned} cells gave warnings: see that column of the results."
        say(words)
    names = ", ".join(path.name for path in [Path("results.csv"), *pictures])
    say(f"\nIn {out}: {names}, results.parquet, grid.yaml")
    say(f"Done in {seconds:.1f} s.")
