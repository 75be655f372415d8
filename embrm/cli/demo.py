"""`embrm demo`: the main job on the quickstart data, from texts to a report."""

import time
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

from typer import Option

from embrm.cli.embed import say_how_long
from embrm.cli.inputs import open_encoder, read_and_say
from embrm.cli.options import DEFAULT_ENCODER, Seed, as_command
from embrm.cli.output import emit, print_table, say, wants_json

_FOLDS = 5
ENCODERS = (DEFAULT_ENCODER, "minilm")
HEADS = ("linear", "siamese", "mlp", "lightgbm", "xgboost")

DemoOut = Annotated[Path, Option(help="Directory for what it makes.")]
DemoData = Annotated[
    Path | None, Option(help="Preference file; data/quickstart.jsonl by default.")
]
DemoEncoders = Annotated[
    list[str] | None,
    Option(
        help=f"Encoder to compare; may be repeated. {', '.join(ENCODERS)} by default."
    ),
]


@as_command
def demo(
    out: DemoOut = Path("demo"),
    data: DemoData = None,
    encoder: DemoEncoders = None,
    seed: Seed = 0,
) -> None:
    """Embed the quickstart data, compare five heads on two encoders, write a report."""
    start = time.perf_counter()
    from embrm.model import RewardModel
    from embrm.persist import check_destination, save_model
    from embrm.report import compare_with_style, quickstart_path, write_report

    source = data or quickstart_path()
    check_destination(out / "model")
    encoders = {n: open_encoder(n) for n in dict.fromkeys(encoder or ENCODERS)}
    models = {n: RewardModel(e, cache=out / "cache") for n, e in encoders.items()}
    preferences = next(iter(models.values())).read(
        read_and_say(source, prefix="1. Data: ")
    )
    say(f"   {len(preferences)} same-prompt pairs")
    say("2. Vectors")
    vectors = {
        name: (
            _embed(name, model, encoders[name], preferences.texts),
            encoders[name].fingerprint,
        )
        for name, model in models.items()
    }
    pairs = {
        name: models[name].to_pairs(preferences, embedded.vectors)
        for name, (embedded, _) in vectors.items()
    }
    folds = min(_FOLDS, int(preferences.items["prompt_id"].nunique()))
    board = _compare(preferences, pairs, seed)
    if not wants_json():
        words = f"3. Heads, held out by prompt in {folds} folds; "
        say(words + "95% intervals over prompts:")
        print_table(board.to_table())
        say("   (=: does not differ from the best head beyond noise)")
    head, _, best_encoder = board.best.partition(" on ")
    model = models[best_encoder].set_params(head=_heads(seed)[head])
    lines = compare_with_style(
        model.head, preferences, pairs[best_encoder], random_state=seed
    )
    say(f"   {board.best}, by what the head sees:")
    say(indent(str(lines), "   "))
    model.fit_pairs(preferences, pairs[best_encoder])
    held_out = {"folds": folds, **board.evaluations[board.best].to_json()}
    save_model(model, out / "model", metrics={"held_out": held_out})
    report = write_report(out / "report.html", board, preferences, vectors)
    say(f"4. Report: {report}")
    say(f"   {board.best}, fitted on all pairs: {out / 'model'}")
    seconds = time.perf_counter() - start
    say(f"Done in {seconds:.1f} s.")
    emit(
        {
            "leaderboard": board.to_json(),
            "style": lines.to_json(),
            "best": {"encoder": best_encoder, "head": head},
            "embedded": {n: done.to_json() for n, (done, _) in vectors.items()},
            "report": str(report),
            "model": str(out / "model"),
            "seconds": seconds,
        }
    )


def _embed(name: str, model: Any, encoder: Any, texts: Any) -> Any:
    """Embed with one encoder, and print its description and the counts."""
    say(f"   {name}: {encoder.fingerprint.describe()}")
    say_how_long(texts, encoder, model.cache)
    embedded = model.embed(texts)
    say(f"   {embedded}")
    return embedded


def _heads(seed: int) -> dict[str, Any]:
    from embrm.heads import make_head

    return {name: make_head(name, random_state=seed) for name in HEADS}


def _compare(preferences: Any, pairs: Any, seed: int) -> Any:
    from embrm.embed.progress import progress_bar
    from embrm.report import make_leaderboard

    heads = _heads(seed)
    n_fits = _FOLDS * len(heads) * len(pairs)
    with progress_bar("Fitting heads", total=n_fits) as advance:
        return make_leaderboard(
            preferences,
            pairs,
            heads,
            n_splits=_FOLDS,
            random_state=seed,
            after_fit=advance,
        )
