"""Encoders in the layout of sentence-transformers, such as all-MiniLM-L6-v2."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm._typing import Text
from embrm.embed.base import Fingerprint, OnBatch
from embrm.embed.batching import check_options, choose_device, pad, set_evaluation_mode
from embrm.embed.sliced_encoder import Outputs, SlicedEncoder, native_dtype
from embrm.embed.steps import PaddedStep, padded_steps, run_steps
from embrm.embed.template import check_text, render_plain, special_tokens
from embrm.embed.truncation import FittedTokens, tokenise
from embrm.embed.weights import (
    MINILM,
    ModelFiles,
    loading,
    model_name,
    transformers_major,
)
from embrm.exceptions import invalid_input


@dataclass(frozen=True)
class SentenceLayout:
    """The settings of a sentence-transformers model, read without the library.

    Attributes
    ----------
    files : ModelFiles
    modules : tuple of (kind, folder)
        In the order in which they run; a folder is `""` or ends in a slash.
    """

    files: ModelFiles
    modules: tuple[tuple[str, str], ...]

    @property
    def transformer(self) -> str:
        """Folder of the transformer."""
        return self.modules[0][1]

    @property
    def weight_folders(self) -> list[str]:
        """Folders that hold weights."""
        return [folder for kind, folder in self.modules if kind in _WEIGHTED]

    @property
    def config_files(self) -> list[str]:
        """Names of all settings that decide the vectors."""
        own = [f"{folder}config.json" for _, folder in self.modules]
        shared = ["modules.json", "config_sentence_transformers.json"]
        return sorted({*own, *shared, *self._limit_files})

    @property
    def pooling(self) -> list[str]:
        """Names of the poolings whose results are concatenated."""
        config = self._config("Pooling")
        modes = config.get("pooling_mode")
        if modes is None:
            modes = [name for key, name in _OLD_POOLING.items() if config.get(key)]
        return [modes] if isinstance(modes, str) else list(modes) or ["mean"]

    @property
    def is_normalised(self) -> bool:
        """Whether vectors have unit length."""
        return any(kind == "Normalize" for kind, _ in self.modules)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        if "Dense" in dict(self.modules):
            return int(self._config("Dense")["out_features"])
        config = self._config("Pooling")
        old_key, key = "word_embedding_dimension", "embedding_dimension"
        return len(self.pooling) * int(config[key if key in config else old_key])

    @property
    def n_positions(self) -> int:
        """Tokens that the transformer has positions for."""
        config = self.files.read_json(f"{self.transformer}config.json")
        # RoBERTa's kin count positions from the padding id + 1.
        first = 2 if config.get("model_type") in _SHIFTED_POSITIONS else 0
        return int(config.get("max_position_embeddings", 2**31)) - first

    @property
    def max_tokens(self) -> int:
        """The model's own limit, special tokens included."""
        for name in self._limit_files:
            if limit := self.files.read_json(name).get("max_seq_length"):
                return int(limit)
        tokenizer = self.files.read_json(f"{self.transformer}tokenizer_config.json")
        return int(min(tokenizer.get("model_max_length", 2**31), self.n_positions))

    @property
    def _limit_files(self) -> list[str]:
        folder = self.files.directory / self.transformer
        found = folder.glob("sentence_*_config.json")
        return sorted(f"{self.transformer}{path.name}" for path in found)

    def _config(self, kind: str) -> dict[str, Any]:
        """Return the settings of the last module of a kind."""
        config: dict[str, Any] = self.files.read_json(
            f"{dict(self.modules)[kind]}config.json"
        )
        return config


def read_layout(files: ModelFiles) -> SentenceLayout:
    """Read which modules a sentence-transformers model is made of.

    Raises
    ------
    InvalidInputError
        If there is no `modules.json`, or it names code outside the closed list of
        modules known here: loading imports what these files name.
    """
    entries = files.read_json("modules.json")
    if not entries:
        raise invalid_input(
            expected="a sentence-transformers model, with a modules.json",
            got=f"none in {files.directory.name}",
            fix="use CausalLMEncoder for a language model",
        )
    named = [entry["type"] for entry in entries]
    kinds = [name.rpartition(".")[2] for name in named]
    folders = [entry["path"] and f"{entry['path'].rstrip('/')}/" for entry in entries]
    activations = [
        files.read_json(f"{folder}config.json").get("activation_function", "torch.nn.")
        for kind, folder in zip(kinds, folders, strict=True)
        if kind == "Dense"
    ]
    unknown = [
        name
        for name, kind in zip(named, kinds, strict=True)
        if kind not in _MODULES or not name.startswith("sentence_transformers.")
    ] + [name for name in activations if not name.startswith("torch.nn.")]
    if unknown or kinds[:1] != ["Transformer"] or "Pooling" not in kinds:
        raise invalid_input(
            expected=f"Transformer, Pooling and of {', '.join(_MODULES[2:])}",
            got=", ".join(unknown or kinds),
            fix="use a model made of these modules",
        )
    return SentenceLayout(files, tuple(zip(kinds, folders, strict=True)))


