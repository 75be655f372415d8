"""What a reward exploits: length, format, wording, and answers to nothing."""

from embrm.evaluate.bias.audit import BiasAudit, audit_bias
from embrm.evaluate.bias.hull import HullAlarm, TrainingHull
from embrm.evaluate.bias.probes import (
    PERTURBATIONS,
    audit_kinds,
    audit_perturbations,
    one_pair_a_prompt,
    position_bias,
)
from embrm.evaluate.bias.style import STYLE_COLUMNS, style_frame

__all__ = [
    "PERTURBATIONS",
    "STYLE_COLUMNS",
    "BiasAudit",
    "HullAlarm",
    "TrainingHull",
    "audit_bias",
    "audit_kinds",
    "audit_perturbations",
    "one_pair_a_prompt",
    "position_bias",
    "style_frame",
]
