"""A loaded language model, and what the ways of running it ask of it."""

import inspect
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from embrm._optional import import_optional
from embrm.embed.batching import set_evaluation_mode
from embrm.embed.weights import ModelFiles, loading
from embrm.exceptions import IntegrityError, three_parts


def load_causal_model(files: ModelFiles, *, dtype: str, device: str) -> Any:
    """Load a model without its language-model head, in evaluation mode.

    Parameters
    ----------
    files : ModelFiles
    dtype : {"bfloat16", "float32"}
        In which it computes, whatever the checkpoint says.
    device : str

    Returns
    -------
    transformers model

    Raises
    ------
    IntegrityError
        If weights are missing: transformers would fill them with random numbers.
    """
    torch = import_optional("torch", extra="embed")
    transformers = import_optional("transformers", extra="embed")
    with loading(files):
        model, report = transformers.AutoModel.from_pretrained(
            str(files.directory),
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        raise IntegrityError(
            three_parts(
                expected="weights for every part of the model",
                got=f"{len(missing)} missing, the first is {missing[0]}",
                cure="fetch the model again",
            )
        )
    model.config.use_cache = False
    set_evaluation_mode(model)
    return model.to(device)


@dataclass(frozen=True)
class CausalModel:
    """A loaded model with what its config does not say.

    Parameters
    ----------
    torch_model : transformers model
    n_layers : int
    pad_id : int
        Any id will do under a causal mask.
    padding_side : {"right", "left"}, default="right"
        Of batches in which nothing is shared.

    Attributes
    ----------
    verdicts : dict
        What `self_test` found out about ways of running this model: a way, and why
        it is not to be used, or None.
    """

    torch_model: Any
    n_layers: int
    pad_id: int
    padding_side: str = "right"
    verdicts: dict[Hashable, str | None] = field(default_factory=dict)

    @property
    def device(self) -> Any:
        """The torch.device that inputs must be on."""
        return self.torch_model.device

    @property
    def is_on_gpu(self) -> bool:
        """Whether that device is a CUDA one."""
        return bool(self.device.type == "cuda")

    @cached_property
    def takes_positions(self) -> bool:
        """Whether positions can be passed; other models count tokens themselves."""
        signature = inspect.signature(self.torch_model.forward)
        return "position_ids" in signature.parameters

    @property
    def text_config(self) -> Any:
        """The config of the language model, also of one that reads images."""
        return self.torch_model.config.get_text_config(decoder=True)
