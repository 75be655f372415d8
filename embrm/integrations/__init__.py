"""Plug-ins for trainers, and a client of the reward server."""
