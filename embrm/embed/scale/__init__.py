"""Embed on many machines: shards of whole prompt groups, by Ray or by hand.

`embed_shard` is all that a worker does. `embed_part` runs it for a part of the texts
in this process, `embed_on_ray` for all of them on a Ray cluster.
"""

from embrm.embed.scale.ray_run import embed_on_ray
from embrm.embed.scale.shard_run import (
    ShardedEmbeddingReport,
    ShardReport,
    embed_part,
    embed_shard,
)
from embrm.embed.scale.shards import Shard

__all__ = [
    "Shard",
    "ShardReport",
    "ShardedEmbeddingReport",
    "embed_on_ray",
    "embed_part",
    "embed_shard",
]
