"""Fit and compare many heads, and write down what came out."""

from embrm.report.data_page import write_data_page
from embrm.report.held_out import held_out_probability
from embrm.report.html import write_report
from embrm.report.leaderboard import (
    CrossFit,
    Leaderboard,
    cross_fit,
    evaluate_fit,
    make_leaderboard,
)
from embrm.report.quickstart import quickstart_path

__all__ = [
    "CrossFit",
    "Leaderboard",
    "cross_fit",
    "evaluate_fit",
    "held_out_probability",
    "make_leaderboard",
    "quickstart_path",
    "write_data_page",
    "write_report",
]
