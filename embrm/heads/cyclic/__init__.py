"""Preferences with cycles, which no reward can order."""

from embrm.heads.cyclic.cycles import cycle_rate
from embrm.heads.cyclic.general_preference import GeneralPreference

__all__ = ["GeneralPreference", "cycle_rate"]
