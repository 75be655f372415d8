"""Encoders by name for the command line, and as JSON for saved reward models."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from embrm.embed.base import COMBINED, CombinedEncoder, Encoder, block_name
from embrm.embed.causal.encoder import PUBLISHED_RECIPE, CausalLMEncoder
from embrm.embed.hashing import HashingEncoder
from embrm.embed.sentence import SentenceTransformerEncoder
from embrm.embed.server.openai_compatible import OpenAICompatibleEncoder
from embrm.embed.style import StyleEncoder
from embrm.embed.weights import SMOLLM2
from embrm.exceptions import invalid_input

KnownEncoder: TypeAlias = (
    HashingEncoder
    | SentenceTransformerEncoder
    | CausalLMEncoder
    | OpenAICompatibleEncoder
    | StyleEncoder
    | CombinedEncoder
)
"""The encoders of this package."""

ENCODERS: MappingProxyType[str, type[KnownEncoder]] = MappingProxyType(
    {
        "hashing": HashingEncoder,
        "sentence-transformer": SentenceTransformerEncoder,
        "causal-lm": CausalLMEncoder,
        "style": StyleEncoder,
    }
)
"""The encoders by kind: the closed list that saved models may name.

Encoders on a server are not among them: a file must not choose where texts are sent,
nor which environment variable is sent as the key.
"""

DEFAULT_ENCODER = SMOLLM2
"""Name of the encoder that is used where none is named, on every machine."""

ENCODER_NAMES = (
    "smollm2",
    "minilm",
    "hashing",
    "hashing:DIM",
    "style",
    "causal:MODEL",
    "st:MODEL",
    "openai:MODEL@URL",
    "a directory with a model's files",
    "FILE.gguf",
    "OWNER/NAME on the Hugging Face hub",
    "causal:MODEL@LAYERS/POOLINGS, e.g. smollm2@15,20 or smollm2@published",
    "several with + between them, e.g. minilm+style",
)
"""What `make_encoder` understands, for help texts."""


def make_encoder(name: str = DEFAULT_ENCODER, **options: Any) -> KnownEncoder:
    """Make an encoder by name.

    Parameters
    ----------
    name : str, default="smollm2"
        `"smollm2"`, a small language model, or `"minilm"`, a sentence encoder that is
        about ten times faster; `"hashing"`, or `"hashing:512"` for another dim;
        `"st:MODEL"` or `"causal:MODEL"` with a directory, a GGUF file or an id of the
        hub; `"openai:MODEL@URL"` for a server, `"openai:MODEL"` for OpenAI's with the
        key in the environment variable OPENAI_API_KEY; or a bare directory
        (sentence-transformers if it holds a `modules.json`, else causal), GGUF file or
        id (sentence-transformers if it begins so, else causal).

        A causal model may be followed by layers and poolings: `@LAYERS` or
        `@LAYERS/POOLINGS`, separated by commas, layers as numbers or shares of the
        depth, or `@published` for the last token of the last layer. Without it, it is
        the mean over the response at two thirds of the depth; see `CausalLMEncoder`.
        A response that alone exceeds the limit loses its beginning, with a warning:
        one text in a file must not stop the run. The class itself refuses it.

        `"style"` counts length, lists, markup and the like. Names with + between them
        make a block of columns each: `"minilm+style"`.
    **options
        Passed to the encoder's constructor.

    Returns
    -------
    Encoder

    Raises
    ------
    InvalidInputError
        If the name or an option is unknown; the message lists the known ones.

    Examples
    --------
    >>> make_encoder("hashing:512").dim
    512
    >>> make_encoder("st:some/model", max_tokens=128).max_tokens
    128
    >>> encoder = make_encoder("causal:some/model@15,20/mean_response,last_content")
    >>> encoder.layer, encoder.pooling
    ((15, 20), ('mean_response', 'last_content'))
    >>> make_encoder("smollm2@published").layer
    -1
    """
    several = _split_names(name)
    if len(several) > 1 and not options:
        return combined_encoder(several)
    word, _, rest = name.partition(":")
    if name == "style":
        return _construct("style", options)
    if name == "minilm":
        return _construct("sentence-transformer", options)
    if word == "hashing" and (name == word or rest.isdecimal()):
        return _construct("hashing", ({"dim": int(rest)} if rest else {}) | options)
    if word == _SERVER and rest:
        return _construct("openai-compatible", _place(rest) | options)
    if word == "st" and rest:
        return _construct("sentence-transformer", {"model": rest} | options)
    is_causal = word == "causal" and bool(rest)
    model, where = _split_layers(rest if is_causal else name)
    if is_causal or model == SMOLLM2 or _is_causal_model(model):
        made = {"model": model, "on_long_response": "truncate"} | where | options
        return _construct("causal-lm", made)
    if not where and _is_sentence_model(name):
        return _construct("sentence-transformer", {"model": name} | options)
    raise invalid_input(
        expected=f"a known encoder: {', '.join(ENCODER_NAMES)}",
        got=repr(name[:80]),
        fix="pass one of these; a directory or file must exist",
    )


def combined_encoder(encoders: Sequence[str | Encoder]) -> CombinedEncoder:
    """Combine encoders, or their names, each into a block that bears its name.

    Parameters
    ----------
    encoders : sequence of str or Encoder

    Returns
    -------
    CombinedEncoder

    Examples
    --------
    >>> combined_encoder(["hashing:64", "style"]).blocks
    {'hashing:64': slice(0, 64, None), 'style': slice(64, 80, None)}
    """
    names = [
        encoder if isinstance(encoder, str) else block_name(encoder)
        for encoder in encoders
    ]
    return CombinedEncoder(tuple(names), tuple(map(as_encoder, encoders)))


def as_encoder(encoder: str | Encoder | Sequence[str | Encoder]) -> Encoder:
    """Take an encoder, or make the one that a name, or a list of them, asks for."""
    if isinstance(encoder, str):
        return make_encoder(encoder)
    return combined_encoder(encoder) if isinstance(encoder, Sequence) else encoder


def _split_names(name: str) -> list[str]:
    """Split names with + between them; addresses and existing paths stay whole."""
    if "+" not in name or "://" in name or Path(name).expanduser().exists():
        return [name]
    parts = name.split("+")
    return parts if all(parts) else [name]


def causal_name(model: str, columns: Sequence[tuple[int, str]]) -> str:
    """Write the name by which `make_encoder` makes a causal encoder.

    Parameters
    ----------
    model : str
    columns : sequence of (layer, pooling)
        Every layer with every pooling.

    Examples
    --------
    >>> causal_name("smollm2", [(15, "mean_response"), (20, "mean_response")])
    'smollm2@15,20'
    >>> causal_name("some/model", [(-1, "last_content")])
    'causal:some/model@-1/last_content'
    """
    layers = ",".join(str(layer) for layer in dict.fromkeys(n for n, _ in columns))
    poolings = ",".join(dict.fromkeys(pooling for _, pooling in columns))
    name = model if model == SMOLLM2 else f"causal:{model}"
    return f"{name}@{layers}" + ("" if poolings == "mean_response" else f"/{poolings}")


def encoder_spec(encoder: Encoder) -> dict[str, Any]:
    """Describe an encoder as JSON from which it can be made again.

    Parameters
    ----------
    encoder : Encoder

    Returns
    -------
    dict
        `kind` and the constructor's parameters. The device belongs to the machine
        and is left out; a revision that was resolved on the hub is pinned, and so is
        a dtype that the hardware chose. Of an encoder of another package, or one that
        asks a server, the kind `"own"` and its type's name: such a one is passed
        again when the model is loaded.

    Examples
    --------
    >>> spec = encoder_spec(make_encoder("hashing:64"))
    >>> spec["kind"], spec["dim"]
    ('hashing', 64)
    >>> encoder_from_spec(spec) == make_encoder("hashing:64")
    True
    """
    if isinstance(encoder, CombinedEncoder):
        named = zip(encoder.names, encoder.encoders, strict=True)
        blocks = [{"name": name, "encoder": encoder_spec(one)} for name, one in named]
        return {"kind": COMBINED, "blocks": blocks}
    kinds = [kind for kind, known in ENCODERS.items() if type(encoder) is known]
    if not kinds:
        return {"kind": _OWN, "type": type(encoder).__name__}
    values = {
        field.name: getattr(encoder, field.name)
        for field in fields(ENCODERS[kinds[0]])
        if field.name != "device"
    }
    files = vars(encoder).get("files")
    if isinstance(encoder, CausalLMEncoder) and files is not None and encoder.has_share:
        # A share of the depth as the layer that it is.
        layers = tuple(dict.fromkeys(layer for layer, _ in encoder.columns))
        values["layer"] = layers if len(layers) > 1 else layers[0]
    if "dtype" in values:
        # Another machine's hardware must not decide with what a model is used.
        values["dtype"] = getattr(encoder, "compute_dtype", values["dtype"])
    if files is not None and files.revision is not None:
        values["revision"] = files.revision
    return {"kind": kinds[0]} | {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def encoder_from_spec(spec: Mapping[str, Any]) -> KnownEncoder:
    """Make the encoder that `encoder_spec` described.

    Raises
    ------
    InvalidInputError
        If the kind or a parameter is unknown or has an impossible value.
    """
    kind = spec.get("kind")
    if kind == COMBINED and isinstance(spec.get("blocks"), list):
        named = {
            str(block["name"]): encoder_from_spec(block["encoder"])
            for block in spec["blocks"]
        }
        return CombinedEncoder(tuple(named), tuple(named.values()))
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise invalid_input(
            expected=f"an encoder of kind {', '.join([*ENCODERS, COMBINED])}",
            got=repr(spec.get("type") if kind == _OWN else kind)[:80],
            fix="pass the encoder that the model was fitted with",
        )
    return _construct(
        kind,
        {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in spec.items()
            if name != "kind"
        },
    )


_OWN = "own"
_SERVER = "openai"
_LAYERS = re.compile(
    r"@(?P<layers>published|-?\d+(\.\d+)?(,-?\d+(\.\d+)?)*)(/(?P<poolings>[a-z_,]+))?$"
)


def _split_layers(name: str) -> tuple[str, dict[str, Any]]:
    """Split MODEL@LAYERS/POOLINGS into the model and the encoder's options."""
    found = _LAYERS.search(name)
    if found is None or Path(name).expanduser().exists():
        return name, {}
    words, poolings = found["layers"], found["poolings"]
    where: dict[str, Any] = dict(PUBLISHED_RECIPE)
    if words != "published":
        layers = tuple(float(n) if "." in n else int(n) for n in words.split(","))
        where = {"layer": layers if len(layers) > 1 else layers[0]}
    if poolings is not None:
        several = tuple(poolings.split(","))
        where["pooling"] = several if len(several) > 1 else several[0]
    return name[: found.start()], where


