"""The command of this folder: `python -m benchmarks.paper`, from the root."""

import time
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from benchmarks.paper.claims import Claim
from benchmarks.paper.findings import (
    find,
    read_verdicts,
    verdict_table,
    write_tables,
)
from benchmarks.paper.grids import (
    FULL,
    MIDDLE,
    QUICK,
    STUDIES,
    Part,
    parts_of,
    run_part,
)
from benchmarks.paper.pictures import write_pictures
from benchmarks.paper.pools import VECTORS, PoolFacts, Split, make_splits, views_of
from embrm import CandidatePool
from embrm.cli.options import AsJson, Columns, Debug, EncoderName, column_map
from embrm.cli.output import emit, reporting, say, wants_json
from embrm.cli.simulate_output import report_failed_cells
from embrm.datasets import read_candidates
from embrm.embed import embed_items, make_encoder
from embrm.exceptions import (
    MissingDependencyError,
    invalid_input,
)

_ROOT = Path(__file__).parents[2]
_QUICKSTART = _ROOT / "data" / "quickstart.jsonl"

PaperPool = Annotated[
    Path | None,
    typer.Option(
        "--pool",
        help="Parquet, JSONL or CSV file, one row per item: prompt_id (or prompt), "
        "gold, and vector or response. The graded responses of data/quickstart.jsonl "
        "by default.",
        show_default=False,
    ),
]
PaperVectors = Annotated[
    Path | None,
    typer.Option(
        "--vectors",
        help=".npy or .safetensors file, one row per item. Without it: the column "
        "vector, else the texts are embedded.",
        show_default=False,
    ),
]
PaperOut = Annotated[
    Path, typer.Option("--out", help="Directory for findings, tables and pictures.")
]
Cells = Annotated[
    Path | None,
    typer.Option(
        "--cells",
        help="Directory where finished cells are kept; runs go on there. OUT/runs by "
        "default.",
        show_default=False,
    ),
]
Studies = Annotated[
    str,
    typer.Option(
        "--studies",
        help="a: heads by noise and budget; b: same- or cross-prompt pairs; "
        "c: similar or diverse responses.",
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick/--full", help="Small grids that take a minute.")
]
Middle = Annotated[
    bool,
    typer.Option(
        "--middle", help="Grids of a third of the time: fewer levels, fewer pairs."
    ),
]
About = Annotated[
    str,
    typer.Option(
        "--about",
        help="What readers must know of the pool, its gold and its vectors: sentences "
        "for the findings.",
        show_default=False,
    ),
]
Beside = Annotated[
    Path | None,
    typer.Option(
        "--beside",
        help="Directory of another run, such as one on other vectors, whose verdicts "
        "are shown beside ours.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", help="Cells at a time; -1 for all processors.")
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        min=1,
        help="Number of seeds: 10, or 2 with --quick, by default.",
        show_default=False,
    ),
]


