"""`embrm score`: rewards of the items in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embrm.cli.evaluate import ModelDir, OtherEncoder
from embrm.cli.options import AsJson, CacheDir, Columns, Config, Debug, column_map
from embrm.cli.output import emit, reporting, say

if TYPE_CHECKING:
    import pandas as pd

Items = Annotated[
    str,
    typer.Argument(help="File with columns prompt and response, or - for JSONL."),
]
ScoreOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Where to write (.jsonl, .csv or .parquet); JSONL to stdout by default.",
        show_default=False,
    ),
]


def score(
    model_dir: ModelDir,
    items: Items,
    out: ScoreOut = None,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    column: Columns = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Add columns reward and rank (1 is best for its prompt) to every row of a file."""
    if out is not None and out.suffix not in (".jsonl", ".csv", ".parquet"):
        raise typer.BadParameter("--out ends in .jsonl, .csv or .parquet")
    with reporting(debug=debug, as_json=as_json):
        from embrm.datasets import read_frame
        from embrm.persist import load_model

        model = load_model(model_dir, cache=cache, encoder=encoder)
        model.set_params(columns=column_map(column))
        ranked = model.rank(read_frame(items))
        summary = {
            "n_items": len(ranked),
            "reward_mean": float(ranked["reward"].mean()),
            "reward_std": float(ranked["reward"].std(ddof=0)),
            "out": None if out is None else str(out),
        }
        if out is None and not as_json:
            ranked.to_json(
                typer.get_text_stream("stdout"),
                orient="records",
                lines=True,
                force_ascii=False,
                double_precision=15,
            )
            return
        if out is None:
            emit({**summary, "items": ranked.to_dict("records")})
            return
        _write(ranked, out)
        say(f"{len(ranked)} items scored, written to {out}", as_json=as_json)
        if as_json:
            emit(summary)


def _write(ranked: "pd.DataFrame", out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".csv":
        ranked.to_csv(out, index=False)
    elif out.suffix == ".parquet":
        ranked.to_parquet(out, index=False)
    else:
        ranked.to_json(
            out, orient="records", lines=True, force_ascii=False, double_precision=15
        )
