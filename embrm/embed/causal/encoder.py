"""Encoders from causal language models: hidden states of Llama, Gemma, GPT-2, ..."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, partial
from typing import Any

from embrm._optional import import_optional
from embrm._typing import Text
from embrm.embed.base import Fingerprint, OnBatch
from embrm.embed.batching import check_options, choose_device
from embrm.embed.causal.columns import Columns
from embrm.embed.causal.engine import SHARINGS, CausalEngine
from embrm.embed.causal.language_model import CausalModel, load_causal_model
from embrm.embed.causal.shape import CausalShape, read_shape
from embrm.embed.pooling import LAST, POOLINGS, Column
from embrm.embed.sliced_encoder import Outputs, SlicedEncoder
from embrm.embed.template import (
    ChatRenderer,
    Rendered,
    check_text,
    read_chat_template,
    render_plain,
    text_sha256,
)
from embrm.embed.truncation import FittedTokens, tokenise
from embrm.embed.weights import (
    ModelFiles,
    loading,
    model_name,
    resolve_model,
    transformers_major,
)
from embrm.exceptions import InvalidInputError, three_parts


@dataclass(frozen=True)
class CausalLMEncoder(SlicedEncoder):
    r"""Embed texts with the hidden states of a causal language model.

    A text beyond the limit loses the beginning of its prompt; the response, BOS and
    what the chat template adds are kept. Vectors do not depend on padding, batch
    size, order or on what is shared with other texts.

    Parameters
    ----------
    model : str
        A local directory with `config.json` and safetensors, or the id of a
        repository of the Hugging Face hub.
    pooling : {"last_content", "mean_response", "mean", "prompt"}, \
            default="last_content"
        The state at the response's last token, white space and the template's
        end-of-turn left out; or the mean over the response's tokens, or over all
        tokens but BOS. An empty response is pooled at the last token before it, and
        so is every response with `"prompt"`: a vector of the prompt alone.
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

    Sharing works on the token ids that the model is fed, after truncation. The cost of
    a way to share, in tokens, is the sum over its forward passes of
    `n (1 + keys / 6d) + c`: n tokens with padding, each looking at `keys` tokens, and
    c = 16 for starting the pass (on a GPU c = 128, and a pass counts as 1,024 tokens
    at least). With P shared tokens and R own ones of each of K texts, K(P + R) becomes
    about P + KR. Before a way is used, it embeds five short texts, and if they differ
    from the plain way's (1e-4 relative in float32, 0.05 in bfloat16) or the model
    raises, as hybrid models do, the plain way is taken with a warning. So vectors are
    equal but for the rounding that batches cause anyway, and the fingerprint does not
    name the sharing: a cache filled with one goes on with another.

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
    sharing: str = "auto"
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
            "layer": self.column.layer,
            "final_norm": self.column.layer == LAST,
            "normalised": False,
            "compute_dtype": self.dtype,
            "max_tokens": self._limit,
            "truncation": "start of prompt, then start of response",
            "transformers_major": transformers_major(),
        }
        return Fingerprint(values, dim=shape.dim, dtype=self.store_dtype)

    def columns(
        self,
        *,
        layers: Sequence[int] = (-1,),
        poolings: Sequence[str] = ("last_content",),
    ) -> Columns:
        """Make an encoder for each layer and pooling, all with one loaded model.

        Parameters
        ----------
        layers : sequence of int, default=(-1,)
        poolings : sequence of str, default=("last_content",)

        Returns
        -------
        Columns
            A sequence of `CausalLMEncoder`, each with a fingerprint of its own, whose
            `encode_columns` computes all of them in one pass. See
            `embrm.embed.causal.columns.embed_columns` for vectors that are kept.

        Examples
        --------
        >>> encoder = CausalLMEncoder("google/gemma-2-2b-it")
        >>> gated = encoder.columns(poolings=("last_content", "prompt"))
        >>> [column.pooling for column in gated]
        ['last_content', 'prompt']
        """
        encoders = [
            replace(self, layer=layer, pooling=pooling)
            for layer in dict.fromkeys(layers)
            for pooling in dict.fromkeys(poolings)
        ]
        for encoder in encoders:
            vars(encoder)["_lender"] = self
        return Columns(tuple(encoders))

    @property
    def column(self) -> Column:
        """Layer, spelled in one way, and pooling."""
        return Column(self._shape.layer(self.layer), self.pooling)

    def encode_into(
        self,
        outputs: Outputs,
        texts: Sequence[Text],
        columns: Sequence[Column],
        *,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Embed texts for several columns, into an array of shape (n, d) for each."""
        engine = self._make_engine(columns)
        embed = partial(engine.embed, budget=self._budget, on_batch=on_batch)
        self._fill(outputs, texts, embed)

    def _make_engine(self, columns: Sequence[Column]) -> CausalEngine:
        return CausalEngine(
            self._causal_model,
            columns,
            sharing=self.sharing,
            tokenizer=self._tokenizer,
            dim=self._shape.dim,
            limit=self._limit,
        )

    @cached_property
    def files(self) -> ModelFiles:
        """The model's files; found, or fetched from the hub, at the first use."""
        lender = self._lender
        if lender is not self:
            return lender.files
        return resolve_model(self.model, revision=self.revision)

    @cached_property
    def _lender(self) -> "CausalLMEncoder":
        """The encoder whose loaded model this one uses."""
        return self

    @cached_property
    def _shape(self) -> CausalShape:
        return read_shape(self.files)

    @property
    def _limit(self) -> int:
        return min(self.max_tokens, self._shape.n_positions)

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
        if self._lender is not self:
            return self._lender._tokenizer
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
        if self._lender is not self:
            return self._lender._loaded
        device = choose_device(self.device)
        return load_causal_model(self.files, dtype=self.dtype, device=device)

    @cached_property
    def _causal_model(self) -> CausalModel:
        if self._lender is not self:
            return self._lender._causal_model
        return CausalModel(
            self._loaded,
            n_layers=self._shape.n_layers,
            pad_id=self._tokenizer.pad_token_id or 0,
            padding_side=self.padding_side,
        )

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
        rendered = self._render(texts)
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

    def _render(self, texts: Sequence[Text]) -> list[Rendered]:
        pairs = [check_text(text) for text in texts]
        if self.template == "plain":
            return [render_plain(prompt, response) for prompt, response in pairs]
        renderer = ChatRenderer(self._tokenizer, self._chat_template)
        return [renderer(prompt, response) for prompt, response in pairs]

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
        return self._make_engine([self.column])


def _without_response(tokens: FittedTokens) -> FittedTokens:
    """Let an empty response begin behind the last token, so that all is prompt."""
    return replace(tokens, response_start=len(tokens))


_KNOWN = {
    "pooling": tuple(POOLINGS),
    "template": ("chat", "plain"),
    "sharing": SHARINGS,
    "padding_side": ("right", "left"),
}
