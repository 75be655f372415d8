"""Evaluation: pure functions of deltas, labels, gold and rewards.

Every accuracy comes with an interval from resampled prompts, and with the accuracy of
the length baseline.
"""

from typing import Any

from embrm.evaluate import bias, suites
from embrm.evaluate.best_of_n import (
    BestOfNCurve,
    PickQuality,
    best_of_n_curve,
    pick_quality,
)
from embrm.evaluate.calibration import (
    ReliabilityCurve,
    calibration_interval,
    expected_calibration_error,
    reliability_curve,
)
from embrm.evaluate.comparison import (
    compare,
    compare_heads,
    group_letters,
    holm,
    mcnemar_exact,
)
from embrm.evaluate.displays import (
    BestOfNDisplay,
    ExperimentDisplay,
    LeaderboardDisplay,
    LengthBiasDisplay,
    OveroptimisationDisplay,
    ReliabilityDisplay,
    RiskCoverageDisplay,
)
from embrm.evaluate.displays.experiment import FORMER, former_display
from embrm.evaluate.divergence import best_of_n_kl, pool_best_of_n_kl
from embrm.evaluate.human import HumanCeiling, human_ceiling
from embrm.evaluate.metrics import (
    LengthMatched,
    OrderConsistencyByDelta,
    brier_score,
    length_baseline,
    length_correlation,
    length_matched_order_consistency,
    log_loss,
    order_consistency,
    order_consistency_by_delta,
)
from embrm.evaluate.overoptimisation import (
    OveroptimisationCurve,
    overoptimisation_curve,
)
from embrm.evaluate.overoptimisation_fit import (
    FarthestAccurate,
    MeasuredPeak,
    OveroptimisationFit,
    farthest_accurate_kl,
    fit_form,
    fit_overoptimisation,
    measured_peak,
)
from embrm.evaluate.rank_correlation import PromptCorrelation, prompt_rank_correlation
from embrm.evaluate.resampling import (
    Interval,
    PromptResampler,
    prompt_bootstrap,
    prompt_bootstrap_statistic,
)
from embrm.evaluate.scores import Evaluation, evaluate_deltas, evaluate_head
from embrm.evaluate.splits import (
    LeakageReport,
    PromptGroupKFold,
    leakage_report,
    prompt_train_test_split,
)
from embrm.evaluate.subsets import Subsets, evaluate_by, subset_column
from embrm.evaluate.uncertainty import (
    BrierDecomposition,
    ConformalDifferences,
    ConformalPairs,
    RiskCoverage,
    brier_decomposition,
    risk_coverage,
)
from embrm.exceptions import warn

__all__ = [
    "BestOfNCurve",
    "BestOfNDisplay",
    "BrierDecomposition",
    "ConformalDifferences",
    "ConformalPairs",
    "Evaluation",
    "ExperimentDisplay",
    "FarthestAccurate",
    "HumanCeiling",
    "Interval",
    "LeaderboardDisplay",
    "LeakageReport",
    "LengthBiasDisplay",
    "LengthMatched",
    "MeasuredPeak",
    "OrderConsistencyByDelta",
    "OveroptimisationCurve",
    "OveroptimisationDisplay",
    "OveroptimisationFit",
    "PickQuality",
    "PromptCorrelation",
    "PromptGroupKFold",
    "PromptResampler",
    "ReliabilityCurve",
    "ReliabilityDisplay",
    "RiskCoverage",
    "RiskCoverageDisplay",
    "Subsets",
    "best_of_n_curve",
    "best_of_n_kl",
    "bias",
    "brier_decomposition",
    "brier_score",
    "calibration_interval",
    "compare",
    "compare_heads",
    "evaluate_by",
    "evaluate_deltas",
    "evaluate_head",
    "expected_calibration_error",
    "farthest_accurate_kl",
    "fit_form",
    "fit_overoptimisation",
    "group_letters",
    "holm",
    "human_ceiling",
    "leakage_report",
    "length_baseline",
    "length_correlation",
    "length_matched_order_consistency",
    "log_loss",
    "mcnemar_exact",
    "measured_peak",
    "order_consistency",
    "order_consistency_by_delta",
    "overoptimisation_curve",
    "pick_quality",
    "pool_best_of_n_kl",
    "prompt_bootstrap",
    "prompt_bootstrap_statistic",
    "prompt_rank_correlation",
    "prompt_train_test_split",
    "reliability_curve",
    "risk_coverage",
    "subset_column",
    "suites",
]


def __getattr__(name: str) -> Any:
    """Give what had another name before, with a warning."""
    if name in FORMER:
        return former_display(name)
    if name == "length_ruler":  # the old name
        warn("length_ruler is now called length_baseline", FutureWarning)
        return length_baseline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
