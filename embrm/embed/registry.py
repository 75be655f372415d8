"""Encoders by name for the command line, and as JSON for saved reward models."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from embrm.embed.base import Encoder
from embrm.embed.causal.encoder import CausalLMEncoder
from embrm.embed.hashing import HashingEncoder
from embrm.embed.sentence import SentenceTransformerEncoder
from embrm.embed.server.openai_compatible import OpenAICompatibleEncoder
from embrm.exceptions import InvalidInputError, three_parts

KnownEncoder: TypeAlias = (
    HashingEncoder
    | SentenceTransformerEncoder
    | CausalLMEncoder
    | OpenAICompatibleEncoder
)
"""The encoders of this package."""

ENCODERS: MappingProxyType[str, type[KnownEncoder]] = MappingProxyType(
    {
        "hashing": HashingEncoder,
        "sentence-transformer": SentenceTransformerEncoder,
        "causal-lm": CausalLMEncoder,
    }
)
"""The encoders by kind: the closed list of what a saved model may name.

One that asks a server is not among them: a file from elsewhere must not choose where
texts are sent, nor which environment variable goes along as the key.
"""

ENCODER_WORDS = (
    "minilm",
    "hashing",
    "hashing:DIM",
    "st:MODEL",
    "causal:MODEL",
    "openai:MODEL@URL",
    "a directory with a model's files",
    "OWNER/NAME on the Hugging Face hub",
)
"""What `make_encoder` understands, for help texts."""


def make_encoder(name: str = "minilm", **options: Any) -> KnownEncoder:
    """Make an encoder from a word of the command line.

    Parameters
    ----------
    name : str, default="minilm"
        `"minilm"`; `"hashing"`, or `"hashing:512"` for another dim; `"st:MODEL"` or
        `"causal:MODEL"` with a directory or an id of the hub; `"openai:MODEL@URL"`
        for a server, `"openai:MODEL"` for OpenAI's with the key in the environment
        variable OPENAI_API_KEY; or a bare directory
        (sentence-transformers if it holds a `modules.json`, else causal) or id
        (sentence-transformers if it begins so, else causal).
    **options
        Passed to the encoder's constructor.

    Returns
    -------
    Encoder

    Raises
    ------
    InvalidInputError
        If the word or an option is unknown; the message lists the known ones.

    Examples
    --------
    >>> make_encoder("hashing:512").dim
    512
    >>> make_encoder("st:some/model", max_tokens=128).max_tokens
    128
    """
    word, _, rest = name.partition(":")
    if name == "minilm":
        return _construct("sentence-transformer", options)
    if word == "hashing" and (name == word or rest.isdecimal()):
        return _construct("hashing", ({"dim": int(rest)} if rest else {}) | options)
    if word == _SERVER and rest:
        return _construct("openai-compatible", _place(rest) | options)
    if word in _PREFIXES and rest:
        return _construct(_PREFIXES[word], {"model": rest} | options)
    directory = Path(name).expanduser()
    if name and directory.is_dir():
        is_sentence = (directory / "modules.json").is_file()
        kind = "sentence-transformer" if is_sentence else "causal-lm"
        return _construct(kind, {"model": name} | options)
    owner, slash, model = name.partition("/")
    if slash and owner and model and not name.startswith((".", "~")):
        is_sentence = owner == "sentence-transformers"
        kind = "sentence-transformer" if is_sentence else "causal-lm"
        return _construct(kind, {"model": name} | options)
    raise InvalidInputError(
        three_parts(
            expected=f"a known encoder: {', '.join(ENCODER_WORDS)}",
            got=repr(name[:80]),
            cure="pass one of these; a directory must exist",
        )
    )


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
    kinds = [kind for kind, known in ENCODERS.items() if type(encoder) is known]
    if not kinds:
        return {"kind": _OWN, "type": type(encoder).__name__}
    values = {
        field.name: getattr(encoder, field.name)
        for field in fields(ENCODERS[kinds[0]])
        if field.name != "device"
    }
    if "dtype" in values:
        # Another machine's hardware must not decide with what a model is used.
        values["dtype"] = getattr(encoder, "compute_dtype", values["dtype"])
    files = vars(encoder).get("files")
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
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise InvalidInputError(
            three_parts(
                expected=f"an encoder of kind {', '.join(ENCODERS)}",
                got=repr(spec.get("type") if kind == _OWN else kind)[:80],
                cure="pass the encoder that the model was fitted with",
            )
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
_PREFIXES = MappingProxyType({"st": "sentence-transformer", "causal": "causal-lm"})


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
    raise InvalidInputError(
        three_parts(
            expected=f"options of the {kind} encoder: {', '.join(names)}",
            got=got,
            cure="leave out what is not in this list, and check the types",
        )
    )
