"""Vectors on disk, kept for ever: embed each item once.

A `VectorCache` is a directory with one `VectorStore` for each encoder, a store a set of
immutable segments. `embrm.embed.cache.segment` specifies the files.
"""

from embrm.embed.cache.compaction import CompactionReport, compact
from embrm.embed.cache.exporting import ExportReport, export
from embrm.embed.cache.importing import ImportReport, import_vectors
from embrm.embed.cache.pruning import PruneReport, prune
from embrm.embed.cache.published import PublishedVectors, open_published
from embrm.embed.cache.store import VectorStore
from embrm.embed.cache.vector_cache import StoreInfo, VectorCache
from embrm.embed.cache.verification import StoreCheck, VerifyReport, verify

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
