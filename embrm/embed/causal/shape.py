"""What a language model's config.json says about its size."""

from typing import Any, NamedTuple, TypeAlias

from embrm.embed.weights import ModelFiles
from embrm.exceptions import InvalidInputError, three_parts

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
        got = repr(layer)[:40]
    elif is_share and not 0 < layer <= 1:
        got = f"the share {layer:g}"
    else:
        return
    raise InvalidInputError(
        three_parts(
            expected="layers that are whole numbers, or shares of the depth in (0, 1]",
            got=got,
            cure="pass layer=20, layer=-1 for the last, or layer=2/3",
        )
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
            raise InvalidInputError(
                three_parts(
                    expected=f"a layer from {-n_layers - 1} to {n_layers}",
                    got=f"layer={number}",
                    cure="pass -1 for the last, 0 for the embedding of the tokens, or "
                    "a share of the depth such as 0.67",
                )
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
        raise InvalidInputError(
            three_parts(
                expected="a config.json that gives hidden_size and num_hidden_layers",
                got=f"neither or one of them in {files.directory.name}",
                cure="check that this is a causal language model of transformers",
            )
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
