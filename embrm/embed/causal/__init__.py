"""Causal language models: plan, share prefixes, run, pool.

`CausalLMEncoder` (`encoder`) asks `sharing_plan` how to put texts into rows: each in
its own (`padded_rows`), behind a shared key-value cache (`prefix_kv`) or as a tree
(`tree_rows`). `self_test` proves each way on the model at hand before it is used.
"""

from embrm.embed.causal.encoder import CausalLMEncoder

__all__ = ["CausalLMEncoder"]
