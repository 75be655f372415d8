"""`embrm clean`: what passes is written, what does not is written with its reason."""

import json

import pytest

from embrm.datasets import read_preferences

ROWS = [
    {"prompt": "a", "chosen": "one two three", "rejected": "y", "id": 1},
    {"prompt": "a", "chosen": "one two three", "rejected": "y", "id": 1},
    {"prompt": "b", "chosen": "x", "rejected": "y", "id": 2},
    {"prompt": "b", "chosen": "y", "rejected": "x", "id": 3},
    {"prompt": "c", "chosen": "x", "rejected": "y", "y": 0.0, "id": 4},
]


@pytest.fixture
def source(write_rows):
    """Five pairs: a repeat, a contradiction, and a label of 0."""
    return write_rows(ROWS)


def read(path):
    """Rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_passes_and_what_does_not_add_up(run, source, tmp_path):
    """Texts, labels and other columns are kept; what goes has its row and reason."""
    out = tmp_path / "clean.jsonl"
    result = run("clean", source, "--out", out, "--repeats", "--contradictions")
    assert result.exit_code == 0, result.stderr
    kept, gone = read(out), read(tmp_path / "clean.removed.jsonl")
    assert [row["id"] for row in kept] == [1, 4]
    assert [row["y"] for row in kept] == [1.0, 0.0]
    assert [(row["row_number"], row["left_out"]) for row in gone] == [
        (2, "repeats an earlier pair"),
        (3, "contradicts another pair"),
        (4, "contradicts another pair"),
    ]
    assert "5 pairs before, 2 after, 3 left out" in result.stdout
    assert "1 repeats an earlier pair (rows 2)" in result.stdout


def test_the_cleaned_file_is_read_as_what_was_kept(run, source, tmp_path):
    """The same texts with the same labels."""
    out = tmp_path / "clean.jsonl"
    run("clean", source, "--out", out, "--repeats")
    again, before = read_preferences(out), read_preferences(source)
    assert again.texts == before.texts
    assert again.y.tolist() == [1, 1, 1, 0]


def test_columns_of_the_data_are_never_taken_for_ours(run, write_rows, tmp_path):
    """Also where they are called as what we might have added."""
    extra = {"reason": "why not", "row": 7}
    rows = [{"prompt": "a", "chosen": "x y", "rejected": "z w"} | extra] * 2
    out = tmp_path / "clean.jsonl"
    run("clean", write_rows(rows), "--out", out, "--repeats")
    assert read(out) == rows[:1]
    (gone,) = read(tmp_path / "clean.removed.jsonl")
    assert gone == rows[0] | {
        "y": 1.0,
        "left_out": "repeats an earlier pair",
        "row_number": 2,
    }


def test_labels_of_1_alone_need_no_column(run, prefs, tmp_path):
    """Chosen is better, as its name says."""
    out = tmp_path / "clean.jsonl"
    run("clean", prefs, "--out", out, "--min-words", 3)
    assert set(read(out)[0]) == {"prompt", "chosen", "rejected"}


def test_prompts_of_a_test_set_are_left_out(run, prefs, new_prefs, tmp_path):
    """Ten of twenty, two pairs each."""
    out, gone = tmp_path / "clean.jsonl", tmp_path / "gone.jsonl"
    result = run(
        "clean",
        prefs,
        "--out",
        out,
        "--removed",
        gone,
        "--against",
        new_prefs,
        "--json",
    )
    values = json.loads(result.stdout)
    assert (values["n_before"], values["n_after"]) == (40, 20)
    assert values["removed"] == str(gone)
    assert {row["left_out"] for row in read(gone)} == {
        f"prompt is also in {new_prefs.name}"
    }


def test_labels_that_look_wrong_to_a_model_are_left_out(
    run, saved, prefs, tmp_path, write_rows
):
    """The one that was turned round."""
    rows = read(prefs)
    rows[7]["chosen"], rows[7]["rejected"] = rows[7]["rejected"], rows[7]["chosen"]
    turned, out = write_rows(rows), tmp_path / "clean.jsonl"
    run("clean", turned, "--out", out, "--model", saved)
    gone = read(tmp_path / "clean.removed.jsonl")
    assert 8 in [row["row_number"] for row in gone]
    assert {row["left_out"] for row in gone} == {"label looks wrong"}
    assert len(read(out)) + len(gone) == 40


def test_rated_items_are_cleaned_as_items(run, tmp_path, write_rows):
    """They stay ratings; filters about pairs are refused."""
    rows = [
        {"prompt": "a", "response": "one two", "score": 1.0},
        {"prompt": "a", "response": "one", "score": 2.0},
    ]
    path, out = write_rows(rows), tmp_path / "clean.jsonl"
    run("clean", path, "--out", out, "--min-words", 2)
    assert read(out) == rows[:1]
    result = run("clean", path, "--out", out, "--repeats")
    assert result.exit_code == 2
    assert "got --repeats, and no pairs" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "expected at least one filter that fits the data; got none"),
        (["--ties", "--removed", "{source}"], "expected different files to read"),
        (["--similar", "7"], "expected max_ratio in"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_written(
    run, source, tmp_path, options, words
):
    """No filter, the same file twice, a share above 1."""
    before, out = source.read_bytes(), tmp_path / "clean.jsonl"
    options = [option.format(source=source) for option in options]
    result = run("clean", source, "--out", out, *options)
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
    assert not out.exists()
    assert source.read_bytes() == before
