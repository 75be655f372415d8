"""`embrm cache`: look at a vector cache, check it, clean it, take it elsewhere."""

from typing import Annotated

import typer

from embrm.cli.cache_opening import (
    Digest,
    Directory,
    digests,
    find_digest,
    open_cache,
    open_store,
)
from embrm.cli.cache_transfer import export, import_vectors
from embrm.cli.options import AsJson, Config, Debug
from embrm.cli.output import INTEGRITY, console, emit, reporting, say, table

app = typer.Typer(
    help="Look at a vector cache and look after it.", no_args_is_help=True
)

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run/--no-dry-run", help="Say what would be done, and do nothing."
    ),
]
_NOTHING = "no vectors here"

app.command()(export)
app.command("import")(import_vectors)


@app.command()
def info(
    directory: Directory,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the encoders whose vectors are kept, with counts and sizes."""
    with reporting(debug=debug, as_json=as_json):
        stores = open_cache(directory).stores()
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

        report = verify_cache(open_cache(directory), dry_run=dry_run)
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

        opened = open_cache(directory)
        named = [] if fingerprint is None else [find_digest(directory, fingerprint)]
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
        for digest in digests(directory, fingerprint):
            report = compact_store(open_store(directory, digest))
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


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
