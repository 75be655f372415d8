"""Several models on one benchmark: which differences are more than noise."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from embrm._typing import RandomState
from embrm.evaluate.comparison import group_letters, p_of_all_pairs
from embrm.evaluate.suites._scoring import SuiteResult, resampled_scores
from embrm.exceptions import invalid_input


def compare_results(
    results: Mapping[str, SuiteResult],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> pd.DataFrame:
    """Rank models by their headline on the same rows of a benchmark.

    Parameters
    ----------
    results : mapping of str to SuiteResult
        Of one suite and version, from the same rows; at least two.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    DataFrame
        One row a model (index `model`), best first: `overall, low, high`;
        `difference, difference_low, difference_high` to the best on the same resampled
        prompts; `p_best`, `ties_with_best` and `group` as in `compare_heads`, which
        allow for the best having been chosen on these rows.

    Raises
    ------
    InvalidInputError
        If there are fewer than two, a result is partial, suites differ, or rows do.

    Examples
    --------
    >>> from embrm.evaluate.suites import score_suite
    >>> rows = pd.DataFrame({"id": range(40), "label": [1, 2] * 20})
    >>> def scores(right):
    ...     return pd.DataFrame(
    ...         [
    ...             {
    ...                 "id": n,
    ...                 "item": f"output_{k}",
    ...                 "reward": float((k == 1 + n % 2) == right),
    ...             }
    ...             for n in range(40)
    ...             for k in (1, 2)
    ...         ]
    ...     )
    >>> results = {
    ...     name: score_suite("llmbar", rows, scores(name == "good"))
    ...     for name in ("bad", "good")
    ... }
    >>> compare_results(results)["group"].to_dict()
    {'good': 'a', 'bad': 'b'}
    """
    _check_comparable(results)
    if isinstance(random_state, np.random.Generator) or random_state is None:
        # All models see the same resamples.
        random_state = int(np.random.default_rng(random_state).integers(2**31))
    replicates = np.column_stack(
        [
            resampled_scores(r._scoring, level, n_resamples, random_state)["overall"]
            for r in results.values()
        ]
    )
    replicates = replicates[np.isfinite(replicates).all(axis=1)]
    estimates = np.array([r.overall for r in results.values()])
    best = int(estimates.argmax())
    apart = replicates - replicates[:, [best]]
    tail = (1 - level) / 2
    low, high = np.quantile(apart, [tail, 1 - tail], axis=0)
    intervals = [
        r.intervals(level=level, n_resamples=n_resamples, random_state=random_state)
        for r in results.values()
    ]
    n_rows = next(iter(results.values())).coverage.expected
    p_pairs = p_of_all_pairs(replicates, estimates, n_rows)
    differ = p_pairs < 1 - level
    table = pd.DataFrame(
        {
            "overall": estimates,
            "low": [i.loc["overall", "low"] for i in intervals],
            "high": [i.loc["overall", "high"] for i in intervals],
            "difference": estimates - estimates[best],
            "difference_low": low,
            "difference_high": high,
            "p_best": p_pairs[best],
            "ties_with_best": ~differ[best],
            "group": group_letters(estimates, differ),
        },
        index=pd.Index(list(results), name="model"),
    )
    return table.sort_values("overall", ascending=False, kind="stable")


def _check_comparable(results: Mapping[str, SuiteResult]) -> None:
    kinds = {(r.suite, r.version, r.coverage.expected) for r in results.values()}
    if len(results) < 2 or len(kinds) != 1:
        raise invalid_input(
            "two results or more, of one suite, version and set of rows",
            f"{len(results)} of {len(kinds)} kinds",
            "score every model on the same rows",
        )
    for name, result in results.items():
        if result.partial:
            raise invalid_input(
                "results that are not partial",
                f"{name}: {'; '.join(result.partial)}"[:200],
                "score every row, or compare on the rows that all have scored",
            )
