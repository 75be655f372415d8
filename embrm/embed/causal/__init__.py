"""Causal language models: plan, share prefixes, run, pool.

`CausalLMEncoder` (`encoder`) lets `sharing_plan` arrange texts in rows: each in its
own, behind a shared key-value cache (`passes`) or as a tree (`tree_rows`). `engine`
checks each method on the model before it is used.
"""

from embrm.embed.causal.encoder import CausalLMEncoder

__all__ = ["CausalLMEncoder"]