_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm")
_WEIGHTED = frozenset({"Transformer", "Dense", "LayerNorm"})
_SHIFTED_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
_OLD_POOLING = MappingProxyType(
    {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
)


@dataclass(frozen=True)
class SentenceTransformerEncoder(SlicedEncoder):
    r"""Embed texts with a sentence-transformers model.

    A text is the prompt, a blank line and the response; the turns of a conversation
    are labelled. A text beyond the limit loses the beginning of its prompt, then of
    its response, never the response's end. Pooling and normalisation are the
    model's own.

    Parameters
    ----------
    model : str, default="all-MiniLM-L6-v2"
        A local directory with `modules.json`; the default, which `embrm[offline]`
        installs; or the id of a repository of the Hugging Face hub.
    template : {"plain"}, default="plain"
    max_tokens : int, optional
        Token limit, special tokens included. None takes the model's (256 for
        MiniLM); larger values are capped at the positions that the model has.
    batch_tokens : int, optional
        Tokens of a batch, padding included; None is 2,048 on a CPU, 16,384 elsewhere.
        Does not change the vectors.
    dtype : {"auto", "float32", "bfloat16"}, default="auto"
        Dtype in which the transformer computes; pooling and what follows it are in
        float32. "auto" is bfloat16 where the hardware has it, about three times
        faster on a CPU with AMX or AVX-512 BF16 at a cosine of 0.9999, else float32.
        The dtype belongs to the fingerprint: name it where machines of different
        kinds share a cache.
    store_dtype : {"float16", "float32"}, default="float16"
        Dtype of the vectors.
    device : str, optional
        Device of torch; None takes the GPU if there is one.
    revision : str, optional
        Branch, tag or commit on the hub.
    on_long_response : {"truncate", "raise"}, default="truncate"
        What to do when a response alone exceeds the limit.

    Notes
    -----
    The constructor only stores; the model is loaded when a text is embedded. The
    fingerprint needs the model's files alone, neither torch nor transformers.

    Examples
    --------
    >>> encoder = SentenceTransformerEncoder()
    >>> encoder.fingerprint.dim, encoder.fingerprint.fields["max_tokens"]
    (384, 256)
    """

    model: str = MINILM
    _: KW_ONLY
    template: str = "plain"
    max_tokens: int | None = None
    batch_tokens: int | None = None
    dtype: str = "auto"
    store_dtype: str = "float16"
    device: str | None = None
    revision: str | None = None
    on_long_response: str = "truncate"

    def __post_init__(self) -> None:
        check_options(self, "float32" if self.dtype == "auto" else self.dtype)
        if self.template != "plain":
            raise invalid_input(
                expected="template 'plain' for a sentence-transformers model",
                got=repr(self.template),
                fix="leave it out; chat templates are for CausalLMEncoder",
            )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""
        files, layout = self.files, self._layout
        config = files.read_json(f"{layout.transformer}config.json")
        weights = files.weights_sha256(*layout.weight_folders)
        values = {
            "kind": "sentence-transformer",
            "recipe": 1,
            "model": model_name(weights, str(config.get("model_type"))),
            "weights_sha256": weights,
            "tokenizer_sha256": files.tokenizer_sha256(layout.transformer),
            "config_sha256": files.sha256(*layout.config_files),
            "template": {"id": self.template},
            "pooling": layout.pooling,
            "normalised": layout.is_normalised,
            "compute_dtype": self.compute_dtype,
            "max_tokens": self._limit,
            "truncation": "start of prompt, then start of response",
            "transformers_major": transformers_major(),
        }
        return Fingerprint(values, dim=layout.dim, dtype=self.store_dtype)

    @cached_property
    def compute_dtype(self) -> str:
        """Dtype in which the transformer computes, `"auto"` resolved."""
        return native_dtype(self.device) if self.dtype == "auto" else self.dtype

    @cached_property
    def _layout(self) -> "SentenceLayout":
        return read_layout(self.files)

    @property
    def _limit(self) -> int:
        layout = self._layout
        return min(self.max_tokens or layout.max_tokens, layout.n_positions)

    @cached_property
    def _loaded(self) -> Any:
        """The SentenceTransformer, in evaluation mode."""
        torch = import_optional("torch", extra="embed")
        library = import_optional("sentence_transformers", extra="embed")
        with loading(self.files):
            model = library.SentenceTransformer(
                str(self.files.directory),
                device=choose_device(self.device),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={
                    "dtype": getattr(torch, self.compute_dtype),
                    "use_safetensors": True,
                },
            )
        # Pooling and normalising cost nothing, and in bfloat16 a "unit" norm is
        # wrong in its third digit.
        for module in list(model)[1:]:
            module.float()
        set_evaluation_mode(model)
        return model

    @cached_property
    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text."""
        return special_tokens(self._loaded.tokenizer)

    def _tokens(self, texts: Sequence[Text]) -> list[FittedTokens]:
        if len(texts) == 0:
            return []
        model = self._loaded
        instruction = model.prompts.get(model.default_prompt_name) or ""
        rendered = [
            render_plain(*check_text(text), prefix=instruction) for text in texts
        ]
        prefix, suffix = self._special_tokens
        return list(
            tokenise(
                model.tokenizer,
                rendered,
                limit=self._limit,
                prefix=prefix,
                suffix=suffix,
            )
        )

    def _embed(
        self,
        tokens: Sequence[FittedTokens],
        outputs: Outputs,
        *,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Embed tokens in batches of similar length."""

        def run(step: PaddedStep) -> list[Any]:
            return [self._forward([tokens[row] for row in step.rows])]

        plan = partial(padded_steps, tokens)
        run_steps(tokens, plan, run, outputs, budget=self._budget, on_batch=on_batch)

    def _forward(self, tokens: Sequence[FittedTokens]) -> Any:
        torch = import_optional("torch", extra="embed")
        model = self._loaded
        batch = pad(tokens, pad_id=model.tokenizer.pad_token_id or 0)
        ids = torch.as_tensor(batch.ids, device=model.device)
        features = {
            "input_ids": ids,
            "attention_mask": torch.as_tensor(
                batch.mask.astype(np.int64), device=model.device
            ),
        }
        if "token_type_ids" in model.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        with torch.inference_mode():
            transformer, *rest = model
            features = transformer(features)
            features["token_embeddings"] = features["token_embeddings"].float()
            for module in rest:
                features = module(features)
            pooled = features["sentence_embedding"]
        return pooled.cpu().numpy()
