"""The hashing encoder: the same everywhere, and learnable."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from embrm.embed import Encoder, HashingEncoder
from embrm.exceptions import InvalidInputError

TEXTS = [
    ("Why is the sky blue?", "Because air scatters blue light."),
    ("Why is the sky blue?", "It is not."),
    ("\u5929\u7a7a\u4e3a\u4ec0\u4e48\u662f\u84dd\u8272\u7684", "\u7a7a\u6c14"),
    ("", "alone"),
    ("alone", ""),
]
GOLDEN = [
    *(0.0, 0.38624364137649536, -0.482804536819458, -0.09656091034412384),
    *(0.0, 0.7724872827529907, 0.09656091034412384, -0.04828045517206192),
    *(0.3162277638912201, -0.9486833214759827, 0.0, 0.0),
    *(0.05882352963089943, 1.0, 0.2222222238779068, 0.2222222238779068),
]
texts = st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), max_size=6)


def test_it_is_an_encoder():
    """It follows the protocol."""
    assert isinstance(HashingEncoder(), Encoder)


def test_vectors_are_the_same_in_another_process_with_another_hash_seed():
    """Python's own hash is nowhere used."""
    code = (
        "from embrm.embed.hashing import HashingEncoder; import hashlib; "
        "print(hashlib.sha256(HashingEncoder().encode("
        "[('a b', 'b c d'), ('\u5929', 'x')]).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_vectors_are_the_same_on_every_machine():
    """Golden values: a change of them is a new recipe, and a new fingerprint."""
    vector = HashingEncoder(dim=16, seed=3).encode([("Why is it?", "It is so.")])[0]
    np.testing.assert_array_equal(vector, np.array(GOLDEN, dtype=np.float32))


@settings(max_examples=60)
@given(texts=texts)
def test_a_vector_does_not_depend_on_its_neighbours(texts):
    """Bitwise: alone, reversed or together."""
    encoder = HashingEncoder(dim=32)
    together = encoder.encode(texts)
    alone = [encoder.encode([text])[0] for text in texts]
    np.testing.assert_array_equal(together, np.array(alone).reshape(-1, 32))
    np.testing.assert_array_equal(together[::-1], encoder.encode(texts[::-1]))


@settings(max_examples=60)
@given(texts=texts, scaling=st.sampled_from(["l2", "sqrt"]))
def test_vectors_are_finite_float32(texts, scaling):
    """Whatever the text, lone surrogates and empty ones included."""
    vectors = HashingEncoder(dim=16, scaling=scaling).encode(texts)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_prompt_and_response_live_in_separate_columns():
    """Another prompt leaves the response's half as it is."""
    one, other = HashingEncoder(dim=64).encode([("a b", "x y"), ("c d", "x y")])
    np.testing.assert_array_equal(one[:32], other[:32])
    assert not np.array_equal(one[32:48], other[32:48])


def test_hashed_blocks_have_unit_length_with_l2():
    """Long and short texts weigh the same."""
    vectors = HashingEncoder(dim=64).encode(TEXTS[:2])
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :32], axis=1), 1, rtol=1e-6)


def test_longer_texts_have_longer_vectors_with_sqrt():
    """The number of words is kept."""
    short, long = HashingEncoder(scaling="sqrt").encode(
        [("p", "one two"), ("p", "one two three four five six seven eight")]
    )
    assert np.linalg.norm(long[:128]) > np.linalg.norm(short[:128])


def test_overlap_columns_say_how_much_the_response_repeats():
    """A parrot shares all n-grams with its prompt, a stranger none."""
    parrot, stranger = HashingEncoder().encode([("a b c", "a b c"), ("a b c", "x y")])
    assert (parrot[-2:].tolist(), stranger[-2:].tolist()) == ([1, 1], [0, 0])


def test_chinese_text_is_split_into_characters():
    """Two sentences with most characters in common are close."""
    same, other = (
        HashingEncoder().encode([("", "\u6211\u7231\u5317\u4eac\u57ce"), ("", text)])
        for text in ("\u6211\u7231\u5357\u4eac\u57ce", "\u4f60\u597d\u4e16\u754c")
    )
    assert same[0, :128] @ same[1, :128] > 0.3 > other[0, :128] @ other[1, :128]


@pytest.mark.parametrize("scaling", ["l2", "sqrt"])
def test_a_signal_planted_in_the_text_can_be_learned(scaling):
    """Which response has the friendlier words is learned from 600 pairs."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(300)])
    good, bad = words[:15], words[15:30]

    def response(n_good: int) -> str:
        drawn = [*rng.choice(words[30:], 20), *rng.choice(good, n_good)]
        drawn += [*rng.choice(bad, 4 - n_good)]
        return " ".join(rng.permutation(drawn))

    n_good = rng.permuted(np.tile([0, 1, 2, 3, 4], (900, 1)), axis=1)[:, :2]
    first = [("p", response(n)) for n in n_good[:, 0]]
    second = [("p", response(n)) for n in n_good[:, 1]]
    encoder = HashingEncoder(scaling=scaling)
    delta = encoder.encode(first) - encoder.encode(second)
    y = n_good[:, 0] > n_good[:, 1]
    model = LogisticRegression(fit_intercept=False).fit(delta[:600], y[:600])
    assert model.score(delta[600:], y[600:]) > 0.7


def test_ten_thousand_texts_take_seconds():
    """Work is done by arrays, not word by word (bound wide for a busy machine)."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n}" for n in range(5000)])
    texts = [
        ("a b c", " ".join(row)) for row in words[rng.integers(5000, size=(3000, 50))]
    ]
    started = time.process_time()
    HashingEncoder().encode(texts)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "changed",
    [{"dim": 128}, {"seed": 1}, {"ngrams": (1,)}, {"scaling": "sqrt"}],
)
def test_every_parameter_changes_fingerprint_and_vectors(changed):
    """Vectors of different encoders never share a store."""
    one, other = HashingEncoder(), HashingEncoder(**changed)
    assert one.fingerprint.digest != other.fingerprint.digest
    assert not np.array_equal(one.encode(TEXTS), other.encode(TEXTS))


def test_the_order_of_ngrams_changes_nothing():
    """(2, 1) is (1, 2)."""
    one, other = HashingEncoder(ngrams=(1, 2)), HashingEncoder(ngrams=(2, 1, 1))
    assert one.fingerprint.digest == other.fingerprint.digest
    np.testing.assert_array_equal(one.encode(TEXTS), other.encode(TEXTS))


def test_progress_is_reported():
    """Texts add up."""
    reports = []
    HashingEncoder().encode(TEXTS * 300, on_batch=reports.append)
    assert sum(report.n_texts for report in reports) == len(TEXTS) * 300


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 15},
        {"seed": -1},
        {"ngrams": ()},
        {"ngrams": (0,)},
        {"ngrams": (9,)},
        {"scaling": "l1"},
    ],
)
def test_impossible_parameters_are_refused(options):
    """The message says which rule is broken."""
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        HashingEncoder(**options)


def test_what_is_no_text_is_refused():
    """A missing response is not embedded as the word None."""
    with pytest.raises(InvalidInputError, match="NoneType"):
        HashingEncoder().encode([("p", None)])
