"""Every page of docs/ says what is so: its examples run, its links and names exist."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from benchmarks import promises
from embrm.cli.app import app
from embrm.datasets.sources import EXTENSIONS
from embrm.heads import HEADS, known_heads
from tests.pages import ROOT, blocks, commands, is_alike, links, run_python

DOCS = ROOT / "docs"
PAGES = {
    page.relative_to(DOCS).with_suffix("").as_posix(): page
    for page in sorted([*DOCS.glob("*.md"), *DOCS.glob("active/*.md")])
}
TEXTS = {name: page.read_text("utf-8") for name, page in PAGES.items()}
for _page in ("SECURITY", "CHANGELOG"):
    TEXTS[_page] = (ROOT / f"{_page}.md").read_text("utf-8")
# The page of policies has a test of its own, tests/policy/test_docs.py; the tour of the
# commands is run below, section by section, with its commands.
TOUR = "command-line"
ELSEWHERE = {"policy", TOUR}
GENERATED = ("reference/", "commands/")
RUN = [page for page in TEXTS if page not in ELSEWHERE]


def section(page, heading):
    """Cut the text between a heading and the next one."""
    return TEXTS[page].split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs_and_prints_what_it_shows(page, tmp_path):
    """From top to bottom, warnings as errors; every page has an example."""
    for output, shown in run_python(TEXTS[page], tmp_path):
        assert is_alike(output, shown), output


def test_a_changed_output_is_noticed():
    """Numbers may differ in last digits, nothing else may."""
    assert is_alike("a  0.630 [0.54, 0.71]\n", "a 0.631 [0.54, 0.71]\n")
    assert not is_alike("a 0.63\n", "a 0.73\n")
    assert not is_alike("a 3\n", "a 4\n")
    assert not is_alike("b 0.63\n", "a 0.63\n")


def sections(page):
    """List the headings that have something to run below them."""
    parts = TEXTS[page].split("\n## ")[1:]
    return [part.partition("\n")[0] for part in parts if "```" in part]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """What the first two sections of the tour leave for the others."""
    place = tmp_path_factory.mktemp("tour")
    (place / "data").symlink_to(ROOT / "data")
    lines = blocks(section(TOUR, "Look") + section(TOUR, "Fit and evaluate"), "console")
    for line in "".join(lines).splitlines():
        words = shlex.split(line, comments=True)[1:]
        if words[0] in ("clean", "embed", "fit"):
            with contextlib.chdir(place):
                done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output
    return place


@pytest.mark.parametrize("heading", sections(TOUR))
def test_the_tour_of_the_commands_runs(heading, fitted, tmp_path, monkeypatch):
    """Every line of a section, in order; servers answer, and end with Ctrl+C."""
    place = shutil.copytree(fitted, tmp_path / "tour", symlinks=True)
    monkeypatch.chdir(place)
    # Its commands have colours of a picture, not of a screen.
    monkeypatch.setenv("MPLBACKEND", "agg")
    found = _RUN.findall(section(TOUR, heading))
    assert found
    with contextlib.ExitStack() as servers:
        url = ""
        for language, code, printed in found:
            if language == "python":
                output = run(sys.executable, "-W", "error", "-c", code)
                assert not printed or is_alike(output, printed), output
                continue
            for line in code.splitlines():
                words = shlex.split(line, comments=True)
                if words[1] == "serve" or words[1:3] == [
                    "label",
                    "data/quickstart.jsonl",
                ]:
                    url = servers.enter_context(serving(words[1:]))
                elif words[0] == "curl":
                    words = [
                        word.replace("http://localhost:8080", url) for word in words
                    ]
                    json.loads(run(*words, "--silent", "--fail-with-body"))
                else:
                    assert words[0] == "embrm"
                    done = CliRunner().invoke(app, words[1:])
                    assert done.exit_code == 0, f"{line}: {done.output}"


_RUN = re.compile(
    r"^```(console|python)\n(.*?)^```$(?:\n+^```text\n(.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


def run(*words):
    """Run a command; return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(words):
    """Start a command that serves until Ctrl+C; yield the URL that it prints."""
    command = [sys.executable, "-c", "from embrm.cli import main; main()", *words]
    command += ["--port", "0", *(["--no-browser"] if words[0] == "label" else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        lines = iter(process.stdout.readline, "")
        url = next(
            found[0] for line in lines if (found := re.search(r"http://[^ ;]+", line))
        )
        run("curl", "--silent", "--fail-with-body", "--output", os.devnull, url)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode in (0, 130)


@pytest.mark.parametrize("page", TEXTS)
def test_every_command_of_a_page_exists(page):
    """It is there, and takes each of its options."""
    for words in commands(TEXTS[page]):
        if words[0].startswith("-") or words[0] == "COMMAND":
            continue
        command = get_command(app).commands[words[0]]
        if hasattr(command, "commands"):
            # `embrm label FILE` is the page.
            default = command.commands.get("page")
            command = command.commands.get(words[1], default)
        known = {option for one in command.params for option in one.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, words


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_and_file_that_a_page_names_exists(page):
    """Relative links, and scripts, tests and results in the text."""
    place = PAGES[page].parent if page in PAGES else ROOT
    # tests/test_site.py checks links to what is generated.
    written = [link for link in links(TEXTS[page]) if not link.startswith(GENERATED)]
    missing = [link for link in written if not (place / link).exists()]
    files = r"`((?:data|benchmarks|tests|requirements)/[\w./-]+\w)"
    named = re.findall(files, TEXTS[page])
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", TEXTS)
def test_every_picture_has_a_text(page):
    """For those who cannot see it."""
    pictures = re.findall(r"!\[(.*?)\]\(", TEXTS[page])
    assert all(len(words) > 8 for words in pictures)


def test_every_page_is_in_the_overview_and_in_the_navigation():
    """docs/README.md links to each; mkdocs.yml lists it."""
    nav = json.dumps(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    for name in PAGES:
        assert f'"{name}.md"' in nav, name
        assert name == "README" or f"({name}.md)" in TEXTS["README"], name


@pytest.mark.parametrize("page", TEXTS)
def test_every_head_that_a_page_names_exists(page):
    """As `--head NAME` or `head="NAME"`."""
    named = re.findall(r"""--head ([a-z][a-z-]*)|head="([a-z-]+)\"""", TEXTS[page])
    assert {one or other for one, other in named} <= set(known_heads())


def test_the_table_of_heads_is_that_of_the_registry():
    """Every head stands in it, in the registry's order, with what that says of it."""
    lines = section("heads", "What it costs").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")][2:]
    expected = [
        [
            f"`{one.name}`",
            f"`{one.class_name}`",
            one.learns_from,
            one.good_for,
            one.cost,
        ]
        for one in HEADS
    ]
    assert [[cell.strip() for cell in row] for row in rows] == expected


def test_every_extension_is_named():
    """What the readers open, the page of formats lists."""
    plain = [end for end in EXTENSIONS if not end.endswith((".gz", ".zst"))]
    assert all(f"`{end}`" in TEXTS["formats"] for end in plain)


def test_every_extra_is_in_the_table():
    """Those of pyproject.toml that are for users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    rows = [line for line in TEXTS["install"].splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    users = set(project["optional-dependencies"]) - {"demo", "test", "dev", "docs"}
    assert named == users


def test_every_path_of_the_layout_exists():
    """What "Where things go" shows is there."""
    tree = re.search(r"```\n(embrm/.*?)```", TEXTS["design"], flags=re.DOTALL)
    assert tree is not None
    room, seen = "", 0
    for line in tree[1].splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        room = room if line.startswith(" ") else ""
        assert all((ROOT / f"{room}{name}").exists() for name in names), line
        room, seen = room or names[0], seen + 1
    assert seen > 20


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
