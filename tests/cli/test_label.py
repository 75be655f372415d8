"""`embrm label`: the page by default, tasks out, labels in."""

import json
import signal
import subprocess
import sys

import httpx2
import pytest

ROWS = [
    {"prompt": f"Prompt {p}", "response": f"Answer {r}, number {p}", "score": r}
    for p in range(4)
    for r in range(3)
]


@pytest.fixture
def responses(tmp_path):
    path = tmp_path / "responses.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_the_page_is_served_until_it_is_told_to_stop(responses, tmp_path):
    """A label by HTTP is in the file; the end is in order."""
    out = tmp_path / "my.jsonl"
    code = "from embrm.cli import main; main()"
    words = ["label", responses, "--out", out, "--encoder", "hashing:64"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words), "--no-browser", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        url = json.loads(process.stdout.readline())["url"]
        base = url.split("/?")[0]
        pair = httpx2.get(f"{base}/api/next").json()
        body = {"pair_id": pair["pair_id"], "winner": "tie"}
        assert httpx2.post(f"{base}/api/label", json=body).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 labels in" in told
    assert [json.loads(line)["winner"] for line in out.read_text().splitlines()] == [
        "tie"
    ]


def test_tasks_are_exported_and_labels_imported(run, responses, tmp_path):
    """By their subcommands."""
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "labels.jsonl"
    words = ["--encoder", "hashing:64", "--tool", "arena", "--n", "3", "--json"]
    cache = ["--cache", tmp_path / "vectors"]
    done = run("label", "export", responses, "--out", tasks, *words, *cache)
    assert json.loads(done.stdout)["tasks"] == 3
    assert "hashing" in run("cache", "info", tmp_path / "vectors").stdout
    judged = [
        json.loads(line) | {"winner": winner}
        for line, winner in zip(
            tasks.read_text().splitlines(), ("model_a", "model_b", "tie"), strict=True
        )
    ]
    tasks.write_text("".join(json.dumps(row) + "\n" for row in judged))
    done = json.loads(run("label", "import", tasks, "--out", out, "--json").stdout)
    assert (done["added"], done["known"]) == (3, 0)
    assert [json.loads(line)["winner"] for line in out.read_text().splitlines()] == [
        "first",
        "second",
        "tie",
    ]


def test_what_cannot_be_labelled_is_refused(run, responses, tmp_path):
    """An unknown strategy, and a file that no session wrote."""
    out = tmp_path / "my.jsonl"
    words = ["label", responses, "--out", out, "--encoder", "hashing:64"]
    done = run(*words, "--strategy", "best")
    assert (done.exit_code, "a strategy: random" in done.stderr) == (2, True)
    out.write_text("{}\n")
    assert "a file without its journal" in run(*words).stderr
