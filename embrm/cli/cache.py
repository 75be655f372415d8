"""`embrm cache`: inspect, verify, clean and export a vector cache."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from embrm.cli.options import Columns, as_command, column_map
from embrm.cli.output import INTEGRITY, emit, print_table, say, table, wants_json
from embrm.exceptions import DataError, IntegrityError, invalid_input

if TYPE_CHECKING:
    from embrm.embed import Fingerprint
    from embrm.embed.cache import PublishedVectors, VectorCache, VectorStore
    from embrm.embed.keys import Keys


app = typer.Typer(help="Inspect and maintain a vector cache.", no_args_is_help=True)

Directory = Annotated[
    str, Argument(help="The cache's directory, or a URI as s3://bucket/dir.")
]
Digest = Annotated[
    str | None,
    Option(help="Digest of an encoder, or its beginning; see `embrm cache info`."),
]
DryRun = Annotated[bool, Option(help="Say what would be done, and do nothing.")]
_NOTHING = "no vectors here"

ExportPath = Annotated[Path, Option(help="Where to write: .parquet, .arrow or .npy.")]
ChosenItems = Annotated[
    str | None,
    Option(
        help="File with columns prompt and response: write the vectors of its rows, in "
        "its order."
    ),
]
NeededItems = Annotated[
    str,
    Option(
        help="File with columns prompt and response, one row for each vector, in the "
        "same order."
    ),
]
Vectors = Annotated[
    Path,
    Argument(help="File of vectors: .npy, .safetensors or .pt; nothing in it is run."),
]
FingerprintFile = Annotated[
    Path | None,
    Option(help="JSON file with fields, dim and dtype, or a cache's meta.json."),
]
Fields = Annotated[
    list[str] | None,
    Option(help="What made the vectors, e.g. model=google/gemma-2b; may be repeated."),
]
Dtype = Annotated[
    str | None,
    Option(
        help="float16 or float32, with --field; float16 for float16 files by default."
    ),
]
TensorName = Annotated[str | None, Option(help="Name of the array in the file.")]


@app.command()
@as_command
def info(directory: Directory) -> None:
    """List the encoders whose vectors are kept, with counts and sizes."""
    stores = open_cache(directory).stores()
    if wants_json():
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
    print_table(table({"fingerprint": "left", "encoder": "left", **headings}, rows))


@app.command()
@as_command
def verify(directory: Directory, dry_run: DryRun = False) -> None:
    """Verify every checksum; set damaged segments aside, and exit with 4 if any."""
    from embrm.embed.cache import verify as verify_cache

    report = verify_cache(open_cache(directory), dry_run=dry_run)
    emit({**report.to_json(), "ok": report.ok})
    for store in report.stores:
        words = f"{store.digest[:12]}: {store.n_segments} segments, "
        words += f"{store.n_rows} vectors, {len(store.damaged)} damaged"
        say(words)
        for problem in store.problems:
            say(f"  {problem}")
    if not report.ok:
        raise typer.Exit(INTEGRITY)
    say("all checksums match" if report.stores else _NOTHING)


@app.command()
@as_command
def prune(
    directory: Directory, fingerprint: Digest = None, dry_run: DryRun = False
) -> None:
    """Remove damaged segments and stale temporary files; an encoder only if named."""
    from embrm.embed.cache import prune as prune_cache

    opened = open_cache(directory)
    named = [] if fingerprint is None else [find_digest(directory, fingerprint)]
    report = prune_cache(opened, fingerprints=named, dry_run=dry_run)
    did = "would remove" if dry_run else "removed"
    say(f"{did} {len(report.removed)} files, {_megabytes(report.n_bytes)}")
    for name in report.removed:
        say(f"  {name}")
    emit(report.to_json())


@app.command()
@as_command
def compact(directory: Directory, fingerprint: Digest = None) -> None:
    """Merge small segments into large ones; the vectors are not changed."""
    from embrm.embed.cache import compact as compact_store

    reports = {}
    for digest in digests(directory, fingerprint):
        report = compact_store(open_store(directory, digest))
        reports[digest] = report.to_json()
        say(
            f"{digest[:12]}: {report.n_segments_before} segments before, "
            f"{report.n_segments_after} after"
        )
    if not reports:
        say(_NOTHING)
    emit({"stores": reports})


@app.command()
@as_command
def export(
    directory: Directory,
    out: ExportPath,
    fingerprint: Digest = None,
    items: ChosenItems = None,
    column: Columns = None,
) -> None:
    """Write keys and vectors of one encoder to a file that other tools read."""
    from embrm.embed.cache import export as export_store

    found = digests(directory, fingerprint)
    if len(found) != 1:
        raise invalid_input(
            expected="one encoder to export",
            got=f"{len(found)} in this cache",
            fix="name one with --fingerprint; `embrm cache info` lists them",
        )
    keys = None if items is None else _keys(items, column)
    report = export_store(open_store(directory, found[0]), out, keys=keys)
    say(f"{report.n_rows} vectors written to {out}")
    emit(report.to_json())


@app.command("import")
@as_command
def import_vectors(
    directory: Directory,
    vectors: Vectors,
    items: NeededItems,
    fingerprint: FingerprintFile = None,
    field: Fields = None,
    dtype: Dtype = None,
    tensor: TensorName = None,
    column: Columns = None,
) -> None:
    """Keep vectors that others published, under a fingerprint that you state.

    With the fingerprint of an embrm encoder (`embrm embed --json` prints it) that
    encoder goes on from them; check that it gives the same vectors.
    """
    from embrm.embed.cache import VectorCache, open_published
    from embrm.embed.cache import import_vectors as import_into

    published = open_published(vectors, tensor=tensor)
    who = _fingerprint(fingerprint, field, dtype, published)
    store = VectorCache(directory).open(who)
    report = import_into(store, _keys(items, column), published)
    words = f"{report.n_imported} vectors imported as {who.describe()}, "
    words += f"{report.n_known} were there, "
    words += f"{report.n_rows - report.n_unique} rows repeat a text"
    say(words)
    emit({**report.to_json(), "fingerprint": who.to_json(), "digest": who.digest})


def _keys(items: str, column: list[str] | None) -> "Keys":
    """Compute the keys of the rows of a file."""
    from embrm.datasets import read_frame
    from embrm.embed.keys import item_keys

    frame = read_frame(items)
    names = {"prompt": "prompt", "response": "response", **(column_map(column) or {})}
    wanted = [names["prompt"], names["response"]]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise DataError.of(
            expected=f"columns {' and '.join(wanted)} in the items",
            got=f"no column {missing[0][:40]!r}",
            fix="name yours, as in --column prompt=question",
            reason="missing column",
        )
    return item_keys(list(zip(*(frame[name] for name in wanted), strict=True)))


def _fingerprint(
    path: Path | None,
    fields: list[str] | None,
    dtype: str | None,
    published: "PublishedVectors",
) -> "Fingerprint":
    """Read the fingerprint that was stated, from a file or from options."""
    from embrm.embed import Fingerprint

    if (path is None) == (not fields) or (path is not None and dtype is not None):
        raise invalid_input(
            expected="either --fingerprint FILE.json, or --field NAME=VALUE and "
            "perhaps --dtype",
            got="both" if path is not None else "neither",
            fix="state model, layer, pooling and what else decided the numbers",
        )
    if path is not None:
        return _read_fingerprint(path)
    # bfloat16 reaches further than float16: only float32 holds all of it.
    chosen = dtype or ("float16" if published.dtype == "float16" else "float32")
    return Fingerprint(_parsed(fields or []), published.dim, chosen)


def _read_fingerprint(path: Path) -> "Fingerprint":
    from embrm.embed import Fingerprint

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        stated = Fingerprint.from_json(values.get("fingerprint", values))
        return Fingerprint(dict(stated.fields), stated.dim, stated.dtype)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise invalid_input(
            expected='JSON as {"fields": {...}, "dim": 2048, "dtype": "float16"}',
            got=f"something else in {path}",
            fix="write it so, or copy the meta.json of a store",
        ) from error


def _parsed(fields: list[str]) -> dict[str, Any]:
    """Turn NAME=VALUE into a dict; a value that is JSON is read as such."""
    values: dict[str, Any] = {}
    for field in fields:
        name, equals, text = field.partition("=")
        if not name or not equals or name in values:
            raise invalid_input(
                expected="--field NAME=VALUE, each name once",
                got=repr(field[:60]),
                fix="write it as in --field pooling=last_token",
            )
        values[name] = _value(text)
    return values


def _value(text: str) -> Any:
    """Read JSON, and take any other text as it is."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (RecursionError, ValueError):
        return text
    return value


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"


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
