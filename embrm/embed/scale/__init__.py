"""Embed on many machines: shards of whole prompt groups, by Ray or by hand.

`embed_shard` is all that a worker does. `embed_part` runs it for a part of the texts
in this process, `embed_on_ray` for all of them on a Ray cluster.
"""

from typing import Any

from embrm.embed.scale.ray_run import embed_on_ray
from embrm.embed.scale.shard_run import (
    ShardedEmbeddingReport,
    ShardReport,
    embed_part,
    embed_shard,
)
from embrm.embed.scale.shards import Shard
from embrm.exceptions import warn

__all__ = [
    "Shard",
    "ShardReport",
    "ShardedEmbeddingReport",
    "embed_on_ray",
    "embed_part",
    "embed_shard",
]


def __getattr__(name: str) -> Any:
    """Give what had another name before, with a warning."""
    if name == "ShardedAccount":  # the old name
        warn("ShardedAccount is now called ShardedEmbeddingReport", FutureWarning)
        return ShardedEmbeddingReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
