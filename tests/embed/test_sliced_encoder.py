"""Slices: tokenised ahead, in order, errors where they belong."""

import threading

import numpy as np
import pytest

from embrm.embed import sliced_encoder
from embrm.embed.causal.encoder import CausalLMEncoder
from embrm.embed.sentence import SentenceTransformerEncoder
from embrm.embed.sliced_encoder import SlicedEncoder, _slices
from embrm.exceptions import InvalidInputError

TEXTS = [("Why is the sky blue?", f"{n} {'because ' * (n % 4)}") for n in range(9)]


@pytest.fixture
def encoder(tiny_models, monkeypatch):
    """An encoder whose slices are of four texts."""
    monkeypatch.setattr(sliced_encoder, "_TEXTS_AT_ONCE", 4)
    return CausalLMEncoder(
        str(tiny_models["llama"]),
        template="plain",
        dtype="float32",
        store_dtype="float32",
    )


def test_encoders_that_load_a_model_are_sliced(encoder, minilm):
    """Both kinds."""
    assert isinstance(encoder, SlicedEncoder)
    assert isinstance(minilm, SlicedEncoder)


def test_slices_do_not_change_the_vectors(encoder, monkeypatch):
    """Order and values."""
    sliced = encoder.encode(TEXTS)
    monkeypatch.setattr(sliced_encoder, "_TEXTS_AT_ONCE", 100)
    np.testing.assert_allclose(sliced, encoder.encode(TEXTS), atol=1e-5)


def test_later_slices_are_tokenised_beside_the_model(encoder, monkeypatch):
    """The first by the caller, the others by a thread."""
    threads = []
    tokens_of = CausalLMEncoder._tokens

    def noted(self, texts):
        threads.append(threading.current_thread() is threading.main_thread())
        return tokens_of(self, texts)

    monkeypatch.setattr(CausalLMEncoder, "_tokens", noted)
    encoder.encode(TEXTS)
    assert threads == [True, False, False]


def test_a_malformed_text_in_a_later_slice_is_an_error(encoder):
    """What the thread raises reaches the caller."""
    with pytest.raises(InvalidInputError, match="pairs"):
        encoder.encode([*TEXTS, ("no response", None)])


def test_no_texts_give_no_vectors(encoder):
    """Of the right length."""
    assert encoder.encode([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("n", "first", "lengths"),
    [(0, 128, []), (100, 128, [100]), (3000, 128, [128, 256, 512, 1024, 1024, 56])],
)
def test_slices_double_up_to_the_usual_length(n, first, lengths):
    """A GPU waits for a short one."""
    slices = _slices(n, first)
    assert [part.stop - part.start for part in slices] == lengths
    assert [part.start for part in slices] == np.cumsum([0, *lengths])[:-1].tolist()


@pytest.mark.parametrize(("device", "tokens"), [("cpu", 2048), ("cuda", 16384)])
def test_the_usual_batch_suits_the_device(device, tokens):
    """A CPU's cache is small, a GPU wants work."""
    encoder = SentenceTransformerEncoder(device=device)
    assert encoder._budget.tokens == tokens


def test_a_batch_that_was_asked_for_is_kept():
    """On any device."""
    assert SentenceTransformerEncoder(batch_tokens=300)._budget.tokens == 300
