"""What a language model's config.json says about its size."""

from typing import NamedTuple

from embrm.embed.weights import ModelFiles
from embrm.exceptions import InvalidInputError, three_parts


class CausalShape(NamedTuple):
    """Sizes of a language model."""

    model_type: str
    dim: int
    n_layers: int
    n_positions: int

    def layer(self, number: int) -> int:
        """Spell a layer in one way: -1 for the last, else 0 to n_layers - 1.

        Raises
        ------
        InvalidInputError
            If the model has no such layer.
        """
        n_layers = self.n_layers
        if not -n_layers - 1 <= number <= n_layers:
            raise InvalidInputError(
                three_parts(
                    expected=f"a layer from {-n_layers - 1} to {n_layers}",
                    got=f"layer={number}",
                    cure="pass -1 for the last, 0 for the embedding of the tokens",
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
