"""Several encoders are one: a block of columns each, and a store each."""

import numpy as np
import pandas as pd
import pytest

from embrm import RewardModel
from embrm.embed import (
    CombinedEncoder,
    HashingEncoder,
    StyleEncoder,
    embed_items,
    encoder_from_spec,
    encoder_spec,
    estimate_embedding,
    make_encoder,
)
from embrm.exceptions import InvalidInputError
from embrm.persist import load_model, save_model

TEXTS = [("Why?", f"Because **{n}**.\n- yes") for n in range(5)]


class Counting(HashingEncoder):
    """Counts the texts that it embeds."""

    def encode(self, texts, *, on_batch=None):
        seen.extend(texts)
        return super().encode(texts, on_batch=on_batch)


seen = []


def test_its_vectors_are_those_of_its_encoders():
    """Next to each other, in order."""
    both = make_encoder("hashing:64+style")
    expected = [HashingEncoder(64).encode(TEXTS), StyleEncoder().encode(TEXTS)]
    np.testing.assert_array_equal(both.encode(TEXTS), np.hstack(expected))
    assert both.blocks == {"hashing:64": slice(0, 64), "style": slice(64, 80)}
    assert both.fingerprint.dim == 80


def test_to_add_a_block_embeds_only_what_is_new(tmp_path):
    """Each encoder has a store of its own in the cache."""
    seen.clear()
    embed_items(TEXTS, Counting(64), tmp_path)
    both = CombinedEncoder(("words", "style"), (Counting(64), StyleEncoder()))
    done = embed_items(TEXTS, both, tmp_path)
    assert len(seen) == len(TEXTS)
    np.testing.assert_array_equal(done.vectors, both.encode(TEXTS))
    again = embed_items(TEXTS, both, tmp_path)
    assert (again.n_hits, again.n_embedded) == (5, 0)
    assert estimate_embedding(TEXTS, both, tmp_path) is None


def test_it_can_be_made_again_from_its_description():
    """As JSON, for saved models."""
    both = make_encoder("hashing:64+style")
    spec = encoder_spec(both)
    assert encoder_from_spec(spec) == both
    assert encoder_from_spec(spec).fingerprint.digest == both.fingerprint.digest


def test_every_encoder_needs_a_name_of_its_own():
    """Twice the same would be a useless block."""
    with pytest.raises(InvalidInputError, match="a name of its own"):
        make_encoder("style+style")


def test_a_plus_in_an_address_divides_nothing():
    """Models on servers may have one in their names."""
    encoder = make_encoder("openai:a+b@http://localhost:1/v1")
    assert encoder.model == "a+b"


FRAME = pd.DataFrame(
    {
        "prompt": [f"question {n % 8}" for n in range(24)],
        "chosen": [f"a **good** answer {n}\n- with a list" for n in range(24)],
        "rejected": [f"a poor answer {n}" for n in range(24)],
    }
)


@pytest.mark.parametrize("encoder", [["hashing:32", "style"], "hashing:32+style"])
def test_a_reward_model_takes_several_encoders(encoder, tmp_path):
    """By a list or a name; the saved model knows its blocks."""
    model = RewardModel(encoder=encoder).fit(FRAME)
    assert list(model.blocks) == ["hashing:32", "style"]
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.blocks == model.blocks
    items = FRAME.rename(columns={"chosen": "response"})
    pd.testing.assert_series_equal(loaded.reward(items), model.reward(items))
