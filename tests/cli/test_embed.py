"""`embrm embed`: fill the cache."""

import json


def test_the_second_run_embeds_nothing(run, prefs, tmp_path):
    """All items are found the second time, and the output says so."""
    command = ["embed", prefs, "--encoder", "hashing", "--cache", tmp_path, "--json"]
    first = json.loads(run(*command).stdout)["embedded"]
    second = json.loads(run(*command).stdout)["embedded"]
    assert (first["n_embedded"], first["n_hits"]) == (80, 0)
    assert (second["n_embedded"], second["n_hits"]) == (0, 80)


def test_a_cache_is_asked_for(run, prefs):
    """Embedding without keeping would be work for nothing."""
    result = run("embed", prefs, "--encoder", "hashing")
    assert result.exit_code == 2
    assert "Missing option '--cache'" in result.stderr


def test_people_read_the_account_and_the_counts(run, prefs, tmp_path):
    """Words on stdout: rows, items, hits."""
    result = run("embed", prefs, "--encoder", "hashing", "--cache", tmp_path)
    assert "40 kept" in result.stdout
    assert "80" in result.stdout
