"""Open what `embrm cache` looks after, from what was typed."""

from typing import TYPE_CHECKING, Annotated

import typer

from embrm.exceptions import IntegrityError, InvalidInputError, three_parts

if TYPE_CHECKING:
    from embrm.embed.cache import VectorCache, VectorStore

Directory = Annotated[
    str, typer.Argument(help="The cache's directory, or a URI as s3://bucket/dir.")
]
Digest = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        help="Digest of an encoder, or its beginning; see `embrm cache info`.",
        show_default=False,
    ),
]


def open_cache(directory: str) -> "VectorCache":
    """Open a cache that is there."""
    from embrm.embed.cache import VectorCache

    cache = VectorCache(directory)
    if not cache.directory.is_dir():
        raise InvalidInputError(
            three_parts(
                expected="the directory of a cache",
                got=f"no directory {directory!r}",
                cure="pass the directory given to --cache",
            )
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
        raise InvalidInputError(
            three_parts(
                expected="the beginning of exactly one fingerprint digest",
                got=f"{start!r}, which {len(found)} of {len(known)} begin with",
                cure="copy one from `embrm cache info`",
            )
        )
    return found[0]


def open_store(directory: str, digest: str) -> "VectorStore":
    """Open the store with a digest."""
    cache = open_cache(directory)
    fingerprints = {store.digest: store.fingerprint for store in cache.stores()}
    fingerprint = fingerprints[digest]
    if fingerprint is None:
        raise IntegrityError(
            three_parts(
                expected=f"a readable meta.json for {digest[:12]}",
                got="a damaged one",
                cure="embed again with this encoder: that writes it anew",
            )
        )
    return cache.open(fingerprint)
