"""Hidden states of the wanted layers only, without computing the rest.

transformers keeps the states of all layers even if one is needed: 4 GB for a
batch of 50 x 512 tokens of Gemma-2B. Here a hook on each wanted block takes its
input, which is what `hidden_states[k]` is; the blocks above the highest wanted one
are not run; and the last block's feed-forward part, which works on each token by
itself, runs for the tokens whose state is taken.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.pooling import LAST

# Where most tokens are wanted, picking them out costs more than it saves.
_SMALL_SHARE = 0.5


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
