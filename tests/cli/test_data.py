"""`embrm data`: a preference file is looked at before anything is fitted."""

import json

import pytest

SEA = "Write a short poem about the sea at night"


@pytest.fixture
def mixed(write_rows):
    """A repeat, a contradiction, near-duplicates, and a row that cannot be used."""
    rows = [
        {"prompt": SEA, "chosen": "good", "rejected": "bad"},
        {"prompt": SEA, "chosen": "good", "rejected": "bad"},
        {"prompt": f"{SEA}!", "chosen": "good", "rejected": "bad"},
        {"prompt": "b", "chosen": "x", "rejected": "y"},
        {"prompt": "b", "chosen": "y", "rejected": "x"},
        {"prompt": "c", "chosen": "", "rejected": "y"},
    ]
    return write_rows(rows)


def test_what_to_look_at_comes_before_the_facts(run, mixed):
    """How it was read, the first rows, findings, facts; nothing on stderr."""
    result = run("data", mixed)
    assert result.exit_code == 0, result.stderr
    shown = result.stdout
    places = [
        shown.index(words)
        for words in (
            "read as pairs: 6 rows, 5 kept, 1 left out",
            "First rows, as they were read",
            "Look at this before you fit",
            "Comparisons",
        )
    ]
    assert places == sorted(places)
    assert "contradictions  2 pairs, rows 4, 5; 1 comparison with both labels" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert result.stderr == ""


def test_json_holds_all_of_it(run, mixed):
    """Counts, findings, and the reader's report."""
    values = json.loads(run("data", mixed, "--json").stdout)
    assert values["repeats"] == {"n": 1, "source_rows": [1]}
    assert values["contradictions"]["n"] == 1
    assert values["near_duplicates"]["n_prompts"] == 2
    assert values["read_report"]["n_kept"] == 5
    assert {finding["kind"] for finding in values["findings"]} >= {
        "contradictions",
        "repeated",
        "near-duplicates",
        "few prompts",
    }


def test_other_files_are_looked_into_for_the_same_prompts(run, prefs, new_prefs):
    """Prompts 10 to 19 are in both."""
    values = json.loads(run("data", prefs, "--against", new_prefs, "--json").stdout)
    (leak,) = values["leakage"]
    assert (leak["n_prompts"], leak["n_shared"]) == (20, 10)
    assert leak["source"] == str(new_prefs)


def test_near_duplicates_are_not_looked_for_at_0(run, mixed):
    """As `--near 0` says."""
    values = json.loads(run("data", mixed, "--near", "0", "--json").stdout)
    assert values["near_duplicates"] is None
    refused = run("data", mixed, "--near", "0.3")
    assert refused.exit_code == 2
    assert "expected a threshold in [0.5, 1]; got 0.3" in refused.stderr


def test_a_page_is_written_beside_the_text(run, mixed, tmp_path):
    """And said where."""
    page = tmp_path / "deep" / "data.html"
    result = run("data", mixed, "--html", page)
    assert f"page: {page}" in result.stdout.replace("\n", "")
    assert "Look at this before you fit" in page.read_text(encoding="utf-8")


def test_labels_that_look_wrong_to_a_model_are_listed(run, saved, prefs, write_rows):
    """One row turned round among forty that say the same."""
    rows = [json.loads(line) for line in prefs.read_text().splitlines()]
    rows[7]["chosen"], rows[7]["rejected"] = rows[7]["rejected"], rows[7]["chosen"]
    turned = write_rows(rows)
    values = json.loads(run("data", turned, "--model", saved, "--json").stdout)
    assert values["suspicious"]["source_rows"][0] == 7
    assert values["suspicious"]["n"] < 4
    assert values["suspicious"]["examples"][0]["first"] == "bad reply 7"


def test_an_encoder_without_a_tokenizer_is_refused(run, prefs):
    """It cuts nothing, and counts no tokens."""
    result = run("data", prefs, "--encoder", "hashing")
    assert result.exit_code == 2
    assert "expected an encoder with a tokenizer of its own" in result.stderr


def test_what_an_encoder_cuts_is_counted(run, write_rows):
    """Of responses that differ in what the limit cuts off, no head can tell one."""
    same = "The mill stood by the river and turned all day. " * 60
    rows = [
        {"prompt": "Story?", "chosen": f"Good. {same}", "rejected": f"Bad. {same}"},
        {"prompt": "Story!", "chosen": "A good one.", "rejected": "A bad one."},
    ]
    path = write_rows(rows)
    values = json.loads(run("data", path, "--encoder", "minilm", "--json").stdout)
    cut = values["truncation"]
    assert (cut["limit"], cut["n_cut"], cut["n_identical"]) == (256, 2, 1)
    assert values["findings"][0]["kind"] == "identical"


def test_ratings_are_looked_at_with_the_pairs_they_imply(run, write_rows):
    """Scores become pairs, as `embrm fit` makes them."""
    rows = [
        {"prompt": f"p{n // 2}", "response": f"answer {n}", "score": float(n)}
        for n in range(6)
    ]
    values = json.loads(run("data", write_rows(rows), "--json").stdout)
    assert (values["n_pairs"], values["n_items"]) == (3, 6)


def test_a_file_in_no_known_format_exits_with_3(run, write_rows):
    """In one line."""
    path = write_rows([{"a": 1}])
    result = run("data", path)
    assert result.exit_code == 3
    assert result.stderr.startswith("error: ")
