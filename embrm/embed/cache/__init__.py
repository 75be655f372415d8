"""Vectors on disk, kept for ever: embed each item once.

A `VectorCache` is a directory with one `VectorStore` for each encoder, a store a set of
immutable segments. `embrm.embed.cache._layout` specifies the files.
"""

from embrm.embed.cache.exchange import (
    ExportReport,
    ImportReport,
    export,
    import_vectors,
)
from embrm.embed.cache.maintenance import (
    CompactionReport,
    PruneReport,
    StoreCheck,
    VerifyReport,
    compact,
    prune,
    verify,
)
from embrm.embed.cache.published import PublishedVectors, open_published
from embrm.embed.cache.store import VectorStore
from embrm.embed.cache.vector_cache import StoreInfo, VectorCache

__all__ = [
    "CompactionReport",
    "ExportReport",
    "ImportReport",
    "PruneReport",
    "PublishedVectors",
    "StoreCheck",
    "StoreInfo",
    "VectorCache",
    "VectorStore",
    "VerifyReport",
    "compact",
    "export",
    "import_vectors",
    "open_published",
    "prune",
    "verify",
]
