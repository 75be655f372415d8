"""The studies of arXiv 2411.04991, run again on a pool with gold scores."""
