"""What commands open and read: preference files, encoders, saved models, caches."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from embrm.cli.output import in_flags, say
from embrm.exceptions import (
    IntegrityError,
    InvalidInputError,
    LeftOutWarning,
    MisreadWarning,
    invalid_input,
)

if TYPE_CHECKING:
    from embrm.datasets import Preferences
    from embrm.embed.cache import VectorCache, VectorStore
    from embrm.embed.registry import KnownEncoder
    from embrm.model import RewardModel

Directory = Annotated[
    str, Argument(help="The cache's directory, or a URI as s3://bucket/dir.")
]
Digest = Annotated[
    str | None,
    Option(help="Digest of an encoder, or its beginning; see `embrm cache info`."),
]


def read_and_say(source: Any, *, prefix: str = "", **options: Any) -> "Preferences":
    """Read preferences and print what was read, kept and left out.

    Parameters
    ----------
    source
        As for `read_preferences`.
    prefix : str, default=""
        Words before the report.
    **options
        As for `read_preferences`.
    """
    from embrm.datasets import read_preferences

    with warnings.catch_warnings():
        # The warnings are in the report, which is printed in any case.
        warnings.simplefilter("ignore", LeftOutWarning)
        warnings.simplefilter("ignore", MisreadWarning)
        preferences = read_preferences(source, **options)
    say(in_flags(f"{prefix}{preferences.read_report}"))
    return preferences


def open_encoder(name: str) -> "KnownEncoder":
    """Make an encoder, and find out now whether its files are there.

    Parameters
    ----------
    name : str
        As `make_encoder` takes it.
    """
    from embrm.embed.registry import make_encoder

    encoder = make_encoder(name)
    _ = encoder.fingerprint
    return encoder


def open_model(
    directory: Path, cache: str | None, encoder: str | None
) -> "RewardModel":
    """Load a saved model, and find out now whether its encoder is there.

    Parameters
    ----------
    directory : Path
    cache : str, optional
    encoder : str, optional
        Where the model's encoder is found now.
    """
    from embrm.persist import load_model

    model = load_model(directory, cache=cache, encoder=encoder)
    try:
        model.check_encoder()
    except InvalidInputError as error:
        raise InvalidInputError(
            f"the encoder of this model: {error} If it is elsewhere now, say where "
            "with --encoder."
        ) from error
    return model


def open_cache(directory: str) -> "VectorCache":
    """Open a cache that is there."""
    from embrm.embed.cache import VectorCache

    cache = VectorCache(directory)
    if not cache.directory.is_dir():
        raise invalid_input(
            expected="the directory of a cache",
            got=f"no directory {directory!r}",
            fix="pass the directory given to --cache",
        )
    return cache


def digests(directory: str, fingerprint: str | None) -> list[str]:
    """List the digests of the stores that are meant."""
    if fingerprint is not None:
        return [find_digest(directory, fingerprint)]
    stores = open_cache(directory).stores()
    return [store.digest for store in stores if store.fingerprint is not None]


def find_digest(directory: str, start: str) -> str:
    """Complete the beginning of a digest."""
    known = [store.digest for store in open_cache(directory).stores()]
    found = [digest for digest in known if digest.startswith(start)]
    if len(found) != 1:
        raise invalid_input(
            expected="the beginning of exactly one fingerprint digest",
            got=f"{start!r}, which {len(found)} of {len(known)} begin with",
            fix="copy one from `embrm cache info`",
        )
    return found[0]


def open_store(directory: str, digest: str) -> "VectorStore":
    """Open the store with a digest."""
    cache = open_cache(directory)
    fingerprints = {store.digest: store.fingerprint for store in cache.stores()}
    fingerprint = fingerprints[digest]
    if fingerprint is None:
        raise IntegrityError.of(
            expected=f"a readable meta.json for {digest[:12]}",
            got="a damaged one",
            fix="embed again with this encoder: that writes it again",
        )
    return cache.open(fingerprint)
