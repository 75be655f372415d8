"""`--group-near-duplicates`: in `embrm fit`, and in what `embrm evaluate` knows."""

import json


def test_near_duplicate_prompts_are_held_out_and_known_as_one(run, tmp_path):
    """Two spellings of ten prompts: ten folds at most, and evaluate knows both."""
    rows = [
        {
            "prompt": f"Write a poem about the number {n} and its friends{end}",
            "chosen": f"good {n}",
            "rejected": f"bad {n}",
        }
        for n in range(10)
        for end in ("", " please")
    ]
    path, other = tmp_path / "prefs.jsonl", tmp_path / "other.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    thanks = [row | {"prompt": f"{row['prompt']}, thanks"} for row in rows[::2]]
    other.write_text("".join(json.dumps(row) + "\n" for row in thanks))
    options = ["--encoder", "hashing", "--cv", "20", "--json"]
    options += ["--group-near-duplicates"]
    result = run("fit", path, "--out", tmp_path / "m", *options)
    assert json.loads(result.stdout)["held_out"]["folds"] == 10
    assert "20 prompts, 10 with near-duplicates as one" in result.stderr
    values = json.loads(run("evaluate", tmp_path / "m", other, "--json").stdout)
    assert values["n_pairs_seen_in_training"] == 10
