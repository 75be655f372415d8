"""Sketches of prompts: near-duplicates are known without the texts."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np

from embrm.datasets.prompt_sketches import sketch_prompts

WORDS = np.array([f"word{n}" for n in range(300)])


def texts_and_copies(n, n_words=60, changed=3, seed=0):
    """Texts, and as many with a few words at their end replaced."""
    rng = np.random.default_rng(seed)
    texts = WORDS[rng.integers(len(WORDS), size=(n, n_words))]
    copies = texts.copy()
    copies[:, n_words - changed :] = rng.permutation(copies[:, :changed])
    return [" ".join(t) for t in texts], [" ".join(t) for t in copies]


def test_near_duplicates_are_known_and_others_are_not():
    """Jaccard index 0.9 against hardly any overlap."""
    texts, copies = texts_and_copies(400)
    others, _ = texts_and_copies(400, seed=1)
    known = sketch_prompts(texts)
    assert known.match(copies).mean() > 0.99
    assert known.match(others).mean() < 0.01


def test_a_system_prompt_that_all_share_does_not_count():
    """It is stored with the sketches, and left out of what is looked for."""
    system = "You are a helpful assistant. " + " ".join(f"rule{n}" for n in range(300))
    texts, copies = texts_and_copies(400)
    others, _ = texts_and_copies(400, seed=1)
    known = sketch_prompts([f"{system} {text}" for text in texts])
    assert len(known.common) > 300
    assert known.match([f"{system} {text}" for text in copies]).mean() > 0.99
    assert known.match([f"{system} {text}" for text in others]).mean() < 0.01


def test_the_share_of_equal_values_estimates_the_jaccard_index():
    """Within three standard errors of the mean of many."""
    texts, copies = texts_and_copies(400, changed=10)
    equal = (sketch_prompts(texts).values == sketch_prompts(copies).values).mean()
    estimate = (equal - 1 / 256) / (1 - 1 / 256)

    def index(one, other):
        sets = [set(pairwise(text.split())) for text in (one, other)]
        return len(sets[0] & sets[1]) / len(sets[0] | sets[1])

    truth = np.mean([index(*both) for both in zip(texts, copies, strict=True)])
    assert abs(estimate - truth) < 3 * 0.04 / 20


def test_spelling_alone_makes_no_difference():
    """Case, blanks and punctuation."""
    one, other = sketch_prompts(["Is the sea blue?", " is the  SEA blue"]).values
    assert (one == other).all()


def test_none_known_and_none_to_look_for():
    """Both give what they should: nothing."""
    assert sketch_prompts([]).match(["a b c"]).tolist() == [False]
    assert sketch_prompts(["a b c"]).match([]).tolist() == []


def test_sketches_are_the_same_in_every_process():
    """They are stored with models."""
    code = (
        "from embrm.datasets.prompt_sketches import sketch_prompts;"
        "print(sketch_prompts(['Is the sea blue?']).values.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "5"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == str(
        sketch_prompts(["Is the sea blue?"]).values.tolist()
    )


def test_stored_sketches_are_still_understood():
    """A change of their hashes would make those of saved models worthless."""
    (sketch,) = sketch_prompts(["Is the sea blue?"]).values
    assert sketch[:8].tolist() == [161, 202, 87, 155, 119, 214, 211, 123]
