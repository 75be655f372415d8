"""`embrm simulate`: a grid over a candidate pool, from files to tables and pictures."""

import json
import textwrap

import numpy as np
import pandas as pd
import pytest
import yaml

from embrm.cli.simulate import simulate
from embrm.experiment import SECONDS, Experiment, read_grid

GRID = {
    "annotators": ["perfect", {"bradley-terry": {"error_rate": 0.3}}],
    "budgets": [20, 60],
    "heads": ["linear", {"linear": {"alpha": 10.0}}],
    "seeds": 2,
    "n_resamples": 50,
}


@pytest.fixture(scope="module")
def rows():
    """24 prompts with 4 responses each; gold is linear in the vectors."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(96, 3)).astype(np.float32)
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(np.arange(24), 4),
            "prompt": [f"question {n // 4}" for n in range(96)],
            "response": [f"answer {n} " + "so " * (n % 7) for n in range(96)],
            "gold": vectors @ np.array([1.0, -1.0, 0.5]),
            "vector": list(vectors),
        }
    )


@pytest.fixture(scope="module")
def pool(rows, tmp_path_factory):
    """Everything in one file."""
    path = tmp_path_factory.mktemp("pool") / "pool.parquet"
    rows.to_parquet(path)
    return path


@pytest.fixture
def write_grid(tmp_path):
    def write(**changes):
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(GRID | changes, sort_keys=False))
        return path

    return write


@pytest.fixture
def run_grid(run, pool, write_grid, tmp_path):
    """Run a grid on the pool, into `out`."""

    def invoke(*options, pool=pool, **changes):
        files = (write_grid(**changes), "--pool", pool)
        return run("simulate", *files, "--out", tmp_path / "out", *options)

    return invoke


def test_a_grid_becomes_a_table_results_and_pictures(run_grid, tmp_path):
    """The size first, then heads by annotator error, and files of everything."""
    result = run_grid(designs=["same-prompt", "cross-prompt"])
    assert result.exit_code == 0, result.output
    shown = result.stdout
    size = "32 cells: 2 designs x 2 annotators x 2 budgets x 2 heads x 2 seeds"
    assert shown.index(size) < shown.index("Order consistency with gold")
    assert "same-prompt, 20 pairs" in shown
    assert "bradley-terry at 30%" in shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("cells", "pools", "grid.yaml", "results.csv", "results.parquet"),
        *("noise_sweep.png", "learning_curve.png", "pairing.png"),
    }
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert len(table) == 32
    assert len(pd.read_csv(tmp_path / "out" / "results.csv")) == 32
    assert (tmp_path / "out" / "grid.yaml").read_bytes() == (
        tmp_path / "grid.yaml"
    ).read_bytes()


def test_json_is_one_object_on_stdout(run_grid, tmp_path):
    """What is for people goes to stderr."""
    result = run_grid("--json", budgets=20, seeds=1)
    shown = json.loads(result.stdout)
    assert (shown["cells"], shown["failed"]) == (4, 0)
    assert shown["table"][0]["annotator"] == "perfect"
    assert shown["table"][0]["low"] is None
    assert shown["pictures"] == [str(tmp_path / "out" / "noise_sweep.png")]
    assert "4 cells: " in result.stderr


def test_quiet_prints_nothing(run_grid, tmp_path):
    """The files are there."""
    result = run_grid("--quiet", budgets=20, annotators="perfect")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "out" / "results.csv").exists()


def test_an_extended_grid_computes_only_what_is_new(run_grid, tmp_path):
    """Cells stay as they are; the same rows come out again."""
    cells = tmp_path / "out" / "cells"
    run_grid("--quiet", budgets=20)
    before = {path.name: path.stat().st_mtime_ns for path in cells.iterdir()}
    first = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert run_grid("--quiet", budgets=[20, 30]).exit_code == 0
    after = {path.name: path.stat().st_mtime_ns for path in cells.iterdir()}
    assert len(after) == 2 * len(before)
    assert before.items() <= after.items()
    second = pd.read_parquet(tmp_path / "out" / "results.parquet")
    again = second[second["budget"] == 20].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, first)


def test_several_jobs_give_the_same_numbers(run_grid, tmp_path):
    """Seconds aside."""
    run_grid("--quiet", budgets=20)
    one = pd.read_parquet(tmp_path / "out" / "results.parquet")
    for path in (tmp_path / "out" / "cells").iterdir():
        path.unlink()
    assert run_grid("--quiet", "--jobs", 2, budgets=20).exit_code == 0
    two = pd.read_parquet(tmp_path / "out" / "results.parquet")
    drop = {"columns": list(SECONDS)}
    pd.testing.assert_frame_equal(one.drop(**drop), two.drop(**drop))


def test_texts_without_vectors_are_embedded_once(run_grid, rows, tmp_path):
    """The vectors are kept in --out, unless --cache says elsewhere."""
    path = tmp_path / "texts.jsonl"
    rows.drop(columns=["vector", "prompt_id"]).to_json(
        path, orient="records", lines=True
    )
    options = ("--encoder", "hashing:16")
    first = run_grid(*options, pool=path, budgets=20)
    assert first.exit_code == 0, first.output
    assert "96 embedded" in first.stdout
    assert "24 prompts, 96 items, K=4, d=16" in first.stdout
    second = run_grid(*options, pool=path, budgets=20)
    assert "100% from the cache" in second.stdout
    assert (tmp_path / "out" / "vectors").is_dir()


@pytest.mark.parametrize("column", ["length", "response"])
def test_annotators_can_like_long_answers(run_grid, rows, tmp_path, column):
    """By the texts, or by a column of lengths where there are none."""
    path, vectors = tmp_path / "pool.csv", tmp_path / "vectors.npy"
    np.save(vectors, np.stack(rows["vector"]))
    lengths = rows.assign(length=rows["response"].str.len())
    wanted = ["prompt_id", "prompt", "gold", column]
    lengths[wanted].to_csv(path, index=False)
    biased = {"base": "perfect", "covariate": "length", "strength": 3.0}
    annotators = {"fair": "perfect", "biased": {"biased": biased}}
    result = run_grid(
        *("--vectors", vectors, "--json"),
        pool=path,
        annotators=annotators,
        budgets=80,
        heads="linear",
    )
    assert result.exit_code == 0, result.output
    fair, unfair = json.loads(result.stdout)["table"]
    assert fair["error_rate"] == 0
    assert unfair["error_rate"] > 0.2
    assert unfair["mean"] < fair["mean"]


def test_columns_can_be_renamed(run_grid, rows, tmp_path):
    """--column gold=score finds the column."""
    path = tmp_path / "other.parquet"
    rows.rename(columns={"gold": "score"}).to_parquet(path)
    assert run_grid(pool=path, budgets=20).exit_code == 3
    options = ("--column", "gold=score", "--quiet")
    assert run_grid(*options, pool=path, budgets=20).exit_code == 0


def test_failed_cells_are_counted_and_exit_with_1(run_grid, tmp_path):
    """The others are there all the same; the reason is said once."""
    result = run_grid(budgets=20, heads=["linear", {"linear": {"alpha": -1.0}}])
    assert result.exit_code == 1
    assert "4 of 8 cells failed" in result.stderr
    assert result.stderr.count("4 x InvalidInputError: expected alpha") == 1
    assert "failed" in result.stdout
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert table["order_consistency"].notna().sum() == 4
    as_json = run_grid("--json", budgets=20, heads=[{"linear": {"alpha": -1.0}}])
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["failed"] == 4


def test_a_run_that_is_stopped_says_how_to_go_on(run_grid, monkeypatch):
    """With the exit code of an interrupt."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "run", stop)
    result = run_grid()
    assert result.exit_code == 130
    assert "finished cells are kept in" in result.stderr
    assert "run again to go on" in result.stderr


