"""What ways of running a model ask of it."""

import pytest
import torch

from embrm.embed.causal.language_model import CausalShape
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize(("name", "takes"), [("llama", True), ("gpt2", True)])
def test_models_that_take_positions_are_known(make_causal_model, name, takes):
    """They are passed where a model would count pads."""
    assert make_causal_model(name).takes_positions is takes


def test_a_model_that_takes_no_positions_is_known(make_causal_model, monkeypatch):
    """It counts by itself."""
    model = make_causal_model("llama", hidden_size=16)
    monkeypatch.setattr(
        model.torch_model, "forward", lambda input_ids: input_ids, raising=True
    )
    assert not model.takes_positions


def test_a_model_on_a_cpu_is_not_on_a_gpu(make_causal_model):
    """Costs and masks depend on it."""
    model = make_causal_model()
    assert (model.device, model.is_on_gpu) == (torch.device("cpu"), False)


def test_the_config_is_that_of_the_language_model(make_causal_model):
    """Here it is the whole."""
    model = make_causal_model("mistral")
    assert model.text_config.sliding_window == 8


@pytest.mark.parametrize(
    ("number", "layer"), [(-1, -1), (3, -1), (-2, 2), (2, 2), (0, 0), (-4, 0)]
)
def test_a_layer_has_one_spelling(number, layer):
    """The last is -1 however it is counted."""
    assert CausalShape("llama", 8, 3, 64).layer(number) == layer


@pytest.mark.parametrize("number", [4, -5])
def test_a_layer_that_is_not_there_is_refused(number):
    """Three blocks have four states."""
    with pytest.raises(InvalidInputError, match="from -4 to 3"):
        CausalShape("llama", 8, 3, 64).layer(number)
