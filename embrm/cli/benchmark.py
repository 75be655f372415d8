"""`embrm benchmark`: the official score of a public benchmark, with intervals."""

from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from embrm.cli.evaluate import OtherEncoder, comparison_table
from embrm.cli.inputs import open_model
from embrm.cli.options import CacheDir, Seed, as_command
from embrm.cli.output import emit, json_rows, print_table, say, table, wants_json
from embrm.cli.score import check_ending, write_rows
from embrm.exceptions import DataError, InvalidInputError, invalid_input

if TYPE_CHECKING:
    import pandas as pd

    from embrm.evaluate.suites import SuiteResult

BenchmarkModel = Annotated[
    Path | None,
    Argument(help="Directory that `embrm fit` wrote; not needed with --scores."),
]
SuiteName = Annotated[str, Option(help="Name of the benchmark, e.g. rm-bench.")]
SuiteData = Annotated[
    list[Path],
    Option(help="The benchmark's own file, or a directory of them; may be repeated."),
]
Scores = Annotated[
    list[Path] | None,
    Option(
        help="Score table from anywhere (id, item, reward; or id, order, winner; or "
        "id, preference), or a results file of the benchmark's own code; nothing is "
        "embedded then. Several make a leaderboard."
    ),
]
Aggregate = Annotated[
    str | None,
    Option(help="How rewards of steps become one: min, max, prod, mean, last, ..."),
]
SuiteVersion = Annotated[str | None, Option(help="Version of its scoring.")]
ScoresOut = Annotated[
    Path | None, Option(help="Where the score table goes (.jsonl, .csv or .parquet).")
]
# Where a benchmark's files do not name the part they are, their names do.
_PART_OF_FILE = {"rm-bench": "domain", "llmbar": "subset"}
_LONG_NAME = 40
_ENDINGS = (".json", ".jsonl", ".csv", ".parquet")


@as_command
def benchmark(
    suite: SuiteName,
    data: SuiteData,
    model_dir: BenchmarkModel = None,
    scores: Scores = None,
    suite_version: SuiteVersion = None,
    aggregate: Aggregate = None,
    out: ScoresOut = None,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    seed: Seed = 0,
) -> None:
    """Score a public benchmark officially: the model, or any score table.

    Beside the scores stand their 95% intervals over prompts, a baseline that prefers
    the longer response, and one that knows its words, but not the prompt. What is
    not scored in full is labelled partial.
    """
    from embrm.evaluate.suites import read_results, score_suite

    check_ending(out)
    _check_source(model_dir, scores)
    rows = read_rows(suite, data)
    options = {"version": suite_version, "aggregate": aggregate}
    if scores and len(scores) > 1:
        _leaderboard(suite, rows, scores, options, seed)
        return
    if scores:
        given = read_results(scores[0])
    else:
        given = _rewards(model_dir, suite, rows, cache, encoder)
    result = score_suite(suite, rows, given, **options)
    if out is not None:
        write_rows(given.drop(columns=["prompt", "response"], errors="ignore"), out)
    scored = result.intervals(random_state=seed)
    baselines = _baselines(suite, rows, suite_version)
    _print(result, scored, baselines)
    if wants_json():
        values = result.to_json()
        for name, row in values["table"].items():
            bounds = scored.loc[name, ["low", "high"]]
            row |= {k: None if v != v else float(v) for k, v in bounds.items()}
        emit({**values, "baselines": {n: r.to_json() for n, r in baselines.items()}})


def _leaderboard(
    suite: str,
    rows: "pd.DataFrame",
    files: list[Path],
    options: dict[str, Any],
    seed: int,
) -> None:
    """Rank several score tables by their headline."""
    from embrm.evaluate.suites import compare_results, read_results, score_suite

    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        names = [str(file) for file in files]
    elif max(map(len, names)) > _LONG_NAME:
        names = _without_common_start(names)
    results = {
        name: score_suite(suite, rows, read_results(file), **options)
        for name, file in zip(names, files, strict=True)
    }
    ranked = compare_results(results, random_state=seed)
    if wants_json():
        emit({"suite": suite, "models": list(json_rows(ranked.reset_index()))})
        return
    print_table(comparison_table(ranked, "overall", 4))
    say("Models that share a letter do not differ beyond noise.")


def _without_common_start(names: list[str]) -> list[str]:
    """Leave out what the names of a benchmark's result files begin with alike.

    Examples
    --------
    >>> _without_common_start(["suite=a,judge=x-1", "suite=a,judge=x-2"])
    ['x-1', 'x-2']
    """
    start = commonprefix(names)  # noqa: RUF071
    return [name[1 + max(map(start.rfind, "=,/ ")) :] for name in names]


