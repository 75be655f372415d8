"""A loaded language model: what sharing needs, and states of wanted layers only.

transformers keeps the states of all layers even if one is needed: 4 GB for a batch of
50 x 512 tokens of Gemma-2B. Here a hook on each wanted block takes its input, which is
what `hidden_states[k]` is; the blocks above the highest wanted one are not run; and the
last block's feed-forward part, which works on each token by itself, runs for the tokens
whose state is taken.
"""

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.batching import choose_device, set_evaluation_mode
from embrm.embed.model_files import resolve_model
from embrm.embed.pooling import LAST
from embrm.embed.weights import (
    ModelFiles,
    check_no_weights_missing,
    load_tokenizer,
    loading,
)
from embrm.exceptions import invalid_input

Layer: TypeAlias = int | float
"""A layer's number, or, as a float, the share of the layers up to it."""

_DIM = ("word_embed_proj_dim", "hidden_size", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
# Where most tokens are wanted, picking them out costs more than it saves.
_SMALL_SHARE = 0.5


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
        return load_tokenizer(self.files)

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


class HiddenLayers:
    """Runs a model and returns the states of some layers.

    Parameters
    ----------
    model : transformers model
        Without a language-model head, in evaluation mode.
    layers : sequence of int
        `LAST`, or block numbers.
    n_layers : int
        How many blocks the model has.
    is_lean : bool, default=True
        False asks transformers for all layers and computes everything: slower, and
        right for every model. `embrm.embed.causal.engine` compares the two.
    """

    def __init__(
        self, model: Any, layers: Sequence[int], *, n_layers: int, is_lean: bool = True
    ) -> None:
        self.model = model
        self.layers = tuple(dict.fromkeys(layers))
        self.is_lean = is_lean
        self._blocks = find_blocks(model, n_layers) if is_lean else None

    def __call__(
        self, inputs: Mapping[str, Any], wanted: NDArray[np.intp] | None = None
    ) -> dict[int, Any]:
        """Run the model once.

        Parameters
        ----------
        inputs : mapping
            Arguments of the model, on its device.
        wanted : ndarray of int, optional
            Tokens, in a line, whose last state will be taken; the last states of
            others mean nothing. None: of all.

        Returns
        -------
        dict of layer to torch.Tensor of shape (n_rows * n_columns, d)
        """
        torch = import_optional("torch", extra="embed")
        with torch.inference_mode():
            if self._blocks is None:
                states = self._all_layers(inputs)
            else:
                states = self._some_layers(inputs, wanted)
        return {layer: hidden.flatten(0, 1) for layer, hidden in states.items()}

    def _all_layers(self, inputs: Mapping[str, Any]) -> dict[int, Any]:
        inner = [layer for layer in self.layers if layer != LAST]
        output = self.model(
            **inputs, output_hidden_states=bool(inner), return_dict=True
        )
        states = {layer: output.hidden_states[layer] for layer in inner}
        if LAST in self.layers:
            states[LAST] = output.last_hidden_state
        return states

    def _some_layers(
        self, inputs: Mapping[str, Any], wanted: NDArray[np.intp] | None
    ) -> dict[int, Any]:
        states: dict[int, Any] = {}
        needs_all = LAST in self.layers
        with (
            suppress(_ReachedError),
            _tapped(self._blocks, self.layers, states, stops=not needs_all),
            _partial_mlp(self._blocks, wanted if needs_all else None),
        ):
            output = self.model(**inputs, return_dict=True)
        if needs_all:
            states[LAST] = output.last_hidden_state
        return states


def find_blocks(model: Any, n_layers: int) -> Any:
    """Find the list of a model's blocks; None where there is no such list."""
    torch = import_optional("torch", extra="embed")
    text_model = model.get_decoder() if hasattr(model, "get_decoder") else model
    for part in text_model.modules():
        if isinstance(part, torch.nn.ModuleList) and len(part) == n_layers:
            return part
    return None


class _ReachedError(Exception):
    """Leaves the model once the highest wanted layer is computed."""


@contextmanager
def _tapped(
    blocks: Any, layers: Sequence[int], states: dict[int, Any], *, stops: bool
) -> Iterator[None]:
    """Take the inputs of the blocks of the wanted layers."""
    inner = [layer for layer in layers if layer != LAST]

    def tap(layer: int) -> Callable[..., None]:
        def take(_block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states[layer] = args[0] if args else kwargs["hidden_states"]
            if stops and layer == max(inner):
                raise _ReachedError

        return take

    handles = [
        blocks[layer].register_forward_pre_hook(tap(layer), with_kwargs=True)
        for layer in inner
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _partial_mlp(blocks: Any, wanted: NDArray[np.intp] | None) -> Iterator[None]:
    """Let the last block's feed-forward part see the wanted tokens alone."""
    torch = import_optional("torch", extra="embed")
    mlp = getattr(blocks[-1], "mlp", None)
    if mlp is None or wanted is None:
        yield
        return
    shape: list[Any] = []
    kept: list[Any] = []

    def narrow(_mlp: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = args[0]
        shape[:] = [hidden.shape]
        kept.clear()
        n_slots = hidden.shape[:-1].numel()
        if hidden.dim() != 3 or len(wanted) >= _SMALL_SHARE * n_slots:
            return None
        # One token at least: some layers do not take an empty tensor.
        kept.append(torch.as_tensor(wanted if len(wanted) else [0]).to(hidden.device))
        return (hidden.flatten(0, 1)[kept[0]][None], *args[1:])

    def widen(_mlp: Any, _args: tuple[Any, ...], output: Any) -> Any:
        if not kept:
            return None
        whole = output.new_zeros((shape[0][:-1].numel(), output.shape[-1]))
        return whole.index_copy_(0, kept[0], output[0]).view(*shape[0][:-1], -1)

    handles = [
        mlp.register_forward_pre_hook(narrow),
        mlp.register_forward_hook(widen),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
