"""`embrm cache`: look at a vector cache, check it, clean it, take it elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embrm.cli.options import AsJson, Config, Debug
from embrm.cli.output import INTEGRITY, console, emit, reporting, say, table
from embrm.exceptions import IntegrityError, InvalidInputError, three_parts

if TYPE_CHECKING:
    from embrm.embed.cache import VectorCache, VectorStore

app = typer.Typer(
    help="Look at a vector cache and look after it.", no_args_is_help=True
)

Directory = Annotated[Path, typer.Argument(help="The cache's directory.")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run/--no-dry-run", help="Say what would be done, and do nothing."
    ),
]
Digest = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        help="Digest of an encoder, or its beginning; see `embrm cache info`.",
        show_default=False,
    ),
]
_NOTHING = "no vectors here"
ExportPath = Annotated[
    Path, typer.Option("--out", help="File to write: .parquet or .arrow.")
]


@app.command()
def info(
    directory: Directory,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the encoders whose vectors are kept, with counts and sizes."""
    with reporting(debug=debug, as_json=as_json):
        stores = _open(directory).stores()
        if as_json:
            emit({"stores": [store.to_json() for store in stores]})
            return
        if not stores:
            say(_NOTHING)
            return
        rows = [
            [
                store.digest[:12],
                "unreadable meta.json"
                if store.fingerprint is None
                else store.fingerprint.describe(),
                str(store.n_rows),
                str(store.n_segments),
                _megabytes(store.n_bytes),
                str(store.n_damaged + store.n_unreadable),
            ]
            for store in stores
        ]
        headings = dict.fromkeys(("vectors", "segments", "size", "damaged"), "right")
        console().print(
            table({"fingerprint": "left", "encoder": "left", **headings}, rows)
        )


@app.command()
def verify(
    directory: Directory,
    dry_run: DryRun = False,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Verify every checksum; set damaged segments aside, and exit with 4 if any."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.embed.cache import verify as verify_cache

        report = verify_cache(_open(directory), dry_run=dry_run)
        if as_json:
            emit({**report.to_json(), "ok": report.ok})
        for store in report.stores:
            words = f"{store.digest[:12]}: {store.n_segments} segments, "
            words += f"{store.n_rows} vectors, {len(store.damaged)} damaged"
            say(words, as_json=as_json)
            for problem in store.problems:
                say(f"  {problem}", as_json=as_json)
        if not report.ok:
            raise typer.Exit(INTEGRITY)
        say("all checksums match" if report.stores else _NOTHING, as_json=as_json)


@app.command()
def prune(
    directory: Directory,
    fingerprint: Digest = None,
    dry_run: DryRun = False,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Remove damaged segments and stale temporary files; an encoder only if named."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.embed.cache import prune as prune_cache

        opened = _open(directory)
        named = [] if fingerprint is None else [_find(directory, fingerprint)]
        report = prune_cache(opened, fingerprints=named, dry_run=dry_run)
        did = "would remove" if dry_run else "removed"
        say(
            f"{did} {len(report.removed)} files, {_megabytes(report.n_bytes)}",
            as_json=as_json,
        )
        for name in report.removed:
            say(f"  {name}", as_json=as_json)
        if as_json:
            emit(report.to_json())


@app.command()
def compact(
    directory: Directory,
    fingerprint: Digest = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Merge small segments into large ones; the vectors stay as they are."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.embed.cache import compact as compact_store

        reports = {}
        for digest in _digests(directory, fingerprint):
            report = compact_store(_store(directory, digest))
            reports[digest] = report.to_json()
            say(
                f"{digest[:12]}: {report.n_segments_before} segments before, "
                f"{report.n_segments_after} after",
                as_json=as_json,
            )
        if not reports:
            say(_NOTHING, as_json=as_json)
        if as_json:
            emit({"stores": reports})


@app.command()
def export(
    directory: Directory,
    out: ExportPath,
    fingerprint: Digest = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write keys and vectors of one encoder to a file that other tools read."""
    with reporting(debug=debug, as_json=as_json):
        from embrm.embed.cache import export as export_store

        digests = _digests(directory, fingerprint)
        if len(digests) != 1:
            raise InvalidInputError(
                three_parts(
                    expected="one encoder to export",
                    got=f"{len(digests)} in this cache",
                    cure="name one with --fingerprint; `embrm cache info` lists them",
                )
            )
        report = export_store(_store(directory, digests[0]), out)
        say(f"{report.n_rows} vectors written to {out}", as_json=as_json)
        if as_json:
            emit(report.to_json())


def _open(directory: Path) -> "VectorCache":
    from embrm.embed.cache import VectorCache

    if not directory.is_dir():
        raise InvalidInputError(
            three_parts(
                expected="the directory of a cache",
                got=f"no directory {str(directory)!r}",
                cure="pass the directory given to --cache",
            )
        )
    return VectorCache(directory)


def _digests(directory: Path, fingerprint: str | None) -> list[str]:
    if fingerprint is not None:
        return [_find(directory, fingerprint)]
    return [s.digest for s in _open(directory).stores() if s.fingerprint is not None]


def _find(directory: Path, start: str) -> str:
    known = [store.digest for store in _open(directory).stores()]
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


def _store(directory: Path, digest: str) -> "VectorStore":
    cache = _open(directory)
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


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