def _check_source(model_dir: Path | None, scores: list[Path] | None) -> None:
    if (model_dir is None) == (not scores):
        raise invalid_input(
            expected="a model's directory, or --scores FILE",
            got="both" if scores else "neither",
            fix="name one of them",
        )


def read_rows(suite: str, paths: list[Path]) -> "pd.DataFrame":
    """Read a benchmark's files into one frame of its own rows.

    Files of RM-Bench's domains and LLMBar's subsets, which do not say what they are,
    get a column that does, by their names, where there are several.
    """
    import pandas as pd

    from embrm.evaluate.suites import read_results

    files = [file for path in paths for file in _files(path)]
    frames = [read_results(file) for file in files]
    column = _PART_OF_FILE.get(suite)
    if column is not None and len(files) > 1:
        frames = [
            f if column in f else f.assign(**{column: _part(suite, file)})
            for f, file in zip(frames, files, strict=True)
        ]
    return pd.concat(frames, ignore_index=True)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(f for f in path.rglob("*") if f.suffix in _ENDINGS)
    if not found:
        raise DataError.of(
            expected=f"files that end in {', '.join(_ENDINGS)} in {path}",
            got="none",
            fix="name the benchmark's file or its directory",
            reason="no files",
        )
    return found


def _part(suite: str, file: Path) -> str:
    if suite == "llmbar":
        return file.parent.name if file.stem == "dataset" else file.stem
    words = file.stem.replace("rmbench_", "").removesuffix("_filtered")
    return words.replace("_", "-")


def _rewards(
    model_dir: Path | None,
    suite: str,
    rows: "pd.DataFrame",
    cache: str | None,
    encoder: str | None,
) -> "pd.DataFrame":
    """Reward the responses of a benchmark by a saved model."""
    import numpy as np

    from embrm.evaluate.suites import suite_items
    from embrm.model.items import prompt_hashes

    items = suite_items(suite, rows)
    if model_dir is None:
        return items
    model = open_model(model_dir, cache, encoder)
    said = items["response"].map(
        lambda text: isinstance(text, str) and bool(text.strip())
    )
    if not said.all():
        say(f"{int((~said).sum())} empty responses get no reward")
    hashes = np.unique(prompt_hashes(items["prompt"]))
    seen = int(np.isin(hashes, model.training_prompts_).sum())
    if seen:
        say(
            f"{seen} of {len(hashes)} prompts are among those the head was fitted on: "
            "these scores are optimistic"
        )
    return items.join(model.reward(items.loc[said, ["prompt", "response"]]))


def _baselines(
    suite: str, rows: "pd.DataFrame", version: str | None
) -> dict[str, "SuiteResult"]:
    """Score the baselines that know no prompt, where the rows have texts."""
    from embrm.evaluate.suites import (
        length_scores,
        score_suite,
        suite_items,
        word_scores,
    )

    try:
        items = suite_items(suite, rows)
    except InvalidInputError:
        return {}
    tables = {"length": length_scores(items), "words": word_scores(items)}
    return {
        name: score_suite(suite, rows, scores, version=version)
        for name, scores in tables.items()
        if scores is not None
    }


def _print(
    result: "SuiteResult", scored: "pd.DataFrame", baselines: dict[str, "SuiteResult"]
) -> None:
    say(f"{result.suite} ({result.version}): {result.headline}")
    columns = {"score of": "left", "score": "right", "95% interval": "left"}
    columns |= dict.fromkeys(baselines, "right") | {"rows": "right"}
    lines = []
    # What there are no rows of is in the headline.
    for name, row in scored[scored["expected"] > 0].iterrows():
        bounds = (
            "" if row["low"] != row["low"] else f"[{row['low']:.3f}, {row['high']:.3f}]"
        )
        shares = [_score(r.table["score"].get(name)) for r in baselines.values()]
        rows = f"{row['rows']:,}"
        if row["rows"] != row["expected"] or row["partial"]:
            rows = f"{row['rows']:,} of {row['expected']:,}"
        lines.append([str(name), _score(row["score"]), bounds, *shares, rows])
    print_table(table(columns, lines))
    legend = {
        "length": "length: a baseline that prefers the longer response.",
        "words": "words: TF-IDF of responses without their prompts, fitted on the "
        "benchmark's other rows.",
    }
    notes = [*result.notes, *(legend[name] for name in baselines)]
    for note in [*notes, *_published(result.suite)]:
        say(note)


def _published(suite: str) -> list[str]:
    """Write published headlines of all rows in a line, with their source."""
    from embrm.evaluate.suites import published_scores

    known = published_scores(suite)
    known = known[known["name"] == "overall"]
    if known.empty:
        return []
    figures = zip(known["model"], known["score"], strict=True)
    listed = ", ".join(f"{model} {score:.3f}" for model, score in figures)
    return [f"published, of all rows: {listed} ({known['source'].iloc[0]})."]


def _score(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.4f}"
