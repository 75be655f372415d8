"""Routes of the reward server, a module for each family of callers."""
