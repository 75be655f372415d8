"""Comparing layers: one head on each, the default unless another is better."""

import json

import numpy as np
import pytest

from embrm.datasets import read_preferences
from embrm.embed.causal import CausalLMEncoder
from embrm.report import LayerComparison, compare_layers, layers_to_compare


@pytest.fixture(scope="module")
def preferences():
    """Thirty prompts with three graded responses."""
    rows = [
        {"prompt": f"question {n}", "response": f"answer {grade} {n}", "score": grade}
        for n in range(30)
        for grade in range(3)
    ]
    return read_preferences(rows).prefer_by_score("score")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> CausalLMEncoder:
    """Of a model with three layers, which is never loaded."""
    home = tmp_path_factory.mktemp("model")
    sizes = {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 3}
    (home / "config.json").write_text(json.dumps(sizes))
    (home / "model.safetensors").write_bytes(b"weights")
    return CausalLMEncoder(str(home), template="plain", layer=(1, 2, -1))


def vectors_with(preferences, encoder, informative: list[int]) -> np.ndarray:
    """Noise in every column, and the score in some layers."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(preferences.items), encoder.fingerprint.dim))
    score = preferences.items["score"].to_numpy()
    for (layer, _), part in encoder.column_slices.items():
        if layer in informative:
            vectors[:, part.start] += 8 * score
    return vectors.astype(np.float32)


def compare(preferences, encoder, informative: list[int]) -> LayerComparison:
    vectors = vectors_with(preferences, encoder, informative)
    return compare_layers(preferences, vectors, encoder, n_splits=3)


def test_the_layer_that_knows_is_recommended(preferences, encoder):
    """It is better than the default by more than noise."""
    compared = compare(preferences, encoder, informative=[1])
    assert compared.best == compared.recommended == (1, "mean_response")
    assert compared.undecided == [(1, "mean_response")]
    assert compared.intervals()[1, "mean_response"].estimate > 0.9


def test_the_default_is_recommended_where_nothing_is_better(preferences, encoder):
    """Two thirds of three layers is layer 2; which of equals leads is chance."""
    compared = compare(preferences, encoder, informative=[1, 2, -1])
    assert compared.recommended == (2, "mean_response")
    assert len(compared.undecided) > 1


def test_the_result_is_plain_json(preferences, encoder):
    """Every column with its interval."""
    values = json.loads(json.dumps(compare(preferences, encoder, [1]).to_json()))
    assert values["recommended"] == {"layer": 1, "pooling": "mean_response"}
    assert {column["layer"] for column in values["columns"]} == {1, 2, -1}
    assert all(column["low"] <= column["high"] for column in values["columns"])


def test_the_picture_has_a_line_for_each_pooling_and_units(preferences, encoder):
    """The last layer stands at the model's depth."""
    display = compare(preferences, encoder, [1]).to_display().plot()
    labels = display.ax_.get_legend_handles_labels()[1]
    assert sorted(labels) == ["length alone", "mean_response"]
    assert "layer (of 3" in display.ax_.get_xlabel()
    assert "share of pairs, 95% interval" in display.ax_.get_ylabel()
    assert {layer for layer, _ in display.intervals} == {1, 2, 3}


@pytest.mark.parametrize("n_layers", [1, 2, 12, 30, 80])
def test_compared_layers_run_from_the_embedding_to_the_last(n_layers):
    """Each once, in order, two thirds among them where there are six parts."""
    layers = layers_to_compare(n_layers)
    assert layers[0] == 0
    assert layers[-1] == -1
    assert list(layers[:-1]) == sorted(set(layers[:-1]))
    assert n_layers == 1 or round(n_layers * 2 / 3) in layers
