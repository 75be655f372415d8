"""`embrm evaluate`: how good a saved model is on a preference file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from embrm.cli.embed import Prefs
from embrm.cli.inputs import open_model, read_and_say
from embrm.cli.options import CacheDir, Reading, ReportOut, Seed, as_command
from embrm.cli.output import emit, say

_ABOUT_STYLE = """
Order consistency by part of the reward. Style is length, lists, headings and markup;
net of style is the reward without the part that goes with these:"""

ModelDir = Annotated[Path, typer.Argument(help="Directory that `embrm fit` wrote.")]
OtherEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Where the model's encoder is found now; another one is refused.",
        show_default=False,
    ),
]

By = Annotated[
    str | None,
    typer.Option(
        "--by",
        help="Column whose values are evaluated apart, e.g. subset or language.",
        show_default=False,
    ),
]

Probe = Annotated[
    int,
    typer.Option(
        "--probe",
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
            "too where the prompts of this file stand in these columns",
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
    for table in probes.values():
        say(f"\n{table.round(3).to_string()}")
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
