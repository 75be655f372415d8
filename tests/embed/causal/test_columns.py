"""Several layers and poolings of a model: one pass, a store for each."""

from pathlib import Path

import numpy as np
import pytest

from embrm.embed import CausalLMEncoder, VectorCache, embed_items, item_keys
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
def single(tiny_models: dict[str, Path]) -> CausalLMEncoder:
    """A tiny Llama, loaded once."""
    return CausalLMEncoder(
        str(tiny_models["llama"]),
        layer=1,
        template="plain",
        dtype="float32",
        store_dtype="float32",
    )


@pytest.fixture(scope="module")
def several(single):
    return single.with_options(layer=LAYERS, pooling=POOLINGS)


@pytest.fixture(scope="module")
def each(single, several):
    """An encoder for each of the columns."""
    return [single.with_options(layer=n, pooling=name) for n, name in several.columns]


def test_columns_are_in_the_order_of_layers_and_poolings(several):
    """Layers outside, poolings inside; slices say where each one's vectors are."""
    assert [*several.columns] == [(n, name) for n in LAYERS for name in POOLINGS]
    assert several.column_slices[1, "last_content"] == slice(64, 96)
    assert several.fingerprint.dim == 4 * 32


def test_a_column_that_is_asked_for_twice_is_made_once(single):
    """However its layer is spelled: the last of three is -1, 3 and 1.0."""
    encoder = single.with_options(layer=[-1, 3, 1.0], pooling=["prompt", "prompt"])
    assert encoder.columns == ((-1, "prompt"),)
    assert encoder.encode(TEXTS).shape == (4, 32)


def test_lists_make_the_same_encoder_as_tuples(single):
    """Encoders are frozen and can be hashed."""
    one, other = (single.with_options(layer=kind((0, 1))) for kind in (list, tuple))
    assert one == other
    assert hash(one) == hash(other)


def test_encoders_of_one_model_share_it(single, each):
    """However many there are."""
    assert all(encoder._loaded is single._loaded for encoder in each)
    other = single.with_options(dtype="bfloat16")
    assert other._loaded is not single._loaded


def test_one_pass_gives_what_each_encoder_gives(several, each):
    """Side by side, up to rounding."""
    expected = np.concatenate([encoder.encode(TEXTS) for encoder in each], axis=1)
    np.testing.assert_allclose(several.encode(TEXTS), expected, atol=1e-4)


def test_all_columns_take_one_pass(single, several):
    """The forward passes of several columns are those of one."""
    fed = []
    for encoder in (single, several):
        reports = []
        encoder.encode(TEXTS, on_batch=reports.append)
        fed.append(sum(report.n_tokens for report in reports))
    assert fed[0] == fed[1]


@pytest.mark.parametrize("option", [{"layer": ()}, {"pooling": ()}])
def test_no_column_is_refused(single, option):
    """There would be nothing to compute."""
    with pytest.raises(InvalidInputError, match="got none"):
        single.with_options(**option)


def test_each_column_is_a_store_of_its_own(several, each, tmp_path):
    """The encoder of a layer finds everything in it."""
    kept = embed_items(TEXTS, several, tmp_path, progress=False)
    slices = several.column_slices.values()
    for encoder, part in zip(each, slices, strict=True):
        again = embed_items(TEXTS, encoder, tmp_path, progress=False)
        assert again.n_embedded == 0
        np.testing.assert_array_equal(again.vectors, kept.vectors[:, part])


def test_stores_that_each_encoder_filled_are_found(several, each, tmp_path):
    """All together, nothing is embedded again."""
    for encoder in each:
        embed_items(TEXTS, encoder, tmp_path, progress=False)
    again = embed_items(TEXTS, several, tmp_path, progress=False)
    assert (again.n_hits, again.n_embedded) == (3, 0)


def test_without_a_cache_the_vectors_are_the_same(several, tmp_path):
    """And nothing is kept."""
    kept = embed_items(TEXTS, several, tmp_path, progress=False).vectors
    loose = embed_items(TEXTS, several, progress=False).vectors
    np.testing.assert_allclose(loose, kept, atol=1e-4)


def test_a_store_that_holds_some_vectors_keeps_them(several, each, tmp_path):
    """The first value counts; the others are filled in."""
    cache = VectorCache(tmp_path)
    store = cache.open(each[0].fingerprint)
    marked = np.full((1, each[0].fingerprint.dim), 7, dtype=np.float32)
    store.append(item_keys(TEXTS[:1]), marked)
    kept = embed_items(TEXTS, several, cache, progress=False)
    np.testing.assert_array_equal(kept.vectors[[0, 3], :32], [marked[0]] * 2)
    assert {info.n_rows for info in cache.stores()} == {3}


def test_slices_are_written_as_they_come(several, tmp_path):
    """A run that is killed loses the slice in flight."""
    embed_items(TEXTS, several, tmp_path, progress=False, commit_items=1)
    assert {info.n_segments for info in VectorCache(tmp_path).stores()} == {3}


def test_an_error_of_the_disk_is_raised(several, each, tmp_path):
    """Also when it happened in the thread that writes."""
    (tmp_path / each[2].fingerprint.digest).write_text("in the way")
    with pytest.raises((EmbrmError, OSError)):
        embed_items(TEXTS, several, tmp_path, progress=False)


def test_cut_prompts_are_warned_of(several, tmp_path):
    """As with a single column."""
    short = several.with_options(max_tokens=24)
    with pytest.warns(TruncationWarning, match="24-token limit"):
        embed_items([(PROMPT * 3, "No.")], short, tmp_path, progress=False)


def test_a_fingerprint_of_several_columns_says_what_they_share_once(several):
    """And is read again from JSON with its parts."""
    words = several.fingerprint.describe()
    assert words.count("causal-lm") == 1
    assert "last layer, last token of the response and last layer, last token" in words
    read = type(several.fingerprint).from_json(several.fingerprint.to_json())
    assert read.digest == several.fingerprint.digest
    assert [part.digest for part in read.parts] == [
        part.digest for part in several.fingerprint.parts
    ]
