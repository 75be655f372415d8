"""Official scores of public benchmarks, from their own rows and a table of rewards.

A score table has one row an item: `id` (the row's), `item` (the row's own column, such
as `response_A`, or with an index for lists: `rejected[2]`) and `reward`. It may come
from embrm or from anybody. `score_suite` makes the benchmark's official scores of it.
"""

from embrm.evaluate.suites._matching import AGGREGATORS, aggregate_steps
from embrm.evaluate.suites._scoring import Coverage, SuiteResult
from embrm.evaluate.suites.layouts import as_scores, read_results
from embrm.evaluate.suites.leaderboard import (
    compare_results,
    length_scores,
    published_scores,
    word_scores,
)
from embrm.evaluate.suites.registry import known_suites, score_suite, suite_items

__all__ = [
    "AGGREGATORS",
    "Coverage",
    "SuiteResult",
    "aggregate_steps",
    "as_scores",
    "compare_results",
    "known_suites",
    "length_scores",
    "published_scores",
    "read_results",
    "score_suite",
    "suite_items",
    "word_scores",
]
