"""`embrm evaluate`: how good a saved model is on a preference file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from embrm.cli.embed import Prefs
from embrm.cli.inputs import open_model, read_and_say
from embrm.cli.options import (
    AsJson,
    CacheDir,
    Columns,
    Config,
    Debug,
    Format,
    MaxRows,
    OnError,
    Seed,
    read_options,
)
from embrm.cli.output import emit, reporting, say

ModelDir = Annotated[Path, typer.Argument(help="Directory that `embrm fit` wrote.")]
OtherEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Where the model's encoder is found now; another one is refused.",
        show_default=False,
    ),
]


def evaluate(
    model_dir: ModelDir,
    prefs: Prefs,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    format: Format = None,  # noqa: A002
    column: Columns = None,
    on_error: OnError = "skip-uninformative",
    max_rows: MaxRows = None,
    seed: Seed = 0,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Evaluate a saved model: every metric with a 95% interval over prompts.

    Pairs whose prompts the head was fitted on are left out. Where no others
    are left, all are evaluated, and the output says so.
    """
    with reporting(debug=debug, as_json=as_json):
        from embrm.model.frames import read_pairs
        from embrm.persist import read_manifest
        from embrm.report import style_table

        model = open_model(model_dir, cache, encoder)
        options = read_options(format, column, on_error, max_rows)
        preferences = read_pairs(read_and_say(prefs, as_json=as_json, **options))
        seen = model.seen_pairs(preferences)
        on_training = bool(seen.all())
        unseen = preferences if on_training else preferences.take_pairs(~seen)
        evaluation = model.evaluate_preferences(unseen, random_state=seed)
        metrics = read_manifest(model_dir)["training"]["metrics"]
        say(_what_was_seen(seen, on_training=on_training), as_json=as_json)
        say(str(evaluation), as_json=as_json)
        style = _style(model, unseen, seed)
        if style:
            say("\nOrder consistency, and what of it is style:", as_json=as_json)
            say(style_table(style), as_json=as_json)
        if on_training and "held_out" in metrics:
            say(_held_out_at_fit(metrics["held_out"]), as_json=as_json)
        if as_json:
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
                }
            )


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
