"""Mined files: what is selected is written, read back, and accounted for."""

import json
import tracemalloc

import numpy as np
import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError
from embrm.messages import canonical_json
from embrm.policy import TRAINING_FORMATS, MiningRule, Scored, mine, mining_card

CONVERSATION = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "2+2?"},
]
ROWS = [
    {"prompt": "问题 ü", "response": "a"},
    {"prompt": CONVERSATION, "response": "four, I think"},
    {"prompt": "问题 ü", "response": "a longer one\nof two lines"},
    {"prompt": CONVERSATION, "response": "4"},
    {"prompt": "问题 ü", "response": "in between"},
]


def by_length(texts):
    """Reward brevity."""
    return Scored(-np.array([float(len(response)) for _, response in texts]))


@pytest.mark.parametrize("name", TRAINING_FORMATS)
def test_pairs_are_read_back_as_they_were_selected(name, tmp_path):
    """Prompts of one and of many turns, responses and margins, in all formats."""
    out = tmp_path / "pairs.jsonl"
    mined = mine(ROWS, by_length, out, MiningRule(format=name))
    read = read_preferences(out)
    assert mined.n_written == len(read) == 2
    both = {
        (canonical_json(read.texts[i][0]), read.texts[i][1], read.texts[j][1])
        for i, j in read.pairs[["first", "second"]].to_numpy()
    }
    assert both == {
        (canonical_json("问题 ü"), "a", "a longer one\nof two lines"),
        (canonical_json(CONVERSATION), "4", "four, I think"),
    }
    assert read.y.tolist() == [1.0, 1.0]
    assert sorted(read.pairs["margin"]) == [12.0, 24.0]


@pytest.mark.parametrize("name", TRAINING_FORMATS)
def test_demonstrations_end_with_the_best_response(name, tmp_path):
    """In the assistant's turn, whatever the format calls it."""
    out = tmp_path / "sft.jsonl"
    mined = mine(ROWS, by_length, out, MiningRule("best-of-n", name))
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert mined.n_written == len(rows) == 2
    keys = {
        "trl": "completion",
        "openrlhf": "output",
        "llama-factory": "conversations",
        "axolotl": "messages",
    }
    last = [row[keys[name]][-1] for row in rows]
    assert [t.get("content", t.get("value")) for t in last] == ["a", "4"]


def test_lists_of_responses_and_columns_of_other_names_are_mined(tmp_path):
    """As `embrm score` reads them."""
    out = tmp_path / "pairs.jsonl"
    rows = [{"frage": "why", "responses": ["because", "so", "for a reason"]}]
    mine(rows, by_length, out, columns={"prompt": "frage"})
    read = read_preferences(out)
    assert [response for _, response in read.texts] == ["so", "for a reason"]


def test_what_cannot_be_used_is_counted_by_reason(tmp_path):
    """Rows that cannot be read, lone responses, responses that are equal."""
    rows = [
        *ROWS,
        {"prompt": "alone", "response": "x"},
        {"prompt": "empty", "response": ""},
        {"prompt": "twice", "response": "same"},
        {"prompt": "twice", "response": "same"},
    ]
    mined = mine(rows, by_length, tmp_path / "pairs.jsonl")
    assert mined.left_out == {
        "empty response": 1,
        "single response": 1,
        "margin too small": 1,
    }


def test_turns_that_a_format_has_no_word_for_are_left_out(tmp_path):
    """ShareGPT has no developer."""
    odd = [{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}]
    rows = [*ROWS, *({"prompt": odd, "response": r} for r in ("p", "qq"))]
    rule = MiningRule(format="llama-factory")
    mined = mine(rows, by_length, tmp_path / "pairs.jsonl", rule)
    assert mined.left_out == {"turns that the format has no word for": 1}
    assert mined.n_written == 2


def test_nothing_selected_is_an_error_and_leaves_no_file(tmp_path):
    """With the reasons; so is a file without a row that can be read."""
    out = tmp_path / "pairs.jsonl"
    with pytest.raises(DataError, match="1 single response"):
        mine([{"prompt": "a", "response": "b"}], by_length, out)
    with pytest.raises(DataError, match="no row"):
        mine([{"prompt": "a", "response": ""}], by_length, out)
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused_before_anything_is_read(tmp_path):
    """A format and a strategy."""
    with pytest.raises(InvalidInputError, match="llama-factory"):
        mine(None, by_length, tmp_path / "a.jsonl", MiningRule(format="verl"))
    with pytest.raises(InvalidInputError, match="best-vs-second"):
        mine(None, by_length, tmp_path / "a.jsonl", MiningRule("best"))


def test_memory_does_not_grow_with_the_texts(tmp_path):
    """Forty megabytes of responses are mined with a tenth of that held."""
    path = tmp_path / "many.jsonl"
    filler = "word " * 4000
    with path.open("w") as stream:
        for n in range(2000):
            row = {"prompt": f"question {n // 4}", "response": f"{n % 7} {filler}{n}"}
            stream.write(json.dumps(row) + "\n")

    def score(texts):
        return Scored(np.array([float(text[0]) for _, text in texts]))

    tracemalloc.start()
    mined = mine(path, score, tmp_path / "pairs.jsonl", rows_at_once=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mined.n_items == 2000
    assert path.stat().st_size > 40e6 > 10 * peak


def test_diversity_keeps_no_vectors_in_memory(tmp_path):
    """2,000 vectors of 4,096 numbers are 64 MB: less than half is ever held."""
    rows = [{"prompt": f"p{n // 4}", "response": f"r{n}"} for n in range(2000)]
    rng = np.random.default_rng(0)

    def score(texts):
        vectors = rng.normal(size=(len(texts), 4096)).astype(np.float32)
        return Scored(vectors[:, 0].astype(float), vectors=vectors)

    rule = MiningRule("best-of-n", diversity=1.0, n=2)
    tracemalloc.start()
    mined = mine(rows, score, tmp_path / "sft.jsonl", rule, rows_at_once=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mined.n_written == 1000
    assert peak < 32e6


def test_diversity_takes_what_is_unlike_the_best(tmp_path):
    """Of three responses, two alike: the better of these, and the other."""
    rows = [{"prompt": "p", "response": name} for name in "abc"]
    directions = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]])

    def score(texts):
        return Scored(np.array([2.0, 1.9, 1.5])[: len(texts)], vectors=directions)

    out = tmp_path / "sft.jsonl"
    for diversity, best in ((0.0, "ab"), (1.0, "ac")):
        mine(rows, score, out, MiningRule("best-of-n", diversity=diversity, n=2))
        told = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
        assert [row["completion"][0]["content"] for row in told] == list(best)


def test_the_card_says_what_was_selected_by_what(tmp_path):
    """Model, counts, lengths, share outside the hull, and how to train."""

    def score(texts):
        reward = by_length(texts).reward
        return Scored(reward, outside=reward > -2)

    out = tmp_path / "pairs.jsonl"
    mined = mine(ROWS, score, out, MiningRule(min_margin=0.5))
    card = mining_card(mined, out, {"model": "m1", "encoder digest": "abc"})
    assert "- encoder digest: `abc`" in card
    assert "- min margin: 0.5" in card
    assert "| length (characters) | 10 | 1 | 19 |" in card
    assert "| outside the training hull | 40.0% | 100.0% | 0.0% |" in card
    assert 'data_files="pairs.jsonl"' in card
    assert mined.to_json()["margin"] == {
        "mean": 18.0,
        "smallest": 12.0,
        "largest": 24.0,
    }
