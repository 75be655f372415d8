"""What is shipped is whole, the same wherever it is built, and pinned by its hash."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import embrm

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
STEPS = ("build", "demo", "test", "dev", "docs")
NEEDED = ("embrm", "data", "README.md", "LICENSE", "pyproject.toml", ".gitignore")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path):
    """Read names and versions, with the number of hashes of each."""
    parts = re.split(
        r"^(?=[\w-]+[\w.-]*==)", path.read_text("utf-8"), flags=re.MULTILINE
    )
    found = re.compile(r"([\w.-]+)==([\w.]+)")
    matches = [(found.match(part), part.count("--hash=sha256:")) for part in parts]
    return [
        (canonical(match[1]), match[2], hashes) for match, hashes in matches if match
    ]


LOCKED = {step: pins(ROOT / "requirements" / f"{step}.txt") for step in STEPS}
CHOSEN = {name: version for name, version, _ in pins(ROOT / "constraints.txt")}


def build(source, kind, out):
    """Build a wheel or an sdist with the installed backend."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = out.iterdir()
    return built


def sources(place, stamp, mode):
    """Copy what a wheel is made of, with the times and modes of another machine."""
    place.mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, place / name)
    for path in place.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (stamp, stamp))
    return place


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_built_is_the_same_bytes_wherever_it_is_built(kind, tmp_path):
    """Times and modes of the files, and the directory, do not enter it."""
    sums = []
    for name, stamp, mode in (("a", 1_600_000_000, 0o644), ("b", 1_700_000_000, 0o600)):
        source = sources(tmp_path / name, stamp, mode)
        built = build(source, kind, tmp_path / f"{name}-dist")
        sums.append(hashlib.sha256(built.read_bytes()).hexdigest())
    assert sums[0] == sums[1]


def test_the_wheel_holds_the_package_with_its_data_and_types(tmp_path):
    """And neither tests nor benchmarks."""
    with zipfile.ZipFile(build(ROOT, "wheel", tmp_path)) as archive:
        members = archive.namelist()
    assert "embrm/py.typed" in members
    assert "embrm/data/quickstart.jsonl" in members
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in members)


def test_the_sdist_holds_what_the_two_commands_need(tmp_path):
    """Each file of the checkout that the Makefile, the README or a test names."""
    with tarfile.open(build(ROOT, "sdist", tmp_path)) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    readme = (ROOT / "README.md").read_text("utf-8")
    links = set(re.findall(r"\]\((?!https?:|#)([^)#]+)\)", readme))
    folders = ("embrm", "tests", "benchmarks", "data", "docs", "deploy", "requirements")
    kept = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix
        in {".py", ".md", ".txt", ".jsonl", ".yaml", ".html", ".css", ".js"}
        and "__pycache__" not in path.parts
    }
    top = {"Makefile", "constraints.txt", "pyproject.toml", "README.md", "SECURITY.md"}
    top |= {"mkdocs.yml"}
    assert kept
    assert kept | top | {"CITATION.cff", "LICENSE"} <= held
    assert all((ROOT / link).is_dir() or link in held for link in links)


@pytest.mark.parametrize("step", STEPS)
def test_each_package_to_install_has_a_hash_and_the_version_chosen(step):
    """The lists with hashes and constraints.txt do not drift: `make lock`."""
    assert LOCKED[step]
    assert all(hashes for _, _, hashes in LOCKED[step])
    differing = [
        (name, version)
        for name, version, _ in LOCKED[step]
        if CHOSEN.get(name, version) != version
    ]
    assert not differing


def test_everything_that_is_declared_is_in_the_lists():
    """Dependencies and the extras of `make`, torch apart; the chosen versions, too."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted, queue = set(), [*PROJECT["project"]["dependencies"], "embrm[dev,docs]"]
    while queue:
        text = queue.pop()
        name, inner = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", text).groups()
        if name == "embrm":
            queue += [entry for one in inner.split(",") for entry in extras[one]]
        else:
            wanted.add(canonical(name))
    held = {name for step in STEPS for name, _, _ in LOCKED[step]} | {"torch"}
    assert "make lock" in (ROOT / "constraints.txt").read_text("utf-8")
    assert wanted <= held
    assert set(CHOSEN) <= held


def test_the_build_backend_is_the_one_with_a_hash():
    """An isolated build takes the version that `make` installs."""
    (pinned,) = PROJECT["build-system"]["requires"]
    assert pinned.removeprefix("hatchling==") == CHOSEN["hatchling"]
    assert "hatchling" in {name for name, _, _ in LOCKED["build"]}


def test_every_package_that_is_installed_has_a_licence_in_the_table():
    """Or is named below it, as one for other systems."""
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\w.-]+) \| (\d[\w.]*) \| \S", page, flags=re.MULTILINE)
    listed = {canonical(name): version for name, version in rows}
    others = re.findall(r"[\w-]+", page.rpartition(" only: ")[2])
    locked = {name for step in STEPS for name, _, _ in LOCKED[step]}
    assert locked | {"torch"} == set(listed) | set(others)
    assert {name: listed[name] for name in CHOSEN} == CHOSEN


def test_the_citation_is_of_this_version():
    """CITATION.cff has the fields its format asks for."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors", "version"} <= set(cited)
    assert cited["version"] == embrm.__version__ == PROJECT["project"]["version"]
    assert cited["license"] == PROJECT["project"]["license"]
