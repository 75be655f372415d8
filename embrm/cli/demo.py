"""`embrm demo`: the main job on the quickstart data, from texts to a report."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from embrm.cli.inputs import open_encoder, read_and_say
from embrm.cli.options import AsJson, Config, Debug, EncoderName, Seed
from embrm.cli.output import console, emit, reporting, say

_FOLDS = 5
HEADS = ("linear", "siamese", "mlp", "lightgbm", "xgboost")

DemoOut = Annotated[Path, typer.Option("--out", help="Directory for what it makes.")]
DemoData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Preference file; data/quickstart.jsonl by default.",
        show_default=False,
    ),
]


def demo(
    out: DemoOut = Path("demo"),
    data: DemoData = None,
    encoder: EncoderName = "minilm",
    seed: Seed = 0,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Embed the quickstart data, compare five heads, write a report."""
    with reporting(debug=debug, as_json=as_json):
        start = time.perf_counter()
        from embrm.model import RewardModel
        from embrm.persist import check_destination, save_model
        from embrm.report import quickstart_path, write_report

        source = data or quickstart_path()
        check_destination(out / "model")
        model = RewardModel(open_encoder(encoder), cache=out / "cache")
        preferences = model.read(
            read_and_say(source, as_json=as_json, prefix="1. Data: ")
        )
        say(f"   {len(preferences)} same-prompt pairs", as_json=as_json)
        embedded = model.embed(preferences.texts)
        say(f"2. Vectors: {embedded}", as_json=as_json)
        pairs = preferences.to_pairs(embedded.vectors)
        folds = min(_FOLDS, int(preferences.items["prompt_id"].nunique()))
        board = _compare(preferences, pairs, seed)
        if not as_json:
            words = f"3. Heads, held out by prompt in {folds} folds; "
            say(words + "95% intervals over prompts:")
            console().print(board.to_table())
            say("   (=: cannot be told from the best head on these prompts)")
        model.set_params(head=_heads(seed)[board.best])
        model.fit_pairs(preferences, pairs)
        held_out = {"folds": folds, **board.evaluations[board.best].to_json()}
        save_model(model, out / "model", metrics={"held_out": held_out})
        report = write_report(
            out / "report.html", board, preferences, embedded, model.fingerprint_
        )
        say(f"4. Report: {report}", as_json=as_json)
        say(f"   Best head, fitted on all pairs: {out / 'model'}", as_json=as_json)
        seconds = time.perf_counter() - start
        say(f"Done in {seconds:.1f} s.", as_json=as_json)
        if as_json:
            emit(
                {
                    "leaderboard": board.to_json(),
                    "embedded": embedded.to_json(),
                    "report": str(report),
                    "model": str(out / "model"),
                    "seconds": seconds,
                }
            )


def _heads(seed: int) -> dict[str, Any]:
    from embrm.heads import make_head

    return {name: make_head(name, random_state=seed) for name in HEADS}


def _compare(preferences: Any, pairs: Any, seed: int) -> Any:
    from embrm.embed.progress import progress_bar
    from embrm.report import make_leaderboard

    heads = _heads(seed)
    with progress_bar("Fitting heads", total=_FOLDS * len(heads)) as advance:
        return make_leaderboard(
            preferences,
            pairs,
            heads,
            n_splits=_FOLDS,
            random_state=seed,
            after_fit=advance,
        )