def test_without_matplotlib_there_are_tables_and_no_pictures(
    run_grid, monkeypatch, tmp_path
):
    """A long run does not end in an error for a picture."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run_grid(budgets=20)
    assert result.exit_code == 0, result.output
    assert "no pictures: expected the optional package" in result.stdout
    assert (tmp_path / "out" / "results.csv").exists()


@pytest.mark.parametrize(
    ("changes", "options", "code", "words"),
    [
        ({"budgets": [20, 5000]}, (), 2, "budgets[1]: expected at most 108 pairs"),
        ({"budgets": "many"}, (), 2, "grid.yaml: budgets: expected an integer >= 1"),
        ({"heads": "bt"}, (), 2, "grid.yaml: heads[0]: expected the name of a head"),
        ({"annotators": "oracle"}, (), 2, "unknown annotator 'oracle'; known: bradley"),
        ({"designs": [3]}, (), 2, "grid.yaml: designs[0]: expected a pairing design"),
        ({"colour": 1}, (), 2, "grid.yaml: colour: expected keys designs, annotators"),
        ({}, ("--jobs", 0), 2, "expected --jobs of 1 or more"),
        ({}, ("--column", "score=gold"), 2, "expected columns of a candidate pool"),
        ({}, ("--vectors", "no.npy"), 3, "no.npy: expected a file that exists"),
        ({"test_share": 0.999}, (), 2, "expected pairs on both sides of every split"),
    ],
)
def test_bad_input_is_found_before_the_run(run_grid, changes, options, code, words):
    """One line that names the place, and nothing is computed."""
    result = run_grid(*options, **changes)
    assert result.exit_code == code
    assert words in result.stderr
    assert "cells:" not in result.stdout


def test_missing_files_are_named(run, pool, write_grid, tmp_path):
    """The pool is data, the grid is usage."""
    out = ("--out", tmp_path / "out")
    result = run("simulate", write_grid(), "--pool", tmp_path / "no.parquet", *out)
    assert result.exit_code == 3
    assert "no.parquet: expected a file that exists" in result.stderr
    result = run("simulate", tmp_path / "no.yaml", "--pool", pool, *out)
    assert result.exit_code == 2
    assert "no.yaml: expected a YAML file" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (["gold"], "pool.parquet: expected one column 'gold'; got columns prompt_id"),
        (["prompt_id", "prompt"], "pool.parquet: expected one column 'prompt_id'"),
        (["vector", "response"], "pool.parquet: expected vectors of the items"),
    ],
)
def test_a_pool_without_what_it_takes_is_a_data_error(
    run_grid, rows, tmp_path, drop, words
):
    """The columns that are there are listed."""
    path = tmp_path / "pool.parquet"
    rows.drop(columns=drop).to_parquet(path)
    result = run_grid(pool=path)
    assert result.exit_code == 3
    assert words in result.stderr


def test_the_example_in_the_help_is_a_grid(run, tmp_path):
    """Whoever copies it can run it; no line of the help is broken."""
    shown = run("simulate", "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    example = simulate.__doc__.partition("A grid file:\n")[2]
    path = tmp_path / "grid.yaml"
    path.write_text(textwrap.dedent(example))
    assert read_grid(path).n_cells == 96
    for line in filter(None, map(str.strip, example.splitlines())):
        assert line in shown


def test_a_grid_kept_in_out_can_be_run_again(run, run_grid, pool, tmp_path):
    """`embrm simulate OUT/grid.yaml --out OUT` repeats a run."""
    run_grid("--quiet", budgets=20)
    out = tmp_path / "out"
    files = (out / "grid.yaml", "--pool", pool, "--out", out)
    assert run("simulate", *files, "--quiet").exit_code == 0
    assert read_grid(out / "grid.yaml").budgets == (20,)


def test_options_can_stand_in_a_file(run, pool, write_grid, tmp_path):
    """`--config` means the same as in every command; flags override it."""
    config = tmp_path / "options.yaml"
    options = {"pool": str(pool), "out": str(tmp_path / "a"), "quiet": True, "jobs": 0}
    config.write_text(yaml.safe_dump(options))
    grid = write_grid(budgets=20, annotators="perfect")
    result = run("simulate", grid, "--config", config)
    assert (result.exit_code, "expected --jobs" in result.stderr) == (2, True)
    result = run("simulate", grid, "--config", config, "--jobs", 1)
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "a" / "results.csv").exists()


def test_a_grid_as_config_is_told_the_new_form(run, pool, write_grid, tmp_path):
    """As the command was called until 0.1.0; a mistake in options stays one."""
    grid = write_grid()
    where = ("--pool", pool, "--out", tmp_path / "out")
    result = run("simulate", *where, "--config", grid)
    assert result.exit_code == 2
    assert f"write: embrm simulate {grid} --pool POOL --out OUT" in result.stderr
    grid.write_text("colour: 1")
    result = run("simulate", *where, "--config", grid)
    assert "unknown key 'colour'" in result.stderr


@pytest.mark.realdata
def test_a_tiny_grid_on_the_real_pool(run, shared_data, tmp_path):
    """More noise, less order; both heads beat chance by far."""
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        yaml.safe_dump(
            {
                "annotators": [{"bradley-terry": {"error_rate": [0.1, 0.4]}}],
                "budgets": 1000,
                "heads": ["linear", "logistic"],
                "seeds": 2,
                "n_resamples": 100,
            }
        )
    )
    result = run(
        *("simulate", grid, "--pool", shared_data / "pool_dev.parquet"),
        *("--vectors", shared_data / "pool_dev_minilm_f16.npy"),
        *("--out", tmp_path / "out", "--json"),
    )
    assert result.exit_code == 0, result.output
    table = pd.DataFrame(json.loads(result.stdout)["table"])
    calm, noisy = (part for _, part in table.groupby("annotator"))
    assert np.allclose(calm["error_rate"], 0.1, atol=0.03)
    assert np.allclose(noisy["error_rate"], 0.4, atol=0.05)
    assert (calm["mean"].to_numpy() > noisy["mean"].to_numpy()).all()
    assert table["mean"].between(0.58, 0.75).all()
