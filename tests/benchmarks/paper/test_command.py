"""`python -m benchmarks.paper`: the studies on a small pool, from files to findings."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.paper import __main__ as command
from benchmarks.paper import grids
from embrm.experiment import Experiment
from embrm.heads import LinearBradleyTerry

MATCHED = ("linear, penalty x 0.001", "logistic, penalty x 1")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Twenty prompts with ten responses each; gold is linear in the vectors."""
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(200, 3)).astype(np.float32)
    rows = pd.DataFrame({"prompt_id": np.repeat(np.arange(20), 10)})
    rows["gold"] = vectors @ np.array([1.0, -1.0, 0.5])
    directory = tmp_path_factory.mktemp("pool")
    rows.to_parquet(directory / "pool.parquet")
    np.save(directory / "vectors.npy", vectors)
    return directory


@pytest.fixture(autouse=True)
def _small_grids(monkeypatch):
    """Two heads that are quick to fit."""
    made = replace(
        grids.QUICK,
        budgets=(30, 60),
        heads=("linear", "logistic"),
        few_heads=("linear",),
        n_resamples=20,
    )
    monkeypatch.setattr(command, "QUICK", made)
    heads = grids.matched_heads
    monkeypatch.setattr(
        grids, "matched_heads", lambda d: {name: heads(d)[name] for name in MATCHED}
    )


def run(*arguments):
    return CliRunner().invoke(command.app, [str(argument) for argument in arguments])


@pytest.fixture
def run_paper(pool, tmp_path):
    def invoke(*options):
        files = ("--pool", pool / "pool.parquet", "--vectors", pool / "vectors.npy")
        where = ("--out", tmp_path / "out", "--quick", "--jobs", 1)
        return run(*files, *where, *options)

    return invoke


def test_three_studies_from_files_to_findings(run_paper, tmp_path):
    """The size first, then verdicts, and a file of everything."""
    result = run_paper("--seeds", 1)
    assert result.exit_code == 0, result.output
    shown = result.stdout
    size = "8 cells = 1 pairing x 2 noise levels x 2 budgets x 2 heads x 1 seed"
    assert shown.index("cells in all") < shown.index(size) < shown.index("Claims")
    assert "undecided" in shown
    text = (tmp_path / "out" / "FINDINGS.md").read_text(encoding="utf-8")
    assert text.startswith("# Findings on pool\n")
    assert all(f"## Study {study}" in text for study in "abc")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("FINDINGS.md", "verdicts.csv", "cells.csv", "runs"),
        *(f"{s}_summary.{end}" for s in "abc" for end in ("csv", "txt")),
        *("a_noise.png", "a_penalties.png", "b_pairs.png"),
    }


def test_a_second_run_says_the_same(run_paper, tmp_path):
    """Nothing is fitted again, and no file changes."""
    options = ("--studies", "c", "--seeds", 1)
    assert run_paper(*options).exit_code == 0
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    before = {path: path.read_bytes() for path in files}
    assert run_paper(*options).exit_code == 0
    assert {path: path.read_bytes() for path in files} == before
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == files


def test_json_is_one_object_on_stdout(run_paper, tmp_path):
    """What is for people goes to stderr; cells are kept where it was asked."""
    cells = tmp_path / "kept"
    result = run_paper(
        *("--json", "--studies", "c", "--seeds", 1, "--cells", cells),
    )
    shown = json.loads(result.stdout)
    assert (shown["cells"], shown["failed"]) == (24, 0)
    assert shown["claims"][0]["verdict"] == "undecided"
    assert shown["claims"][0]["low"] is None
    assert "24 cells in all" in result.stderr
    assert (cells / "cells").is_dir()


def test_failed_cells_are_counted_and_exit_with_1(run_paper, monkeypatch, tmp_path):
    """The findings are there all the same."""

    def fail(self, *_, **__):
        raise RuntimeError("no luck")

    monkeypatch.setattr(LinearBradleyTerry, "fit_comparisons", fail)
    monkeypatch.setattr(LinearBradleyTerry, "fit", fail)
    result = run_paper("--studies", "a", "--seeds", 1)
    assert result.exit_code == 1
    assert "8 of 16 cells failed" in result.stderr
    assert "8 x RuntimeError: no luck" in result.stderr
    text = (tmp_path / "out" / "FINDINGS.md").read_text(encoding="utf-8")
    assert "16 cells, of which 8 failed." in text


def test_a_run_that_is_stopped_says_how_to_go_on(run_paper, monkeypatch):
    """With the exit code of an interrupt."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "run", stop)
    result = run_paper()
    assert result.exit_code == 130
    assert "run again to go on" in result.stderr


def test_without_matplotlib_there_are_findings_and_no_pictures(
    run_paper, monkeypatch, tmp_path
):
    """A long run does not end in an error for a picture."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run_paper("--studies", "c", "--seeds", 1)
    assert result.exit_code == 0, result.output
    assert "no pictures: expected the optional package" in result.stdout
    text = (tmp_path / "out" / "FINDINGS.md").read_text(encoding="utf-8")
    assert "![" not in text


def test_the_default_data_are_in_the_repository(tmp_path):
    """Graded responses, embedded where there are no vectors of them."""
    where = ("--out", tmp_path / "out", "--jobs", 1, "--quick", "--seeds", 1)
    result = run("--encoder", "hashing", "--studies", "c", *where)
    assert result.exit_code == 0, result.output
    assert "quickstart.jsonl: CandidatePool(162 prompts, 648 items" in result.stdout
    text = (tmp_path / "out" / "FINDINGS.md").read_text(encoding="utf-8")
    assert text.startswith("# Findings on quickstart\n")


def test_verdicts_of_another_run_stand_beside_ours(run_paper, tmp_path):
    """In a column that bears the name of its directory; what was said comes first."""
    other = ("--studies", "c", "--seeds", 1, "--out", tmp_path / "elsewhere")
    assert run_paper(*other).exit_code == 0
    options = ("--beside", tmp_path / "elsewhere", "--about", "Gold is made up.")
    result = run_paper("--studies", "c", "--seeds", 1, *options)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "FINDINGS.md").read_text(encoding="utf-8")
    assert "| on elsewhere |" in text
    assert text.count("**undecided**") == 6
    assert "Gold is made up." in text


def test_a_run_that_is_not_there_is_named_before_anything_is_computed(
    run_paper, tmp_path
):
    """With what to do."""
    result = run_paper("--beside", tmp_path / "nowhere")
    assert result.exit_code == 3
    assert "expected the verdicts of another run" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_pool_that_is_not_there_is_named(tmp_path):
    """In one line."""
    result = run("--pool", tmp_path / "no.parquet", "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "no.parquet: expected a file that exists" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--studies", "a,d"), 2, "expected --studies from a, b, c"),
        (("--studies", ","), 2, "expected --studies from a, b, c"),
        (("--jobs", 0), 2, "expected --jobs of 1 or more"),
        (("--seeds", 0), 2, "--seeds"),
        (("--vectors", "no.npy"), 3, "no.npy: expected a file that exists"),
    ],
)
def test_bad_input_is_found_before_the_run(run_paper, tmp_path, options, code, words):
    """One line that names it, and nothing is computed."""
    result = run_paper(*options)
    assert result.exit_code == code
    assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_every_option_is_explained():
    """By --help."""
    result = run("--help")
    assert result.exit_code == 0
    shown = result.stdout
    options = ("--pool", "--vectors", "--out", "--cells", "--studies", "--quick")
    assert all(option in shown for option in (*options, "--jobs", "--seeds", "--json"))
