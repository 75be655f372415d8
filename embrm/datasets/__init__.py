"""Preference data from any common format into one canonical form."""

from typing import Any

from embrm.datasets.agreement import krippendorff_alpha
from embrm.datasets.candidate_pools import (
    Candidates,
    read_candidate_pool,
    read_candidates,
)
from embrm.datasets.diagnosis import Diagnosis, diagnose
from embrm.datasets.formats import known_formats
from embrm.datasets.label_errors import LabelErrors, find_label_errors
from embrm.datasets.near_duplicates import (
    near_duplicate_groups,
    near_duplicate_prompt_ids,
)
from embrm.datasets.pair_filters import (
    filter_contradictions,
    filter_label_errors,
    filter_near_duplicate_prompts,
    filter_repeats,
    filter_shared_prompts,
    filter_ties,
)
from embrm.datasets.paired import read_pairs
from embrm.datasets.preferences import LeftOut, Preferences, ReadReport
from embrm.datasets.quality import (
    QualityReport,
    filter_by_agreement,
    filter_by_length,
    filter_near_duplicates,
)
from embrm.datasets.reading import read_preferences
from embrm.datasets.sources import read_frame
from embrm.datasets.synthetic import SyntheticPreferences, make_preferences
from embrm.exceptions import warn

__all__ = [
    "Candidates",
    "Diagnosis",
    "LabelErrors",
    "LeftOut",
    "Preferences",
    "QualityReport",
    "ReadReport",
    "SyntheticPreferences",
    "diagnose",
    "filter_by_agreement",
    "filter_by_length",
    "filter_contradictions",
    "filter_label_errors",
    "filter_near_duplicate_prompts",
    "filter_near_duplicates",
    "filter_repeats",
    "filter_shared_prompts",
    "filter_ties",
    "find_label_errors",
    "known_formats",
    "krippendorff_alpha",
    "make_preferences",
    "near_duplicate_groups",
    "near_duplicate_prompt_ids",
    "read_candidate_pool",
    "read_candidates",
    "read_frame",
    "read_pairs",
    "read_preferences",
]


def __getattr__(name: str) -> Any:
    if name == "Account":
        warn(
            "embrm.datasets.Account is now ReadReport; the old name goes in the next "
            "version.",
            FutureWarning,
        )
        return ReadReport
    raise AttributeError(f"module 'embrm.datasets' has no attribute {name!r}")
