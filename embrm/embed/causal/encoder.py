"""Encoders from causal language models: hidden states of Llama, Gemma, GPT-2, ..."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Prompt, Text
from embrm.embed.base import Fingerprint, OnBatch
from embrm.embed.batching import check_options
from embrm.embed.causal.engine import SHARINGS, CausalEngine
from embrm.embed.causal.language_model import (
    CausalShape,
    Layer,
    ModelHandle,
    check_layer,
    read_shape,
)
from embrm.embed.pooling import LAST, POOLINGS, Column
from embrm.embed.sliced_encoder import Outputs, SlicedEncoder
from embrm.embed.template import (
    Rendered,
    check_text,
    make_renderer,
    template_field,
)
from embrm.embed.truncation import FittedTokens, tokenise
from embrm.embed.weights import ModelFiles, model_name, transformers_major
from embrm.exceptions import invalid_input

DEFAULT_DEPTH = 2 / 3
"""Relative depth of the default layer."""

PUBLISHED_RECIPE = MappingProxyType({"layer": -1, "pooling": "last_content"})
"""Options of the recipe of arXiv 2411.04991; see `CausalLMEncoder.published_recipe`."""


@dataclass(frozen=True)
class CausalLMEncoder(SlicedEncoder):
    r"""Embed texts with the hidden states of a causal language model.

    By default the vector is the mean over the response's tokens at two thirds of the
    model's depth; layers above are not computed. On graded answers a reward on such
    vectors of SmolLM2 ordered .765 of held-out pairs right, on the last token of the
    last layer .710; on a pool of judged answers .788 and .745; on people's choices
    between harmless answers both gave .646 (`benchmarks/encoders.py`; `embrm layers`
    measures it on your data).

    A text beyond the limit loses the beginning of its prompt; the response, BOS and
    what the chat template adds are kept. Vectors do not depend on padding, batch
    size, order or on what is shared with other texts.

    Parameters
    ----------
    model : str
        `"smollm2"`, SmolLM2-135M-Instruct from the package that the error message
        names where it is missing; a local directory with `config.json` and
        safetensors; a local GGUF file, converted once; or the id of a repository of
        the Hugging Face hub.
    layer : int, float or sequence of these, default=2/3
        A float in (0, 1] is a share of the depth, rounded to a layer: 2/3 of 30 layers
        is layer 20, and 1.0 the last. An int k is the output of block k before the
        final norm; 0 is the embedding of the tokens, -2 the last block but one, and -1
        (or the number of layers) the model's last hidden state, after its final norm.
        The vectors of several are concatenated.
    pooling : {"mean_response", "last_content", "mean", "prompt"} or several, \
            default="mean_response"
        The mean over the response's tokens; the state at the response's last token,
        white space and the template's end-of-turn left out; or the mean over all
        tokens but BOS. An empty response is pooled at the last token before it, and
        so is every response with `"prompt"`: a vector of the prompt alone. Of several,
        vectors are concatenated, the poolings of the first layer first.
    template : {"chat", "plain"}, default="chat"
        The model's own chat template, or prompt, blank line, response.
    max_tokens : int, default=2048
        Token limit, BOS included; capped at the positions that the model has.
    dtype : {"bfloat16", "float32"}, default="bfloat16"
        Dtype in which the model computes; float16 overflows and is refused.
    store_dtype : {"float16", "float32"}, default="float16"
        Dtype of the vectors; checked for overflow.
    sharing : {"auto", "kv", "tree", "off"}, default="auto"
        How texts that begin with the same tokens share the computation of these:
        `"kv"` copies their keys and values, `"tree"` puts beginning and continuations
        into one row under a mask, `"auto"` takes what costs least for the lengths at
        hand, see Notes. Does not change the vectors.
    batch_tokens : int, default=8192
        Tokens of a batch, padding included; halved for good when memory is short.
        Does not change the vectors.
    device : str, optional
        Device of torch; None takes the GPU if there is one.
    revision : str, optional
        Branch, tag or commit on the hub.
    on_long_response : {"raise", "truncate"}, default="raise"
        What to do when a response alone exceeds the limit.
    padding_side : {"right", "left"}, default="right"
        Of batches in which nothing is shared. Does not change the vectors; left
        padding is there to prove it.

    Notes
    -----
    Every text has exactly one BOS: a chat template writes its own or, if it does not
    and the tokenizer adds one to plain texts, gets one; the plain template gets one
    whenever the tokenizer has one.

    Sharing works on the token ids that the model processes, after truncation. The cost
    of a sharing method, in tokens, is the sum over its forward passes of
    `n (1 + keys / 6d) + c`: n tokens with padding, each looking at `keys` tokens, and
    c = 16 for starting the pass (on a GPU c = 128, and a pass counts as 1,024 tokens
    at least). With P shared tokens and R own ones of each of K texts, K(P + R) becomes
    about P + KR. Before a method is used, it embeds five short texts, and if they
    differ from those without sharing (1e-4 relative in float32, 0.05 in bfloat16) or
    the model raises, as hybrid models do, sharing is off, with a warning. So vectors
    are equal up to the rounding that batches cause anyway, and the fingerprint does
    not name the method: a cache filled with one continues with another.

    Several layers and poolings are computed in one pass. Each has a fingerprint and a
    store in the cache, which an encoder of that layer alone continues.

    Examples
    --------
    >>> encoder = CausalLMEncoder("google/gemma-2-2b-it", layer=[0.5, 2 / 3])
    >>> encoder.max_tokens  # nothing is loaded before the first text
    2048
    >>> CausalLMEncoder.published_recipe("google/gemma-2-2b-it").pooling
    'last_content'
    """

    model: str
    _: KW_ONLY
    layer: Layer | tuple[Layer, ...] = DEFAULT_DEPTH
    pooling: str | tuple[str, ...] = "mean_response"
    template: str = "chat"
    max_tokens: int = 2048
    dtype: str = "bfloat16"
    store_dtype: str = "float16"
    sharing: str = "auto"
    batch_tokens: int = 8192
    device: str | None = None
    revision: str | None = None
    on_long_response: str = "raise"
    padding_side: str = "right"

    def __post_init__(self) -> None:
        check_options(self, self.dtype)
        for name in ("layer", "pooling"):
            # A list would make the encoder unhashable, and equal ones different.
            value = getattr(self, name)
            if isinstance(value, Iterable) and not isinstance(value, str):
                object.__setattr__(self, name, tuple(value))
        for layer in _as_tuple(self.layer) or (None,):
            check_layer(layer)
        _check_names("pooling", _as_tuple(self.pooling), tuple(POOLINGS))
        for name, known in _KNOWN.items():
            _check_names(name, (getattr(self, name),), known)

    @classmethod
    def published_recipe(cls, model: str, **options: Any) -> Self:
        """Make the encoder of arXiv 2411.04991: last layer, last token of the response.

        Parameters
        ----------
        model : str
        **options
            As for the constructor.
        """
        return cls(model, **{**PUBLISHED_RECIPE, **options})

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""
        files, shape = self.files, self._shape
        weights = files.weights_sha256()
        common = {
            "kind": "causal-lm",
            "recipe": 1,
            "model": model_name(weights, shape.model_type),
            "weights_sha256": weights,
            "tokenizer_sha256": files.tokenizer_sha256(),
            "config_sha256": files.sha256("config.json"),
            "template": template_field(self.template, files.directory),
            "normalised": False,
            "compute_dtype": self.dtype,
            "max_tokens": self._limit,
            "truncation": "start of prompt, then start of response",
            "transformers_major": transformers_major(),
        }
        return Fingerprint.side_by_side(
            [
                Fingerprint(
                    {
                        **common,
                        "pooling": column.pooling,
                        "layer": column.layer,
                        "final_norm": column.layer == LAST,
                    },
                    dim=shape.dim,
                    dtype=self.store_dtype,
                )
                for column in self.columns
            ]
        )

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Each layer and pooling once, in order, layers by the number that they have.

        The vectors of `encode` are the concatenation; `column_slices` has the slices.
        """
        layers = [self._shape.layer(layer) for layer in _as_tuple(self.layer)]
        return tuple(
            Column(layer, pooling)
            for layer in dict.fromkeys(layers)
            for pooling in dict.fromkeys(_as_tuple(self.pooling))
        )

    @property
    def n_layers(self) -> int:
        """Depth of the model."""
        return self._shape.n_layers

    @property
    def has_share(self) -> bool:
        """Whether a layer is given as a share of the depth."""
        return any(isinstance(layer, float) for layer in _as_tuple(self.layer))

    @property
    def column_slices(self) -> dict[Column, slice]:
        """Which columns of the vectors belong to each layer and pooling.

        Returns
        -------
        dict of (layer, pooling) to slice
        """
        dim = self._shape.dim
        return {
            column: slice(n * dim, (n + 1) * dim)
            for n, column in enumerate(self.columns)
        }

    def with_options(self, **changes: Any) -> Self:
        """Return an encoder with other options, and this one's model if it is the same.

        Parameters
        ----------
        **changes
            Parameters of the constructor.

        Examples
        --------
        >>> encoder = CausalLMEncoder("google/gemma-2-2b-it")
        >>> encoder.with_options(layer=(12, 16)).layer
        (12, 16)
        """
        made = replace(self, **changes)
        if made._model_key == self._model_key:
            vars(made)["_handle"] = self._handle
        return made

    def _outputs(self, vectors: NDArray[np.floating[Any]]) -> Outputs:
        return [vectors[:, part] for part in self.column_slices.values()]

    @cached_property
    def files(self) -> ModelFiles:
        """The model's files; found, converted or fetched at the first use."""
        return self._handle.files

    @property
    def _model_key(self) -> tuple[Any, ...]:
        return self.model, self.revision, self.dtype, self.device

    @cached_property
    def _handle(self) -> ModelHandle:
        """What is loaded; encoders of other layers of the model have the same one."""
        return ModelHandle(
            self.model, revision=self.revision, dtype=self.dtype, device=self.device
        )

    @cached_property
    def _shape(self) -> CausalShape:
        return read_shape(self.files)

    @property
    def _limit(self) -> int:
        return min(self.max_tokens, self._shape.n_positions)

    @cached_property
    def _render(self) -> Callable[[Prompt, str], Rendered]:
        return make_renderer(self.template, self._tokenizer, self.files.directory)

    @property
    def _tokenizer(self) -> Any:
        return self._handle.tokenizer

    @property
    def _loaded(self) -> Any:
        """The model without its language-model head, in evaluation mode."""
        return self._handle.model.torch_model

    @cached_property
    def _bos(self) -> list[int]:
        """BOS where texts get one, else nothing."""
        bos = self._tokenizer.bos_token_id
        if bos is None:
            return []
        if self.template == "chat":
            written = self._render("a", "a").text
            is_written = written.startswith(self._tokenizer.bos_token)
            is_added = self._tokenizer("a")["input_ids"][:1] == [bos]
            return [bos] if is_written or is_added else []
        return [bos]

    def _tokens(self, texts: Sequence[Text]) -> list[FittedTokens]:
        """Render, tokenise and truncate, with exactly one BOS in front."""
        rendered = [self._render(*check_text(text)) for text in texts]
        fitted = tokenise(
            self._tokenizer,
            rendered,
            limit=self._limit,
            prefix=self._bos,
            bos=self._tokenizer.bos_token_id,
        )
        return [
            _without_response(tokens)
            if text.response_start >= len(text.text)
            else tokens
            for tokens, text in zip(fitted, rendered, strict=True)
        ]

    def _embed(
        self,
        tokens: Sequence[FittedTokens],
        outputs: Outputs,
        *,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Embed tokens, sharing what they begin with."""
        self._engine.embed(tokens, outputs, budget=self._budget, on_batch=on_batch)

    @cached_property
    def _engine(self) -> CausalEngine:
        return CausalEngine(
            self._handle.model,
            self.columns,
            sharing=self.sharing,
            padding_side=self.padding_side,
            tokenizer=self._tokenizer,
            dim=self._shape.dim,
            limit=self._limit,
        )


def _without_response(tokens: FittedTokens) -> FittedTokens:
    """Let an empty response begin behind the last token, so that all is prompt."""
    return replace(tokens, response_start=len(tokens))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _check_names(name: str, values: Sequence[Any], known: Sequence[str]) -> None:
    unknown = [value for value in values if value not in known]
    if unknown or not values:
        raise invalid_input(
            expected=f"{name} of {', '.join(known)}",
            got=repr(unknown[0]) if values else "none",
            fix="pass one of these",
        )


_KNOWN = {
    "template": ("chat", "plain"),
    "sharing": SHARINGS,
    "padding_side": ("right", "left"),
}
