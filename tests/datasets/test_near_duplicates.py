"""Near-duplicate prompts: what is merged, what is not, and that all of it is found."""

import os
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from embrm.datasets import (
    near_duplicate_groups,
    near_duplicate_prompt_ids,
    read_preferences,
)
from embrm.datasets.near_duplicates import near_shared
from embrm.exceptions import InvalidInputError

SEA = "Write a short poem about the sea at night"


def shingles(text):
    """What the module says a prompt is, in plain Python, for words of letters."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return set(pairwise(words)) if len(words) > 1 else set(words)


def jaccard(texts):
    """The Jaccard index of all texts with one another."""
    sets = [shingles(text) for text in texts]
    return np.array(
        [[len(a & b) / len(a | b) if a | b else 1.0 for b in sets] for a in sets]
    )


def random_texts(n, seed, n_words=60, sizes=(3, 25)):
    """Texts, half of them others with one word changed, left out or put in."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(n_words, size=rng.integers(*sizes)).tolist() for _ in "." * n]
    for at in range(n // 2, n):
        text = list(texts[rng.integers(n // 2)])
        place = int(rng.integers(len(text)))
        new = [[], [int(rng.integers(n_words))]][rng.integers(2)]
        text[place : place + int(rng.integers(2))] = new
        texts[at] = text
    return [" ".join(f"w{n}" for n in text) for text in texts]


@pytest.mark.parametrize(
    "other",
    [
        f"{SEA}.",
        f"  {SEA.upper()} !!",
        "Write a short poem, about the sea, at night",
        "Write a short  poem\nabout the sea at night",
        "\uff37rite a short poem about the sea at night",
        f"{SEA} please",
    ],
)
def test_case_punctuation_blanks_and_a_word_more_make_no_new_prompt(other):
    """Full-width letters are letters too."""
    assert near_duplicate_groups([SEA, "Name a fruit", other]).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SEA, "Write a long story about the sea at night"),
        ("2+2?", "2-2?"),
        ("12 * 3", "12 / 3"),
        ("3.5", "35"),
        ("Hi", "Bye"),
        ("今天天气怎么样", "明天股票会涨吗"),
    ],
)
def test_prompts_that_ask_for_something_else_stay_apart(one, other):
    """Signs of arithmetic are words, not punctuation."""
    assert near_duplicate_groups([one, other]).tolist() == [0, 1]


def test_scripts_without_spaces_are_compared_by_characters():
    """One character more in a long Chinese prompt makes a near-duplicate."""
    one = "请写一首关于夜晚大海的短诗并解释其中的含义"
    assert near_duplicate_groups([one, one + "吧。"]).tolist() == [0, 0]


def test_conversations_are_compared_as_text():
    """A list of messages, and the same as one user turn."""
    turns = [{"role": "user", "content": SEA}]
    assert near_duplicate_groups([turns, f"{SEA}!"]).tolist() == [0, 0]


def test_empty_prompts_and_none_at_all():
    """Texts without a word are one group; no texts, none."""
    assert near_duplicate_groups(["", "...", " "]).tolist() == [0, 0, 0]
    assert near_duplicate_groups([]).shape == (0,)


@settings(max_examples=60)
@given(st.lists(st.text("ab cd", max_size=12), min_size=1, max_size=12))
def test_what_is_merged_is_connected_by_pairs_above_the_threshold(texts):
    """Never by chance: groups are within the components of the true index."""
    groups = near_duplicate_groups(texts)
    _, truth = connected_components(jaccard(texts) >= 0.8 - 1e-12)
    for group in range(groups.max() + 1):
        assert len(set(truth[groups == group])) == 1


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9])
def test_all_pairs_above_the_threshold_are_found(threshold):
    """Of 1,500 texts, half of them edited copies, the groups are the true ones."""
    texts = random_texts(1500, seed=1)
    groups = near_duplicate_groups(texts, threshold)
    alike = jaccard(texts) >= threshold - 1e-12
    found = groups[:, None] == groups
    assert alike.sum() > 1500 + 200
    assert found[alike].mean() > 0.998


