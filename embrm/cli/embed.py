"""`embrm embed`: put the vectors of a preference file into a cache."""

from pathlib import Path
from typing import Annotated

import typer

from embrm.cli.opening import open_encoder
from embrm.cli.options import (
    AsJson,
    Columns,
    Config,
    Debug,
    EncoderName,
    Format,
    MaxRows,
    OnError,
    read_options,
)
from embrm.cli.output import emit, reporting, say
from embrm.cli.reading import read_and_say

Prefs = Annotated[
    str,
    typer.Argument(help="JSONL, JSON, CSV or Parquet file, hf:owner/name, or -."),
]
NeededCache = Annotated[
    Path, typer.Option("--cache", help="Directory where vectors are kept.")
]


def embed(
    prefs: Prefs,
    cache: NeededCache,
    encoder: EncoderName = "minilm",
    format: Format = None,  # noqa: A002
    column: Columns = None,
    on_error: OnError = "skip-uninformative",
    max_rows: MaxRows = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Embed every prompt-response of a file and keep the vectors."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.model import RewardModel

        options = read_options(format, column, on_error, max_rows)
        model = RewardModel(open_encoder(encoder), cache=cache)
        preferences = read_and_say(prefs, as_json=as_json, **options)
        embedded = model.embed(preferences.texts)
        say(str(embedded), as_json=as_json)
        if as_json:
            emit(
                {
                    "account": preferences.account.to_json(),
                    "encoder": model.encoder_.fingerprint.to_json(),
                    "embedded": embedded.to_json(),
                }
            )
