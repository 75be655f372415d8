"""Fit and compare many heads, and write down what came out."""

from embrm.report.comparison import (
    ComparisonReport,
    comparison_report,
    leaderboard_report,
    write_report,
)
from embrm.report.evaluation import EvaluationReport, evaluation_report, report_of_model
from embrm.report.leaderboard import (
    CrossFit,
    Leaderboard,
    cross_fit,
    evaluate_fit,
    held_out_probability,
    make_leaderboard,
)
from embrm.report.page import Report, write_data_page
from embrm.report.quickstart import quickstart_path
from embrm.report.style import (
    LayerComparison,
    StyleLines,
    compare_layers,
    compare_with_style,
    layers_to_compare,
    style_table,
)

__all__ = [
    "ComparisonReport",
    "CrossFit",
    "EvaluationReport",
    "LayerComparison",
    "Leaderboard",
    "Report",
    "StyleLines",
    "compare_layers",
    "compare_with_style",
    "comparison_report",
    "cross_fit",
    "evaluate_fit",
    "evaluation_report",
    "held_out_probability",
    "layers_to_compare",
    "leaderboard_report",
    "make_leaderboard",
    "quickstart_path",
    "report_of_model",
    "style_table",
    "write_data_page",
    "write_report",
]
