"""Encoders from causal language models: hidden states of Llama, Gemma, GPT-2, ..."""

import inspect
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import Text
from embrm.embed.base import Fingerprint
from embrm.embed.batching import (
    check_options,
    choose_device,
    pad,
    set_evaluation_mode,
)
from embrm.embed.pooling import POOLINGS
from embrm.embed.template import (
    ChatRenderer,
    Rendered,
    check_text,
    read_chat_template,
    render_plain,
    text_sha256,
)
from embrm.embed.token_encoder import TokenEncoder
from embrm.embed.truncation import FittedTokens, tokenise
from embrm.embed.weights import (
    ModelFiles,
    loading,
    model_name,
    transformers_major,
)
from embrm.exceptions import IntegrityError, InvalidInputError, three_parts


@dataclass(frozen=True)
class CausalLMEncoder(TokenEncoder):
    r"""Embed texts with the hidden states of a causal language model.

    A text beyond the limit loses the beginning of its prompt; the response, BOS and
    what the chat template adds are kept. Vectors do not depend on padding, batch
    size or order.

    Parameters
    ----------
    model : str
        A local directory with `config.json` and safetensors, or the id of a
        repository of the Hugging Face hub.
    pooling : {"last_content", "mean_response", "mean"}, default="last_content"
        The state at the response's last token, white space and the template's
        end-of-turn left out; or the mean over the response's tokens, or over all
        tokens but BOS. An empty response is pooled at the last token before it.
    template : {"chat", "plain"}, default="chat"
        The model's own chat template, or prompt, blank line, response.
    max_tokens : int, default=2048
        Token limit, BOS included; capped at the positions that the model has.
    layer : int, default=-1
        -1 is the model's last hidden state, after its final norm. Others index
        `hidden_states`, before that norm: 0 is the embedding of the tokens, k the
        output of block k, -2 that of the last block but one.
    dtype : {"bfloat16", "float32"}, default="bfloat16"
        Dtype in which the model computes; float16 overflows and is refused.
    store_dtype : {"float16", "float32"}, default="float16"
        Dtype of the vectors; checked for overflow.
    batch_tokens : int, default=8192
        Tokens of a batch, padding included. Does not change the vectors.
    device : str, optional
        Device of torch; None takes the GPU if there is one.
    revision : str, optional
        Branch, tag or commit on the hub.
    on_long_response : {"raise", "truncate"}, default="raise"
        What to do when a response alone exceeds the limit.
    padding_side : {"right", "left"}, default="right"
        Does not change the vectors; left padding is there to prove it.

    Notes
    -----
    Every text has exactly one BOS: a chat template writes its own or, if it does not
    and the tokenizer adds one to plain texts, gets one; the plain template gets one
    whenever the tokenizer has one.

    Examples
    --------
    >>> encoder = CausalLMEncoder("google/gemma-2-2b-it", pooling="mean_response")
    >>> encoder.max_tokens  # nothing is loaded before the first text
    2048
    """

    model: str
    _: KW_ONLY
    pooling: str = "last_content"
    template: str = "chat"
    max_tokens: int = 2048
    layer: int = -1
    dtype: str = "bfloat16"
    store_dtype: str = "float16"
    batch_tokens: int = 8192
    device: str | None = None
    revision: str | None = None
    on_long_response: str = "raise"
    padding_side: str = "right"

    def __post_init__(self) -> None:
        check_options(
            dtype=self.dtype,
            store_dtype=self.store_dtype,
            batch_tokens=self.batch_tokens,
            max_tokens=self.max_tokens,
            on_long_response=self.on_long_response,
        )
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise InvalidInputError(
                    three_parts(
                        expected=f"{name} of {', '.join(known)}",
                        got=repr(getattr(self, name)),
                        cure="pass one of these",
                    )
                )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""
        files, shape = self.files, self._shape
        weights = files.weights_sha256()
        template = {"id": self.template}
        if self.template == "chat":
            template["sha256"] = text_sha256(self._chat_template)
        values = {
            "kind": "causal-lm",
            "recipe": 1,
            "model": model_name(weights, shape.model_type),
            "weights_sha256": weights,
            "tokenizer_sha256": files.tokenizer_sha256(),
            "config_sha256": files.sha256("config.json"),
            "template": template,
            "pooling": self.pooling,
            "layer": self._layer,
            "final_norm": self._layer == -1,
            "normalised": False,
            "compute_dtype": self.dtype,
            "max_tokens": self._limit,
            "truncation": "start of prompt, then start of response",
            "transformers_major": transformers_major(),
        }
        return Fingerprint(values, dim=shape.dim, dtype=self.store_dtype)

    @cached_property
    def _shape(self) -> "_Shape":
        return _read_shape(self.files)

    @property
    def _limit(self) -> int:
        return min(self.max_tokens, self._shape.n_positions)

    @property
    def _layer(self) -> int:
        """The layer in one spelling: -1, or 0 to n_layers - 1."""
        n_layers = self._shape.n_layers
        if not -n_layers - 1 <= self.layer <= n_layers:
            raise InvalidInputError(
                three_parts(
                    expected=f"a layer from {-n_layers - 1} to {n_layers}",
                    got=f"layer={self.layer}",
                    cure="pass -1 for the last, 0 for the embedding of the tokens",
                )
            )
        layer = self.layer % (n_layers + 1)
        return -1 if layer == n_layers else layer

    @cached_property
    def _chat_template(self) -> str:
        template = read_chat_template(self.files.directory)
        if template is None:
            raise InvalidInputError(
                three_parts(
                    expected="a model with a chat template",
                    got="none in the files of its tokenizer",
                    cure="use template='plain'",
                )
            )
        return template

    @cached_property
    def _tokenizer(self) -> Any:
        transformers = import_optional("transformers", extra="embed")
        with loading(self.files):
            return transformers.AutoTokenizer.from_pretrained(
                str(self.files.directory),
                local_files_only=True,
                trust_remote_code=False,
            )

    @cached_property
    def _loaded(self) -> Any:
        """The model without its language-model head, in evaluation mode."""
        torch = import_optional("torch", extra="embed")
        transformers = import_optional("transformers", extra="embed")
        with loading(self.files):
            model, report = transformers.AutoModel.from_pretrained(
                str(self.files.directory),
                dtype=getattr(torch, self.dtype),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        # transformers would fill them with random numbers and log a warning.
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
        return model.to(choose_device(self.device))

    @cached_property
    def _bos(self) -> list[int]:
        """BOS where texts get one, else nothing."""
        bos = self._tokenizer.bos_token_id
        if bos is None:
            return []
        if self.template == "chat":
            written = ChatRenderer(self._tokenizer, self._chat_template)("a", "a").text
            is_written = written.startswith(self._tokenizer.bos_token)
            is_added = self._tokenizer("a")["input_ids"][:1] == [bos]
            return [bos] if is_written or is_added else []
        return [bos]

    def _tokens(self, texts: Sequence[Text]) -> list[FittedTokens]:
        """Render, tokenise and truncate; exactly one BOS stands in front."""
        return list(
            tokenise(
                self._tokenizer,
                self._render(texts),
                limit=self._limit,
                prefix=self._bos,
                bos=self._tokenizer.bos_token_id,
            )
        )

    def _render(self, texts: Sequence[Text]) -> list[Rendered]:
        pairs = [check_text(text) for text in texts]
        if self.template == "plain":
            return [render_plain(prompt, response) for prompt, response in pairs]
        renderer = ChatRenderer(self._tokenizer, self._chat_template)
        return [renderer(prompt, response) for prompt, response in pairs]

    def _forward(self, tokens: Sequence[FittedTokens]) -> NDArray[np.float32]:
        torch = import_optional("torch", extra="embed")
        model = self._loaded
        pad_id = self._tokenizer.pad_token_id or 0
        batch = pad(tokens, pad_id=pad_id, side=self.padding_side)
        inputs = {"input_ids": batch.ids, "attention_mask": batch.mask.astype(np.int64)}
        if self.padding_side == "left" and _takes_positions(model):
            # Models with absolute positions would count the pads.
            inputs["position_ids"] = batch.position_ids
        on_device = {
            name: torch.as_tensor(values, device=model.device)
            for name, values in inputs.items()
        }
        with torch.inference_mode():
            output = model(
                **on_device, output_hidden_states=self._layer != -1, return_dict=True
            )
            hidden = (
                output.last_hidden_state
                if self._layer == -1
                else output.hidden_states[self._layer]
            )
            pooled = POOLINGS[self.pooling](hidden, batch, tokens)
        vectors: NDArray[np.float32] = pooled.cpu().numpy()
        return vectors


class _Shape(NamedTuple):
    """What a language model's config says about its size."""

    model_type: str
    dim: int
    n_layers: int
    n_positions: int


_KNOWN = {
    "pooling": tuple(POOLINGS),
    "template": ("chat", "plain"),
    "padding_side": ("right", "left"),
}
_DIM = ("word_embed_proj_dim", "hidden_size", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")


def _read_shape(files: ModelFiles) -> _Shape:
    """Read the sizes that the fingerprint needs from config.json."""
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
    return _Shape(
        str(config.get("model_type", "model")),
        int(dim),
        int(n_layers),
        int(n_positions or 2**31),
    )


def _takes_positions(model: Any) -> bool:
    return "position_ids" in inspect.signature(model.forward).parameters
