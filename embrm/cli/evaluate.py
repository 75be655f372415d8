"""`embrm evaluate` and `compare`: how good one model is, and which of several are."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from embrm.cli.inputs import open_model, read_and_say
from embrm.cli.options import CacheDir, Reading, ReportOut, Seed, as_command
from embrm.cli.output import emit, json_rows, print_table, say, table, wants_json
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    import pandas as pd


from embrm.cli.embed import Prefs

_ABOUT_STYLE = """
Order consistency by part of the reward. Style is length, lists, headings and markup;
net of style is the reward without the part that goes with these:"""

ModelDir = Annotated[Path, Argument(help="Directory that `embrm fit` wrote.")]
OtherEncoder = Annotated[
    str | None,
    Option(help="Where the model's encoder is found now; another one is refused."),
]

By = Annotated[
    str | None,
    Option(help="Column whose values are evaluated apart, e.g. subset or language."),
]

Probe = Annotated[
    int,
    Option(
        min=0,
        help="Prompts on which to probe the model: changes that should not matter, and "
        "answers that are none. Embeds 14 new texts for each.",
    ),
]


@as_command
def evaluate(
    *,
    model_dir: ModelDir,
    prefs: Prefs,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    reading: Reading,
    by: By = None,
    report: ReportOut = None,
    probe: Probe = 0,
    seed: Seed = 0,
) -> None:
    """Evaluate a saved model: every metric with a 95% interval over prompts.

    Pairs whose prompts the head was fitted on are left out. Where no others
    are left, all are evaluated, and the output says so.
    """
    from embrm.datasets.paired import read_pairs
    from embrm.persist import read_manifest
    from embrm.report import style_table

    model = open_model(model_dir, cache, encoder)
    options = reading.options()
    template = model.training_.get("prompt_template")
    if template is not None and options["prompt_template"] is None:
        say(
            f"the model was fitted with --prompt-template {template!r}: pass it "
            "too where the prompts of this file stand in these columns"
        )
    preferences = read_pairs(read_and_say(prefs, **options))
    seen = model.seen_pairs(preferences)
    on_training = bool(seen.all())
    unseen = preferences if on_training else preferences.take_pairs(~seen)
    evaluation = model.evaluate_preferences(unseen, by=by, random_state=seed)
    metrics = read_manifest(model_dir)["training"]["metrics"]
    say(_what_was_seen(seen, on_training=on_training))
    say(str(evaluation))
    style = _style(model, unseen, seed)
    if style:
        say(_ABOUT_STYLE)
        say(style_table(style))
    probes = _probes(model, unseen, probe, seed)
    for probed in probes.values():
        say(f"\n{probed.round(3).to_string()}")
    if report is not None:
        from embrm.report import report_of_model

        n_seen = int(seen.sum()) if on_training else 0
        made = report_of_model(model, unseen, by=by, n_seen=n_seen, random_state=seed)
        made.to_html(report)
        say(f"\nReport: {report}")
    if on_training and "held_out" in metrics:
        say(_held_out_at_fit(metrics["held_out"]))
    emit(
        {
            **evaluation.to_json(),
            "style": {
                name: each.to_json()["order_consistency"]
                for name, each in style.items()
            },
            "account": preferences.read_report.to_json(),
            "n_pairs_seen_in_training": int(seen.sum()),
            "on_training_prompts": on_training,
            "held_out_at_fit": metrics.get("held_out"),
            **{name: t.to_dict("index") for name, t in probes.items()},
        }
    )


def _probes(model: Any, preferences: Any, n: int, seed: int) -> dict[str, Any]:
    """Measure what changes and non-answers do to rewards, on so many prompts."""
    if not n:
        return {}
    from embrm.evaluate.bias import audit_kinds, audit_perturbations, one_pair_a_prompt

    pairs = one_pair_a_prompt(preferences, n, seed)
    items = pairs.rename(columns={"chosen": "response"})
    return {
        "kinds": audit_kinds(model.reward, pairs, random_state=seed),
        "changes": audit_perturbations(model.reward, items),
    }


def _style(model: Any, preferences: Any, seed: int) -> dict[str, Any]:
    """Evaluate what is style; nothing for models saved before that was measured."""
    if "style" not in model.training_:
        return {}
    found: dict[str, Any] = model.evaluate_style(preferences, random_state=seed)
    return found


def _what_was_seen(seen: Any, *, on_training: bool) -> str:
    n_seen, n_pairs = int(seen.sum()), len(seen)
    if on_training:
        return (
            f"\nEvery one of the {n_pairs} pairs has a prompt that the head was fitted "
            "on:\nthese figures are optimistic."
        )
    left_out = (
        f", {n_seen} left out because the head was fitted on their prompts"
        if n_seen
        else ""
    )
    return f"\nHeld out: {n_pairs - n_seen} pairs with new prompts{left_out}."


def _held_out_at_fit(held_out: dict[str, Any]) -> str:
    interval = held_out["order_consistency"]
    bounds = "no interval"
    if interval["low"] is not None:
        bounds = f"[{interval['low']:.3f}, {interval['high']:.3f}]"
    return (
        f"\nHeld out ({held_out['folds']}-fold cross-validation when it was fitted): "
        f"order consistency {interval['estimate']:.3f} {bounds}"
    )


Models = Annotated[
    list[Path], Argument(help="Directories that `embrm fit` wrote: two or more.")
]
CompareData = Annotated[str, Option(help="Preference file that all of them order.")]
Reference = Annotated[
    str | None,
    Option(
        help="Model, named in advance, that differences are to; the best by default."
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
        print_table(comparison_table(compared, "order_consistency"))
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
            expected="different models", got="one of them twice", fix="name each once"
        )
    return names


def _unseen(models: dict[str, Any], preferences: Any) -> Any:
    """Leave out the pairs of prompts that any model was fitted on, if others remain."""
    seen = [model.seen_pairs(preferences) for model in models.values()]
    any_seen = sum(seen) > 0
    if not any_seen.any():
        return preferences
    if any_seen.all():
        say("Every pair has a prompt a model was fitted on: figures are optimistic.")
        return preferences
    say(
        f"{int(any_seen.sum())} of {len(any_seen)} pairs left out: a model was fitted "
        "on their prompts."
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


def comparison_table(compared: "pd.DataFrame", measure: str, digits: int = 3) -> Any:
    """Make the table of models from best to worst, by a column of theirs."""
    headings = ("model", "group", measure.replace("_", " "), "difference")
    lines = []
    for name, row in compared.iterrows():
        apart = f"[{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
        lines.append(
            [
                str(name),
                row["group"],
                f"{row[measure]:.{digits}f} [{row['low']:.3f}, {row['high']:.3f}]",
                f"{row['difference']:+.{digits}f} {apart}",
                f"{row['p_best']:.3f}",
            ]
        )
    return table({**dict.fromkeys(headings, "left"), "p of being best": "right"}, lines)


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
