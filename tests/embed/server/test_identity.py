"""Who answers behind an address."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed import item_keys
from embrm.embed.server._answers import Answer
from embrm.embed.server._identity import (
    GOLDEN_TEXTS,
    TOLERANCE,
    ServerIdentity,
    check_ends_are_read,
    end_texts,
    sketch,
)
from embrm.exceptions import IntegrityError, InvalidInputError

DIM = 384


def vectors(seed: int, dim: int = DIM) -> np.ndarray:
    """Vectors of the golden texts by a model: unit length, and much in common."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=dim) + rng.normal(size=(2, dim))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def identity(rows: np.ndarray, model: str = "toy") -> ServerIdentity:
    return ServerIdentity.of(Answer(rows.astype(np.float32), 0, model))


def moved(rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Move each vector by a share of its length in a random direction."""
    noise = np.random.default_rng(seed).normal(size=rows.shape)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return rows + share * np.linalg.norm(rows, axis=1, keepdims=True) * noise


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([2, 16, 64, 65, 384, 4096]),
    st.sampled_from([1.0, 0.01, 300.0]),
    st.sampled_from([0.0, 1e-6, 1e-3, 6.5e-3]),
)
def test_noise_up_to_that_of_bfloat16_is_tolerated(seed, dim, scale, noise):
    """Any two contacts with one server are within the tolerance."""
    truth = scale * vectors(seed, dim)
    one, other = (identity(moved(truth, noise, seed + n)) for n in (1, 2))
    assert one.distance(other.fields()) <= TOLERANCE


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([16, 64, 384, 4096]))
def test_another_model_is_far_away(seed, dim):
    """No two models agree on two texts by chance."""
    one, other = identity(vectors(seed, dim)), identity(vectors(seed + 1, dim))
    assert one.distance(other.fields()) > 5 * TOLERANCE


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([64, 384, 4096]))
def test_a_model_that_was_trained_on_is_told_apart(seed, dim):
    """A cosine of 0.995 to what it was: a tenth of the length."""
    truth = vectors(seed, dim)
    one, other = identity(truth), identity(moved(truth, 0.1, seed))
    assert one.distance(other.fields()) > TOLERANCE


@pytest.mark.parametrize("scale", [1.03, 0.97, 20.0])
def test_another_scale_is_told_apart(scale):
    """Normalised and raw vectors of one model never mix."""
    one, other = identity(vectors(0)), identity(scale * vectors(0))
    assert one.distance(other.fields()) > TOLERANCE


def test_unit_vectors_are_recognised_as_normalised():
    """The fingerprint says so, for people to read."""
    assert identity(vectors(0)).fields()["normalised"]
    assert not identity(3 * vectors(0)).fields()["normalised"]


def test_another_name_is_another_model():
    """Whatever the vectors."""
    one = identity(vectors(0))
    assert one.distance(identity(vectors(0), model="other").fields()) == np.inf


@pytest.mark.parametrize(
    "change",
    [
        {"golden_norms": [1.0]},
        {"golden_norms": None},
        {"golden_norms": [1.0, float("nan")]},
        {"golden_sketches": []},
        {"golden_sketches": [[0.1], [0.2]]},
        {"golden_sketches": [[0.1], [0.2, 0.3]]},
        {"golden_sketches": "no"},
        {"golden_sketches": {"a": 1}},
    ],
)
def test_a_damaged_identity_is_another_one(change):
    """What is in a cache's files is not trusted to have a form."""
    one = identity(vectors(0))
    assert one.distance(one.fields() | change) == np.inf


def test_an_identity_survives_json():
    """The cache and saved models keep it so."""
    one = identity(vectors(0))
    assert one.distance(json.loads(json.dumps(one.fields()))) == 0


def test_a_sketch_keeps_distances_about():
    """Within a quarter, here of vectors that differ in random directions."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4096))
    true = np.linalg.norm(rows[::2] - rows[1::2], axis=1)
    short = sketch(rows)
    seen = np.linalg.norm(short[::2] - short[1::2], axis=1)
    assert np.abs(seen / true - 1).max() < 0.3


def test_short_vectors_are_kept_whole():
    """But for signs."""
    rows = np.random.default_rng(0).normal(size=(2, 64))
    np.testing.assert_array_equal(np.abs(sketch(rows)), np.abs(rows))


def test_the_sketch_never_changes():
    """Caches of earlier versions are found again."""
    assert sketch(np.arange(1.0, 130.0)[np.newaxis])[0, :5].tolist() == [
        -65.0,
        -64.0,
        64.0,
        -64.0,
        -74.0,
    ]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (np.zeros((2, 8)), "a vector of zeros"),
        (np.ones((2, 8)), "the same twice"),
    ],
)
def test_a_server_that_does_not_see_texts_is_refused(rows, match):
    """Two texts, two vectors."""
    with pytest.raises(IntegrityError, match=f"two vectors for two texts; got {match}"):
        identity(rows)


def test_the_golden_texts_never_change():
    """Every server would be a new one."""
    assert [key.tobytes().hex() for key in item_keys(GOLDEN_TEXTS)] == [
        "fc128ca930afd8acb64402d037a651da",
        "4eea883806bfc781dd468ff84e88506d",
    ]


def test_long_texts_differ_only_at_their_ends():
    """And in as many characters, so that truncation keeps them aligned."""
    (prompt, one), (same, other) = end_texts(1000)
    assert prompt == same
    assert len(prompt) >= 1000
    assert len(one) == len(other)
    assert one != other


def test_a_server_that_cuts_ends_is_refused():
    """It would lose the responses."""
    answer = Answer(np.ones((2, 8), dtype=np.float32), 0, "toy")
    with pytest.raises(InvalidInputError, match=r"two texts of max_chars=9 with other"):
        check_ends_are_read(answer, "max_chars=9")


def test_a_server_that_reads_to_the_end_is_accepted():
    """However little the end changes."""
    rows = np.ones((2, 8), dtype=np.float32)
    rows[1, 0] += 1e-3
    check_ends_are_read(Answer(rows, 0, "toy"), "max_chars=9")
