"""Columns: several kinds of vectors in one pass, each in its own store."""

from pathlib import Path

import numpy as np
import pytest

from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.causal.columns import embed_columns
from embrm.embed.causal.encoder import CausalLMEncoder
from embrm.embed.keys import item_keys
from embrm.embed.run import embed_items
from embrm.exceptions import EmbrmError, InvalidInputError, TruncationWarning

PROMPT = "Why is the sky blue? Because air scatters blue light more than red light."
TEXTS = [
    (PROMPT, "No."),
    ("Name three colours.", "Red, green and blue."),
    (PROMPT, "Because air scatters blue light."),
    (PROMPT, "No."),
]
LAYERS, POOLINGS = (-1, 1), ("last_content", "prompt")


@pytest.fixture(scope="module")
def encoder(tiny_models: dict[str, Path]) -> CausalLMEncoder:
    """A tiny Llama, loaded once."""
    return CausalLMEncoder(
        str(tiny_models["llama"]),
        template="plain",
        dtype="float32",
        store_dtype="float32",
    )


@pytest.fixture
def columns(encoder):
    return encoder.columns(layers=LAYERS, poolings=POOLINGS)


def test_columns_are_encoders_in_the_order_of_layers_and_poolings(columns):
    """A sequence of encoders with a fingerprint each."""
    names = [(column.layer, column.pooling) for column in columns]
    assert names == [(layer, pooling) for layer in LAYERS for pooling in POOLINGS]
    assert len({column.fingerprint.digest for column in columns}) == len(columns) == 4
    assert columns[1].pooling == "prompt"


def test_a_column_that_is_asked_for_twice_is_made_once(encoder):
    """Its vectors are one array."""
    columns = encoder.columns(layers=(-1, -1), poolings=("prompt", "prompt"))
    assert list(columns.encode_columns(TEXTS)) == [(-1, "prompt")]


def test_columns_share_the_loaded_model(encoder, columns):
    """However many there are."""
    assert all(column._loaded is encoder._loaded for column in columns)
    assert all(column._tokenizer is encoder._tokenizer for column in columns)


def test_one_pass_gives_what_each_encoder_gives(columns):
    """Up to rounding."""
    found = columns.encode_columns(TEXTS)
    for column in columns:
        np.testing.assert_allclose(
            found[column.layer, column.pooling], column.encode(TEXTS), atol=1e-4
        )


def test_all_columns_take_one_pass(encoder, columns):
    """The forward passes of several columns are those of one."""
    fed = {}
    for name, encode in {"one": encoder.encode, "all": columns.encode_columns}.items():
        reports = []
        encode(TEXTS, on_batch=reports.append)
        fed[name] = sum(report.n_tokens for report in reports)
    assert fed["all"] == fed["one"]


def test_no_column_is_refused(encoder):
    """There would be nothing to compute."""
    with pytest.raises(InvalidInputError, match="at least one layer"):
        encoder.columns(layers=())


def test_kept_vectors_are_those_of_the_encoders(columns, tmp_path):
    """Each column is a store that its encoder finds everything in."""
    kept = embed_columns(TEXTS, columns, tmp_path, progress=False)
    for column in columns:
        again = embed_items(TEXTS, column, tmp_path, progress=False)
        assert again.n_embedded == 0
        np.testing.assert_array_equal(
            again.vectors, kept[column.layer, column.pooling].vectors
        )


def test_without_a_cache_the_vectors_are_the_same(columns, tmp_path):
    """And nothing is kept."""
    kept = embed_columns(TEXTS, columns, tmp_path, progress=False)
    loose = embed_columns(TEXTS, columns, progress=False)
    for name, embedded in kept.items():
        np.testing.assert_allclose(loose[name].vectors, embedded.vectors, atol=1e-4)


def test_the_account_is_of_the_pass(columns, tmp_path):
    """Different texts once, tokens once."""
    first = embed_columns(TEXTS, columns, tmp_path, progress=False)
    second = embed_columns(TEXTS, columns, tmp_path, progress=False)
    account = first[-1, "prompt"]
    assert (account.n_items, account.n_unique, account.n_embedded) == (4, 3, 3)
    assert [done.n_hits for done in second.values()] == [3] * 4


def test_a_store_that_holds_some_vectors_keeps_them(columns, tmp_path):
    """The first value counts; the others are filled in."""
    cache = VectorCache(tmp_path)
    store = cache.open(columns[0].fingerprint)
    marked = np.full((1, columns[0].fingerprint.dim), 7, dtype=np.float32)
    store.append(item_keys(TEXTS[:1]), marked)
    kept = embed_columns(TEXTS, columns, cache, progress=False)
    np.testing.assert_array_equal(
        kept[-1, "last_content"].vectors[[0, 3]], [marked[0]] * 2
    )
    counts = {info.digest: info.n_rows for info in cache.stores()}
    assert set(counts.values()) == {3}


def test_slices_are_written_as_they_come(columns, tmp_path):
    """A run that is killed loses the slice in flight."""
    embed_columns(TEXTS, columns, tmp_path, progress=False, commit_items=1)
    assert {info.n_segments for info in VectorCache(tmp_path).stores()} == {3}


def test_an_error_of_the_disk_is_raised(columns, tmp_path):
    """Also when it happened in the thread that writes."""
    (tmp_path / columns[2].fingerprint.digest).write_text("in the way")
    with pytest.raises((EmbrmError, OSError)):
        embed_columns(TEXTS, columns, tmp_path, progress=False)


def test_cut_prompts_are_warned_of(encoder, tmp_path):
    """As with a single column."""
    short = CausalLMEncoder(
        encoder.model, template="plain", max_tokens=24, dtype="float32"
    ).columns(poolings=POOLINGS)
    with pytest.warns(TruncationWarning, match="24-token limit"):
        embed_columns([(PROMPT * 3, "No.")], short, tmp_path, progress=False)
