"""`embrm compare`: saved models on one preference file, and which really differ."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embrm.cli.inputs import open_model, read_and_say
from embrm.cli.options import CacheDir, Reading, ReportOut, Seed, as_command
from embrm.cli.output import emit, json_rows, print_table, say, table, wants_json
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    import pandas as pd

Models = Annotated[
    list[Path], typer.Argument(help="Directories that `embrm fit` wrote: two or more.")
]
CompareData = Annotated[
    str, typer.Option("--data", help="Preference file that all of them order.")
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        help="Model, named in advance, that differences are to; the best by default.",
        show_default=False,
    ),
]


_LEGEND = (
    "Models that share a letter do not differ beyond noise; differences are to "
    "the best, or to --reference. Embedded: tokens that were not in the cache."
)


@as_command
def compare(
    *,
    models: Models,
    data: CompareData,
    reference: Reference = None,
    report: ReportOut = None,
    cache: CacheDir = None,
    reading: Reading,
    seed: Seed = 0,
) -> None:
    """Compare saved models on the pairs whose prompts none of them was fitted on.

    Models that share a letter do not differ beyond noise, the best having been
    chosen on the same pairs.
    """
    from embrm.datasets.paired import read_pairs
    from embrm.evaluate.comparison import compare as compare_models
    from embrm.report import comparison_report

    names = _names(models)
    opened = {
        name: open_model(path, cache, None)
        for name, path in zip(names, models, strict=True)
    }
    options = reading.options()
    preferences = read_pairs(read_and_say(data, **options))
    preferences = _unseen(opened, preferences)
    deltas, costs = {}, {}
    for name, path in zip(names, models, strict=True):
        deltas[name], costs[name] = _scored(opened[name], preferences)
        costs[name]["bytes"] = _size(path)
    compared = compare_models(
        deltas, preferences, costs=costs, reference=reference, random_state=seed
    )
    told = comparison_report(compared)
    if report is not None:
        told.to_html(report)
    say(told.verdict)
    if wants_json():
        rows = list(json_rows(compared.reset_index()))
        facts = {str(name): value for name, value in compared.attrs.items()}
        emit({"verdict": told.verdict, "models": rows, **facts})
    else:
        print_table(_as_table(compared))
        print_table(_costs(compared))
        say(_LEGEND)


def _names(models: list[Path]) -> list[str]:
    """Name models by their directories, or by whole paths where those are equal."""
    if len(models) < 2:
        raise invalid_input(
            expected="two models or more",
            got=str(len(models)),
            fix="name the directories of those to compare",
        )
    short = [path.resolve().name for path in models]
    names = short if len(set(short)) == len(short) else [str(p) for p in models]
    if len(set(names)) < len(names):
        raise invalid_input(
            expected="different models",
            got="one of them twice",
            fix="name each once",
        )
    return names


def _unseen(models: dict[str, Any], preferences: Any) -> Any:
    """Leave out the pairs of prompts that any model was fitted on, if others remain."""
    seen = [model.seen_pairs(preferences) for model in models.values()]
    any_seen = sum(seen) > 0
    if not any_seen.any():
        return preferences
    if any_seen.all():
        say(
            "Every pair has a prompt a model was fitted on: figures are optimistic.",
        )
        return preferences
    say(
        f"{int(any_seen.sum())} of {len(any_seen)} pairs left out: a model was fitted "
        "on their prompts.",
    )
    return preferences.take_pairs(~any_seen)


def _scored(model: Any, preferences: Any) -> tuple[Any, dict[str, float]]:
    """Compute a model's deltas, and what they cost."""
    start = time.perf_counter()
    model.check_encoder()
    embedded = model.embed(preferences.texts)
    deltas = model.head_.decision_function(preferences.to_pairs(embedded.vectors))
    seconds = time.perf_counter() - start
    fitting = model.fit_seconds_
    return deltas, {
        "fit_seconds": math.nan if fitting is None else fitting,
        "score_seconds": seconds,
        "tokens_embedded": embedded.n_tokens,
    }


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def _seconds(value: float) -> str:
    """Write seconds; models of earlier versions do not say how long they took."""
    return "unknown" if math.isnan(value) else f"{value:.2f} s"


def _as_table(compared: "pd.DataFrame") -> Any:
    columns = {
        "model": "left",
        "group": "left",
        "order consistency": "left",
        "difference": "left",
        "p of being best": "right",
    }
    lines = []
    for name, row in compared.iterrows():
        low, high = row["difference_low"], row["difference_high"]
        lines.append(
            [
                str(name),
                row["group"],
                f"{row['order_consistency']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
                f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]",
                f"{row['p_best']:.3f}",
            ]
        )
    return table(columns, lines)


def _costs(compared: "pd.DataFrame") -> Any:
    """Make a table of its own of what models cost: one would be too wide."""
    columns = {"cost of": "left", "size on disk": "right", "tokens embedded": "right"}
    columns |= {"time to fit": "right", "time to score": "right"}
    lines = [
        [
            str(name),
            f"{row['bytes'] / 1e6:.2f} MB",
            f"{row['tokens_embedded']:,.0f}",
            _seconds(row["fit_seconds"]),
            _seconds(row["score_seconds"]),
        ]
        for name, row in compared.iterrows()
    ]
    return table(columns, lines)
