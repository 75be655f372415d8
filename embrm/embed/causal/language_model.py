"""A loaded language model, and what the sharing methods need from it."""

import inspect
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from embrm._optional import import_optional
from embrm.embed.batching import choose_device, set_evaluation_mode
from embrm.embed.model_files import resolve_model
from embrm.embed.weights import ModelFiles, check_no_weights_missing, loading
from embrm.exceptions import invalid_input

Layer: TypeAlias = int | float
"""A layer's number, or, as a float, the share of the layers up to it."""


def check_layer(layer: Any) -> None:
    """Check that something can be a layer, of a model that is not known yet.

    Raises
    ------
    InvalidInputError
        If it is no number, or a share outside (0, 1].
    """
    is_share = isinstance(layer, float)
    if isinstance(layer, bool) or not isinstance(layer, int | float):
        got = "none" if layer is None else repr(layer)[:40]
    elif is_share and not 0 < layer <= 1:
        got = f"the share {layer:g}"
    else:
        return
    raise invalid_input(
        expected="layers that are whole numbers, or shares of the depth in (0, 1]",
        got=got,
        fix="pass layer=20, layer=-1 for the last, or layer=2/3",
    )


class CausalShape(NamedTuple):
    """Sizes of a language model."""

    model_type: str
    dim: int
    n_layers: int
    n_positions: int

    def layer(self, number: Layer) -> int:
        """Spell a layer in one way: -1 for the last, else 0 to n_layers - 1.

        Raises
        ------
        InvalidInputError
            If the model has no such layer.

        Examples
        --------
        >>> shape = CausalShape("llama", dim=576, n_layers=30, n_positions=8192)
        >>> shape.layer(2 / 3), shape.layer(30), shape.layer(1.0), shape.layer(-2)
        (20, -1, -1, 29)
        """
        n_layers = self.n_layers
        if isinstance(number, float):
            number = max(round(number * n_layers), 1)
        if not -n_layers - 1 <= number <= n_layers:
            raise invalid_input(
                expected=f"a layer from {-n_layers - 1} to {n_layers}",
                got=f"layer={number}",
                fix="pass -1 for the last, 0 for the embedding of the tokens, or "
                "a share of the depth such as 0.67",
            )
        layer = number % (n_layers + 1)
        return -1 if layer == n_layers else layer


def read_shape(files: ModelFiles) -> CausalShape:
    """Read the sizes that the fingerprint needs from config.json.

    Raises
    ------
    InvalidInputError
        If the config gives no hidden size or no number of layers.
    """
    config = files.read_json("config.json")
    # Models for several kinds of input keep the language model's part apart.
    sizes = config | config.get("text_config", {})
    found = [
        next((sizes[name] for name in names if sizes.get(name)), None)
        for names in (_DIM, _LAYERS, _POSITIONS)
    ]
    dim, n_layers, n_positions = found
    if dim is None or n_layers is None:
        raise invalid_input(
            expected="a config.json that gives hidden_size and num_hidden_layers",
            got=f"neither or one of them in {files.directory.name}",
            fix="check that this is a causal language model of transformers",
        )
    return CausalShape(
        str(config.get("model_type", "model")),
        int(dim),
        int(n_layers),
        int(n_positions or 2**31),
    )


_DIM = ("word_embed_proj_dim", "hidden_size", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")


def load_causal_model(files: ModelFiles, *, dtype: str, device: str) -> Any:
    """Load a model without its language-model head, in evaluation mode.

    Parameters
    ----------
    files : ModelFiles
    dtype : {"bfloat16", "float32"}
        Of the computation, whatever the checkpoint's.
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
        """Path and identity of the model."""
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
    """A loaded model with what its config lacks.

    Parameters
    ----------
    torch_model : transformers model
    n_layers : int
    pad_id : int
        Any id will do under a causal mask.

    Attributes
    ----------
    verdicts : dict
        Results of `self_test` for this model: a sharing method, and why
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
