"""A loaded language model, and what the ways of running it ask of it."""

import inspect
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from embrm._optional import import_optional
from embrm.embed.batching import choose_device, set_evaluation_mode
from embrm.embed.causal.shape import read_shape
from embrm.embed.weights import (
    ModelFiles,
    check_no_weights_missing,
    loading,
    resolve_model,
)


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
    check_no_weights_missing(report)
    model.config.use_cache = False
    set_evaluation_mode(model)
    return model.to(device)


class ModelHandle:
    """A model's files, its tokenizer and the model, each loaded at its first use.

    Parameters
    ----------
    model : str
        As `resolve_model` takes it.
    revision : str, optional
    dtype : {"bfloat16", "float32"}
    device : str, optional
    """

    def __init__(
        self, model: str, *, revision: str | None, dtype: str, device: str | None
    ) -> None:
        self._name, self._revision = model, revision
        self._dtype, self._device = dtype, device

    @cached_property
    def files(self) -> ModelFiles:
        """Where the model lies, and who it is."""
        return resolve_model(self._name, revision=self._revision)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers."""
        transformers = import_optional("transformers", extra="embed")
        with loading(self.files):
            return transformers.AutoTokenizer.from_pretrained(
                str(self.files.directory),
                local_files_only=True,
                trust_remote_code=False,
            )

    @cached_property
    def model(self) -> "CausalModel":
        """The model without its language-model head, in evaluation mode."""
        device = choose_device(self._device)
        return CausalModel(
            load_causal_model(self.files, dtype=self._dtype, device=device),
            n_layers=read_shape(self.files).n_layers,
            pad_id=self.tokenizer.pad_token_id or 0,
        )


@dataclass(frozen=True)
class CausalModel:
    """A loaded model with what its config does not say.

    Parameters
    ----------
    torch_model : transformers model
    n_layers : int
    pad_id : int
        Any id will do under a causal mask.

    Attributes
    ----------
    verdicts : dict
        What `self_test` found out about ways of running this model: a way, and why
        it is not to be used, or None.
    """

    torch_model: Any
    n_layers: int
    pad_id: int
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
