"""Encoders, and the cache that keeps their vectors.

An encoder turns (prompt, response) into a vector and has a fingerprint;
`embed_items` runs one with a cache. No name here imports torch before a text is
embedded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from embrm.embed.base import BatchReport, CombinedEncoder, Encoder, Fingerprint

if TYPE_CHECKING:
    from embrm.embed.cache import VectorCache
    from embrm.embed.causal import CausalLMEncoder
    from embrm.embed.estimate import estimate_embedding
    from embrm.embed.hashing import HashingEncoder
    from embrm.embed.keys import item_keys
    from embrm.embed.registry import encoder_from_spec, encoder_spec, make_encoder
    from embrm.embed.run import Embedded, embed_items
    from embrm.embed.sentence import SentenceTransformerEncoder
    from embrm.embed.server.openai_compatible import OpenAICompatibleEncoder
    from embrm.embed.style import STYLE_FEATURES, StyleEncoder

__all__ = [
    "STYLE_FEATURES",
    "BatchReport",
    "CausalLMEncoder",
    "CombinedEncoder",
    "Embedded",
    "Encoder",
    "Fingerprint",
    "HashingEncoder",
    "OpenAICompatibleEncoder",
    "SentenceTransformerEncoder",
    "StyleEncoder",
    "VectorCache",
    "embed_items",
    "encoder_from_spec",
    "encoder_spec",
    "estimate_embedding",
    "item_keys",
    "make_encoder",
]

_LAZY = {
    "CausalLMEncoder": "causal",
    "Embedded": "run",
    "HashingEncoder": "hashing",
    "OpenAICompatibleEncoder": "server.openai_compatible",
    "SentenceTransformerEncoder": "sentence",
    "STYLE_FEATURES": "style",
    "StyleEncoder": "style",
    "VectorCache": "cache",
    "embed_items": "run",
    "encoder_from_spec": "registry",
    "encoder_spec": "registry",
    "estimate_embedding": "estimate",
    "item_keys": "keys",
    "make_encoder": "registry",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"embrm.embed.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'embrm.embed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
