"""Every page of docs/ says what is so: its examples run, its links and names exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from benchmarks import promises
from embrm.cli.app import app
from embrm.heads import known_heads

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {page.stem: page.read_text("utf-8") for page in PAGES}
TEXTS["SECURITY"] = (ROOT / "SECURITY.md").read_text("utf-8")


def blocks(page, language):
    """Cut out the code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], flags=re.DOTALL)


def commands(page):
    """Split every `embrm` line of a page into words, continued lines joined."""
    lines = "".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line[:1] == ["embrm"]]


# The page of policies has a test of its own, tests/policy/test_docs.py.
RUN = [page for page in TEXTS if blocks(page, "python") and page != "policy"]


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    """In a process of its own beside the quickstart data, warnings as errors."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks(page, "python"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("page", TEXTS)
def test_every_command_of_a_page_exists(page):
    """It is there, and takes each of its options."""
    for words in commands(page):
        command = get_command(app).commands[words[0]]
        if hasattr(command, "commands"):
            command = command.commands[words[1]]
        known = {option for one in command.params for option in one.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, words


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_and_file_that_a_page_names_exists(page):
    """Relative links, and scripts, tests and results in the text."""
    place = ROOT / ("" if page == "SECURITY" else "docs")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", TEXTS[page])
    missing = [link for link in links if not (place / link).exists()]
    files = r"`((?:data|benchmarks|tests|requirements)/[\w./-]+\w)"
    named = re.findall(files, TEXTS[page])
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_every_page_is_in_the_overview():
    """docs/README.md links to each."""
    assert all(f"({page.name})" in TEXTS["README"] for page in PAGES[1:])


@pytest.mark.parametrize("page", TEXTS)
def test_every_head_that_a_page_names_exists(page):
    """As `--head NAME` or `head="NAME"`."""
    named = re.findall(r"""--head ([a-z][a-z-]*)|head="([a-z-]+)\"""", TEXTS[page])
    assert {one or other for one, other in named} <= set(known_heads())


def test_the_figures_on_the_page_of_heads_are_those_that_are_kept():
    """Means over seeds, of pairs within prompts of the pool of real answers."""
    kept = json.loads((ROOT / "benchmarks/results/heads.json").read_text("utf-8"))
    found = defaultdict(list)
    for row in kept["rows"]:
        if (row["dataset"], row["pairing"]) == ("pool", "same"):
            key = row["head"], row["n"], row["error"]
            found[key].append(row["consistency"])
    rows = re.findall(r"^\| (.*) \|((?: 0\.\d+ \|){4})$", TEXTS["heads"], re.MULTILINE)
    assert len(rows) > 5
    cells = list(product((2000, 10_000), (0.0, 0.4)))
    for name, shown in rows:
        head = name.strip("`").replace("published:", "reference")
        means = [np.mean(found[head, n, error]) for n, error in cells]
        assert shown.split("|")[:-1] == [f" {mean:.3f} " for mean in means], name


def test_the_results_on_the_page_of_promises_are_those_that_are_kept():
    """`python benchmarks/promises.py` writes them."""
    assert promises.filled(TEXTS["promises"]) == TEXTS["promises"]
    assert all(table in TEXTS["promises"] for table in promises.tables().values())
