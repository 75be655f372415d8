"""What a sentence-transformers model is made of, read without loading it.

The fingerprint needs it, and so does safety: loading imports what `modules.json` names,
so only modules of a closed list are accepted.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from embrm.embed.weights import ModelFiles
from embrm.exceptions import InvalidInputError, three_parts


@dataclass(frozen=True)
class SentenceLayout:
    """What the settings of a sentence-transformers model say, read without it.

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
        """Names of the poolings whose results are joined."""
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
        raise InvalidInputError(
            three_parts(
                expected="a sentence-transformers model, with a modules.json",
                got=f"none in {files.directory.name}",
                cure="use CausalLMEncoder for a language model",
            )
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
        raise InvalidInputError(
            three_parts(
                expected=f"Transformer, Pooling and of {', '.join(_MODULES[2:])}",
                got=", ".join(unknown or kinds),
                cure="use a model made of these modules",
            )
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