def paper(
    pool: PaperPool = None,
    vectors: PaperVectors = None,
    column: Columns = None,
    encoder: EncoderName = "minilm",
    out: PaperOut = Path("build/paper"),
    cells: Cells = None,
    studies: Studies = "a,b,c",
    quick: Quick = False,
    middle: Middle = False,
    about: About = "",
    beside: Beside = None,
    jobs: Jobs = -1,
    seeds: Seeds = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run the studies of arXiv 2411.04991 on a pool with gold scores.

    Simulated annotators label pairs of the pool; heads are fitted on these
    and evaluated on held-out prompts. Writes FINDINGS.md, which says for each
    of the paper's claims whether it holds on this pool, with tables and
    pictures. Finished cells are kept: a run that was stopped goes on.

    Exits with 1 where a cell failed.
    """
    with reporting(debug=debug, as_json=as_json):
        start = time.perf_counter()
        wanted = _check(studies, jobs)
        others = None if beside is None else read_verdicts(beside)
        source = _QUICKSTART if pool is None else pool
        columns = {"gold": "score"} if pool is None else column_map(column)
        made = _read_pool(source, vectors, columns, encoder, out / "vectors")
        preset = QUICK if quick else MIDDLE if middle else FULL
        views = {
            name: make_splits(view, range(seeds or preset.n_seeds))
            for name, view in views_of(made).items()
        }
        splits = views[VECTORS]
        parts = [
            part
            for study in wanted
            for part in parts_of(study, splits, preset)
            if part.view in views
        ]
        say(f"{source.name}: {made}")
        _say_size(parts, len(splits))
        frame = _run(parts, views, cells or out / "runs", jobs)
        facts = PoolFacts.of(made, source.stem, about)
        claims = _write(frame, facts, others, out)
        seconds = time.perf_counter() - start
        _print(frame, claims, out, seconds)
        report_failed_cells(frame, out / "cells.csv")


def _read_pool(
    source: Path,
    vectors: Path | None,
    columns: dict[str, str] | None,
    encoder: str,
    cache: Path,
) -> CandidatePool:
    """Take the vectors of the file, else embed its texts."""
    candidates = read_candidates(source, vectors, columns=columns, needed=["gold"])
    if candidates.vectors is not None or candidates.texts is None:
        return candidates.to_pool()
    embedded = embed_items(candidates.texts, make_encoder(encoder), cache)
    return candidates.to_pool(embedded.vectors)


def _check(studies: str, jobs: int) -> list[str]:
    """Read the list of studies; refuse what is no number of jobs."""
    wanted = [word.strip() for word in studies.split(",") if word.strip()]
    if not wanted or not set(wanted) <= set(STUDIES):
        raise invalid_input(
            expected=f"--studies from {', '.join(STUDIES)}",
            got=repr(studies)[:40],
            fix="write --studies a, or --studies a,b,c for all",
        )
    if jobs == 0:
        raise invalid_input(
            expected="--jobs of 1 or more, or -1 for all processors",
            got="0",
            fix="use --jobs 2 for two cells at a time",
        )
    return [study for study in STUDIES if study in wanted]


def _say_size(parts: list[Part], n_seeds: int) -> None:
    total = sum(part.n_cells for part in parts) * n_seeds
    say(f"{total:,} cells in all:")
    for part in parts:
        say(f"  {part.name}, {part.title}: {part.describe(n_seeds)}")


def _run(
    parts: list[Part], views: dict[str, list[Split]], directory: Path, jobs: int
) -> pd.DataFrame:
    frames = []
    try:
        for part in parts:
            start = time.perf_counter()
            splits = views[part.view]
            frames.append(run_part(part, splits, directory, n_jobs=jobs))
            minutes = (time.perf_counter() - start) / 60
            words = f"{part.name}: {len(frames[-1]):,} cells in {minutes:.1f} min"
            say(words)
    except KeyboardInterrupt:
        words = f"stopped; finished cells are kept in {directory}: run again to go on"
        raise KeyboardInterrupt(words) from None
    return pd.concat(frames, ignore_index=True)


def _write(
    frame: pd.DataFrame, facts: PoolFacts, others: pd.DataFrame | None, out: Path
) -> list[Claim]:
    """Write tables, pictures and findings."""
    out.mkdir(parents=True, exist_ok=True)
    write_tables(frame, out)
    pictures: list[Path] = []
    try:
        pictures = write_pictures(frame, out)
    except MissingDependencyError as error:
        say(f"no pictures: {error}")
    findings = find(frame, facts, pictures, others)
    (out / "FINDINGS.md").write_text(findings.text, encoding="utf-8")
    verdicts = verdict_table(findings.claims)
    verdicts.to_csv(out / "verdicts.csv", index=False, float_format="%.6g")
    return findings.claims


def _print(frame: pd.DataFrame, claims: list[Claim], out: Path, seconds: float) -> None:
    place = out / "FINDINGS.md"
    if wants_json():
        emit(
            {
                "cells": len(frame),
                "failed": int((frame["error_type"] != "").sum()),
                "claims": [_json(claim) for claim in claims],
                "findings": str(place),
                "seconds": seconds,
            }
        )
    else:
        # No table: where it is too wide, columns would be cut off.
        say("\nClaims, and the paired differences that they are judged by:")
        for claim in claims:
            numbers = f"{claim.verdict:<16}  {claim.estimate!s:<27}"
            say(f"{claim.study}  {numbers}  {claim.words}")
    say(f"\nFindings: {place}; tables and pictures beside it.")
    say(f"Done in {seconds:.1f} s.")


def _json(claim: Claim) -> dict[str, Any]:
    estimate = claim.estimate
    numbers = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    numbers["p"] = claim.p
    known = {name: None if x != x else x for name, x in numbers.items()}
    words = {"study": claim.study, "claim": claim.words, "verdict": str(claim.verdict)}
    return words | known | {"of_paper": claim.of_paper, "cells": claim.cells}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(paper)

if __name__ == "__main__":
    app()
