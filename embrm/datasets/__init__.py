"""Preference data from any common format into one canonical form."""

from embrm.datasets.account import Account, LeftOut
from embrm.datasets.candidate_pools import (
    Candidates,
    read_candidate_pool,
    read_candidates,
)
from embrm.datasets.formats import known_formats
from embrm.datasets.frames import read_frame
from embrm.datasets.preferences import Preferences
from embrm.datasets.quality import (
    QualityReport,
    filter_by_agreement,
    filter_by_length,
    filter_near_duplicates,
)
from embrm.datasets.reading import read_preferences
from embrm.datasets.synthetic import SyntheticPreferences, make_preferences

__all__ = [
    "Account",
    "Candidates",
    "LeftOut",
    "Preferences",
    "QualityReport",
    "SyntheticPreferences",
    "filter_by_agreement",
    "filter_by_length",
    "filter_near_duplicates",
    "known_formats",
    "make_preferences",
    "read_candidate_pool",
    "read_candidates",
    "read_frame",
    "read_preferences",
]