def test_a_threshold_of_1_merges_equal_sets_only():
    """The order of sentences may differ, no shingle may."""
    texts = [SEA, SEA + ".", SEA + " now"]
    assert near_duplicate_groups(texts, threshold=1).tolist() == [0, 0, 1]


def test_a_large_family_of_near_duplicates_is_one_group():
    """More than are compared with one another in a bucket."""
    long = " ".join(f"word{n}" for n in range(60))
    texts = [f"{long} number {n}" for n in range(50)]
    assert set(near_duplicate_groups(texts)) == {0}


def test_a_template_that_many_prompts_share_makes_no_near_duplicates():
    """What follows a long system prompt counts, and is compared by itself."""
    system = "You are a helpful assistant. " + " ".join(f"rule{n}" for n in range(100))
    texts = random_texts(400, seed=4, sizes=(10, 30))
    plain = near_duplicate_groups(texts)
    with_system = near_duplicate_groups([f"{system} {text}" for text in texts])
    assert 100 < len(set(plain)) < 400
    together, now = (g[:, None] == g for g in (plain, with_system))
    assert (together == now).mean() > 0.999


def test_groups_do_not_depend_on_the_order_of_the_prompts():
    """The same prompts are together, in whatever order they are given."""
    texts = random_texts(300, seed=2)
    order = np.random.default_rng(0).permutation(len(texts))
    groups = near_duplicate_groups(texts)
    shuffled = np.empty_like(groups)
    shuffled[order] = near_duplicate_groups([texts[at] for at in order])
    together = groups[:, None] == groups
    np.testing.assert_array_equal(shuffled[:, None] == shuffled, together)


def test_groups_do_not_depend_on_the_process():
    """Python's hashes of text are seeded anew in each; ours are not."""
    code = (
        "from embrm.datasets._shingles import shingle_sets;"
        f"print(shingle_sets([{SEA!r}]).hashes.tolist())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_texts_are_taken_apart_in_parts_with_the_same_result(monkeypatch):
    """Parts of few bytes, batches of few shingles and of few pairs."""
    texts = random_texts(200, seed=3)
    whole = near_duplicate_groups(texts)
    for name in ("_shingles._BYTES_AT_ONCE", "_shingles._SHINGLES_AT_ONCE"):
        monkeypatch.setattr(f"embrm.datasets.{name}", 100)
    monkeypatch.setattr("embrm.datasets.near_duplicates._VERIFIED_AT_ONCE", 100)
    assert near_duplicate_groups(texts).tolist() == whole.tolist()


@pytest.mark.parametrize("threshold", [0.4, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    """Below one half, everything would be near everything."""
    with pytest.raises(InvalidInputError, match=r"expected a threshold in \[0.5, 1\]"):
        near_duplicate_groups(["a"], threshold)


def test_prompts_that_are_no_text_are_refused():
    """Half a surrogate pair, and what is neither text nor messages."""
    with pytest.raises(InvalidInputError, match="prompts that are valid Unicode"):
        near_duplicate_groups(["\ud83d"])
    with pytest.raises(InvalidInputError, match="a str or a list of messages"):
        near_duplicate_groups([7])


def test_prompt_ids_of_items_are_merged():
    """All items of near-duplicate prompts share an id; others keep theirs apart."""
    rows = [
        {"prompt": prompt, "chosen": "yes", "rejected": "no"}
        for prompt in (SEA, "Name a fruit", f"{SEA}!", "Name a tree")
    ]
    ids = near_duplicate_prompt_ids(read_preferences(rows))
    assert ids.tolist() == [0, 0, 1, 1, 0, 0, 2, 2]


def test_prompts_of_another_list_are_marked():
    """Near-duplicates within the list alone are not."""
    own = [SEA, "Name a fruit", "name a fruit.", "Is it so?"]
    assert near_shared(own, [f"{SEA}?"]).tolist() == [True, False, False, False]
