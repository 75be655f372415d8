"""The pages of the commands: what `--help` says, with examples out of the guides."""

import re
import shlex
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from embrm.cli.app import app

# Where the examples are cut out of: every line of it runs in the tests.
EXAMPLES = "command-line.md"


def commands() -> dict[str, Any]:
    """Every command that is shown, in the order of `embrm --help`."""
    found = {}
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", {})
        if inner:
            found |= {f"{name} {one}": inner[one] for one in inner}
        elif not command.hidden:
            found[name] = command
    # `embrm label FILE` is `embrm label page FILE`.
    return {name.replace("label page", "label"): one for name, one in found.items()}


def examples(text: str) -> dict[str, list[str]]:
    """Cut the lines of every command out of a page."""
    found: dict[str, list[str]] = {}
    blocks = re.findall(r"```(?:console|bash)\n(.*?)```", text, flags=re.DOTALL)
    for line in "".join(blocks).replace("\\\n", "").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["embrm"]:
            two = " ".join(words[1:3])
            name = two if two in commands() else words[1]
            found.setdefault(name, []).append(" ".join(line.split()))
    return found


def _rows(records: list[tuple[str, str]]) -> str:
    cells = [
        (f"`{' '.join(left.split())}`", " ".join(right.split()))
        for left, right in records
    ]
    lines = [f"| {left} | {_escaped(right)} |" for left, right in cells]
    return "\n".join(["| option | what it does |", "|---|---|", *lines])


def _escaped(words: str) -> str:
    """Keep `owner/name_*` and `<1` as they are."""
    return re.sub(r"([|*_<\[])", r"\\\1", words)


def _page(name: str, command: Any, lines: list[str]) -> str:
    context = typer.Context(command, info_name=f"embrm {name}")
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    usage = " ".join(command.collect_usage_pieces(context))
    shown = "\n".join(lines)
    return "\n\n".join(
        [
            f"# embrm {name}",
            _escaped((command.help or "").strip()),
            f"```text\nembrm {name} {usage}\n```",
            f"```console\n{shown}\n```",
            f"These lines are from the [tour of the commands](../{EXAMPLES}).",
            _rows(records),
            "Exit codes: 0 ok, 2 usage, 3 data, 4 integrity.\n",
        ]
    )


def pages(docs: Path) -> dict[str, str]:
    """All pages by name, the overview among them."""
    shown = examples((docs / EXAMPLES).read_text("utf-8"))
    made, rows = {}, []
    for name, command in commands().items():
        place = f"embrm-{name.replace(' ', '-')}.md"
        made[place] = _page(name, command, shown.get(name, []))
        first = (command.help or "").split("\n\n")[0]
        rows.append(
            f"| [embrm {name}]({place}) | {_escaped(' '.join(first.split()))} |"
        )
    made["index.md"] = "\n".join([_OVERVIEW, *rows, ""])
    return made


_OVERVIEW = """# Commands

Every option can be set in a YAML file (`--config run.yaml`); options on the command
line override it. `--json` prints one JSON object. Errors are one line; `--debug` shows
where they come from.

```console
embrm --help
embrm fit --help
```

| command | what it does |
|---|---|"""
