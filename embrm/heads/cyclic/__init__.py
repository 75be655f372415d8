"""Preferences with cycles, which no reward can order."""

from embrm.heads.cyclic.general_preference import GeneralPreference, cycle_rate

__all__ = ["GeneralPreference", "cycle_rate"]
