"""Fit and compare many heads, and write down what came out."""

from embrm.report.html import write_report
from embrm.report.leaderboard import (
    CrossFit,
    Leaderboard,
    cross_fit,
    evaluate_fit,
    make_leaderboard,
)
from embrm.report.quickstart import quickstart_path
from embrm.report.style import StyleLines, compare_with_style, style_table

__all__ = [
    "CrossFit",
    "Leaderboard",
    "StyleLines",
    "compare_with_style",
    "cross_fit",
    "evaluate_fit",
    "make_leaderboard",
    "quickstart_path",
    "style_table",
    "write_report",
]