def _is_causal_model(name: str) -> bool:
    """Whether a bare name is a directory, a GGUF file or an id of a causal model."""
    path = Path(name).expanduser()
    if name and (path.is_dir() or (path.suffix == ".gguf" and path.is_file())):
        return not (path / "modules.json").is_file()
    return _is_hub_id(name) and not name.startswith(_SENTENCE_OWNER)


def _is_sentence_model(name: str) -> bool:
    """Whether a bare name is a directory or an id of a sentence-transformers model."""
    if (Path(name).expanduser() / "modules.json").is_file():
        return True
    return _is_hub_id(name) and name.startswith(_SENTENCE_OWNER)


def _is_hub_id(name: str) -> bool:
    owner, slash, model = name.partition("/")
    return bool(slash and owner and model) and not name.startswith((".", "~"))


_SENTENCE_OWNER = "sentence-transformers/"


def _place(rest: str) -> dict[str, Any]:
    """Read MODEL@URL, or MODEL alone for OpenAI's own server."""
    # At the last @: a mistyped address must not send texts to OpenAI.
    model, at, url = rest.rpartition("@")
    if at:
        return {"model": model, "url": url}
    return {"model": rest, "api_key_env": "OPENAI_API_KEY"}


def _construct(kind: str, options: Mapping[str, Any]) -> KnownEncoder:
    """Call the constructor, with an error that lists its parameters."""
    encoder = ENCODERS.get(kind, OpenAICompatibleEncoder)
    names = [field.name for field in fields(encoder)]
    unknown = sorted(set(options) - set(names))
    if not isinstance(options.get("model", ""), str):
        unknown.append("type of model")
    try:
        if not unknown:
            return encoder(**options)
        got = f"unknown {', '.join(unknown)}"
    except TypeError as error:
        got = str(error)
    raise invalid_input(
        expected=f"options of the {kind} encoder: {', '.join(names)}",
        got=got,
        fix="leave out what is not in this list, and check the types",
    )
