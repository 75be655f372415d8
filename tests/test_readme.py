"""The README says what is so."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from embrm.cli.app import app
from embrm.cli.formats import as_markdown
from embrm.datasets import known_formats
from embrm.datasets.sources import EXTENSIONS
from embrm.heads import HEADS, known_heads

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Cut the text between a heading and the next one."""
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """Read the rows of the Markdown table in a text, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2:]]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


def commands() -> list[list[str]]:
    """Split every `embrm` line of the README into words."""
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    lines = "".join(blocks).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line[:1] == ["embrm"]]


def layout() -> list[str]:
    """List the paths in the tree of "Where things go"."""
    tree = re.search(r"```\n(.*?)```", section("Where things go"), flags=re.DOTALL)
    assert tree is not None
    paths, room = [], ""
    for line in tree[1].splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        if line.startswith(" "):
            paths += [room + name for name in names]
        else:
            paths += names
            room = names[0]
    return paths


def test_the_table_of_formats_is_that_of_the_registry():
    """The page of formats is what `embrm formats --markdown` writes."""
    page = Path("docs/formats.md").read_text(encoding="utf-8")
    written = page[page.index("| format |") :]
    assert written.strip() == as_markdown(known_formats().values()).strip()


def test_every_extension_is_named():
    """What the readers open, the README lists."""
    plain = [end for end in EXTENSIONS if not end.endswith((".gz", ".zst"))]
    assert all(f"`{end}`" in section("Formats") for end in plain)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_line_exists(words):
    """Its command is there, and takes each of its options."""
    group = get_command(app)
    command = group.commands[words[0]]
    if hasattr(command, "commands"):
        # `embrm label FILE` is the page.
        default = command.commands.get("page")
        command = command.commands.get(words[1], default)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_subcommand_that_is_named_exists():
    """`embrm cache` has those that its line lists."""
    named = re.search(r"# also (.*)", README)
    assert named is not None
    cache = get_command(app).commands["cache"].commands
    assert {"info", *named[1].split(", ")} == set(cache)


def test_the_table_of_heads_is_that_of_the_registry():
    """Every head stands in it, in the registry's order, with what that says of it."""
    rows = table(section("Heads are scikit-learn estimators"))
    expected = [
        [
            f"`{known.name}`",
            f"`{known.class_name}`",
            known.learns_from,
            known.good_for,
            known.cost,
        ]
        for known in HEADS
    ]
    assert rows == expected


def test_every_head_word_in_the_examples_exists():
    """`head="..."` names a head that the registry knows."""
    words = set(re.findall(r'head="([a-z0-9-]+)"', README))
    assert words
    assert words <= set(known_heads())


@pytest.mark.parametrize("path", layout())
def test_every_path_of_the_layout_exists(path):
    """What "Where things go" shows is there."""
    assert (ROOT / path).exists()


def test_every_link_and_file_named_exists():
    """Relative links, and files named in the text, lead somewhere."""
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    named = re.findall(r"`((?:data|benchmarks|tests)/[\w./-]+)`", README)
    assert all((ROOT / path).exists() for path in [*links, *named])


def test_every_extra_that_is_named_is_declared():
    """`embrm[...]` and the list of extras are those of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = set(project["project"]["optional-dependencies"])
    listed = README.split("only the extras you use:")[1].split("\n\n")[0]
    named = set(re.findall(r"`([a-z]+)`", listed))
    named |= set(re.findall(r"embrm\[([a-z]+)\]", README))
    assert named
    assert named <= declared


def test_every_make_target_that_is_named_exists():
    """`make demo`, `make test` and `make check` are targets."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", README)) <= targets
