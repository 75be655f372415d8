"""`embrm embed`: put the vectors of a preference file into a cache."""

from typing import Annotated

import typer

from embrm.cli.options import (
    AsJson,
    CacheDir,
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


def embed(
    prefs: Prefs,
    encoder: EncoderName = "minilm",
    cache: CacheDir = None,
    format: Format = None,  # noqa: A002
    column: Columns = None,
    on_error: OnError = "skip-uninformative",
    max_rows: MaxRows = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Embed every prompt-response of a file and keep the vectors."""
    if cache is None:
        raise typer.BadParameter("--cache DIR is needed: that is where vectors go")
    with reporting(debug=debug, as_json=as_json):
        from embrm.model import RewardModel

        options = read_options(format, column, on_error, max_rows)
        preferences = read_and_say(prefs, as_json=as_json, **options)
        model = RewardModel(encoder, cache=cache)
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
