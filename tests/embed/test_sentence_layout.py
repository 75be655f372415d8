"""What a sentence-transformers model is made of is read from its files alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from embrm.embed.sentence_layout import read_layout
from embrm.embed.weights import ModelFiles
from embrm.exceptions import InvalidInputError


def write_layout(
    directory: Path, modules: list[tuple[str, str]], **configs: Any
) -> Any:
    """Write the settings of a sentence-transformers model."""
    entries = [{"type": kind, "path": path} for kind, path in modules]
    (directory / "modules.json").write_text(json.dumps(entries))
    for folder, config in configs.items():
        (directory / folder).mkdir(exist_ok=True)
        (directory / folder / "config.json").write_text(json.dumps(config))
    return read_layout(ModelFiles(directory, source="directory"))


def module(kind: str) -> str:
    """Return the name under which a module is saved."""
    return f"sentence_transformers.models.{kind}"


def test_a_directory_without_modules_is_refused(tmp_path):
    """A plain language model has no pooling of its own."""
    with pytest.raises(InvalidInputError, match="use CausalLMEncoder"):
        read_layout(ModelFiles(tmp_path, source="directory"))


@pytest.mark.parametrize(
    ("modules", "got"),
    [
        ([("os.system", "")], r"os\.system"),
        ([("evil.Transformer", ""), (module("Pooling"), "p")], r"evil\.Transformer"),
        ([(module("Pooling"), "p")], "Pooling"),
        ([(module("Transformer"), "")], "Transformer"),
    ],
)
def test_modules_outside_the_closed_list_are_refused(tmp_path, modules, got):
    """Trap: loading a model imports the code that its files name."""
    with pytest.raises(InvalidInputError, match=f"got {got}"):
        write_layout(tmp_path, modules)


def test_an_activation_from_elsewhere_is_refused(tmp_path):
    """A dense layer names a class that would be imported and called."""
    modules = [
        (module("Transformer"), ""),
        (module("Pooling"), "p"),
        (module("Dense"), "d"),
    ]
    config = {"out_features": 3, "activation_function": "os.abort"}
    with pytest.raises(InvalidInputError, match=r"os\.abort"):
        write_layout(tmp_path, modules, d=config)


def test_the_length_follows_poolings_and_dense_layers(tmp_path):
    """Several poolings are joined; a dense layer has the last word."""
    modules = [(module("Transformer"), ""), (module("Pooling"), "p")]
    pooling = {"embedding_dimension": 8, "pooling_mode": ["cls", "mean"]}
    assert write_layout(tmp_path, modules, p=pooling).dim == 16
    dense = {"out_features": 3, "activation_function": "torch.nn.Tanh"}
    modules.append((module("Dense"), "d"))
    layout = write_layout(tmp_path, modules, p=pooling, d=dense)
    assert (layout.dim, layout.weight_folders) == (3, ["", "d/"])


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "cls"}, ["cls"]),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ["cls"]),
        ({}, ["mean"]),
    ],
)
def test_pooling_is_read_in_old_and_new_spelling(tmp_path, config, pooling):
    """No flag at all is the mean, as in sentence-transformers."""
    modules = [(module("Transformer"), ""), (module("Pooling"), "p")]
    assert write_layout(tmp_path, modules, p=config).pooling == pooling


def test_without_a_limit_of_its_own_a_model_takes_what_it_has_positions_for(tmp_path):
    """RoBERTa's kin have two positions less than their config says."""
    modules = [(module("Transformer"), "t"), (module("Pooling"), "p")]
    config = {"model_type": "roberta", "max_position_embeddings": 514}
    assert write_layout(tmp_path, modules, t=config).max_tokens == 512
