"""Several models on one benchmark: which differences are more than noise.

A few published figures can stand beside one's own, and so can what the benchmark gives
away without its prompts: lengths and words of responses.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from embrm._typing import FloatArray, RandomState
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


_RM_BENCH = "RM-Bench leaderboard, github.com/THU-KEG/RM-Bench-Leaderboard, 2025-07-23"
_LLMBAR = (
    "mean of its five subsets, 419 pairs; statistics.json of "
    "github.com/princeton-nlp/LLMBar, 2024-07-08"
)
_JUDGEBENCH = (
    "outputs of github.com/ScalerLab/JudgeBench, 2024-11-06, 350 pairs of GPT-4o"
)
_REWARDMATH = "results of github.com/kimsh0507/RewardMATH_official, 2024-10-13"

# Suite, model, name of the score in the suite's table, percent, source.
_PUBLISHED = [
    *(
        ("rm-bench", model, name, percent, _RM_BENCH)
        for model, percents in {
            "Llama-3.3-Nemotron-70B-Reward": (75.4, 84.5, 69.3, 90.4, 79.9),
            "Llama-3.1-Nemotron-70B-Reward": (70.7, 64.3, 57.4, 90.3, 70.7),
            "Skywork-Reward-Llama-3.1-8B": (69.5, 60.6, 54.5, 95.7, 70.1),
            "URM-LLaMa-3.1-8B": (71.2, 61.8, 54.1, 93.1, 70.0),
        }.items()
        for name, percent in zip(
            ("chat", "math", "code", "safety", "overall"), percents, strict=True
        )
    ),
    ("llmbar", "GPT-4, vanilla", "overall", 83.7, _LLMBAR),
    ("llmbar", "GPT-4, metrics and reference", "overall", 85.4, _LLMBAR),
    ("llmbar", "PaLM 2, vanilla", "overall", 68.8, _LLMBAR),
    ("llmbar", "ChatGPT, vanilla", "overall", 40.8, _LLMBAR),
    ("judgebench", "Skywork-Reward-Gemma-2-27B", "overall", 64.29, _JUDGEBENCH),
    ("judgebench", "internlm2-20b-reward", "overall", 63.43, _JUDGEBENCH),
    ("judgebench", "Skywork-Reward-Llama-3.1-8B", "overall", 62.29, _JUDGEBENCH),
    ("judgebench", "GRM-Gemma-2B-rewardmodel-ft", "overall", 59.43, _JUDGEBENCH),
    ("rewardmath", "internlm2-7b-reward", "overall", 37.27, _REWARDMATH),
    ("rewardmath", "Skywork-Reward-Llama-3.1-8B", "overall", 22.15, _REWARDMATH),
    ("rewardmath", "ArmoRM-Llama3-8B", "overall", 20.50, _REWARDMATH),
]


def published_scores(suite: str) -> pd.DataFrame:
    """Return a handful of published scores of a benchmark.

    Parameters
    ----------
    suite : str

    Returns
    -------
    DataFrame
        Columns `model`, `name` (of the score in the suite's table), `score` in [0, 1]
        and `source`, with its date; best first, and empty where there are none. Those
        of LLMBar, JudgeBench and RewardMATH are also what `score_suite` makes of the
        per-item results in these places.

    Examples
    --------
    >>> published_scores("judgebench")["model"].iloc[0]
    'Skywork-Reward-Gemma-2-27B'
    """
    rows = [row[1:] for row in _PUBLISHED if row[0] == suite]
    frame = pd.DataFrame(rows, columns=["model", "name", "score", "source"])
    frame["score"] = (frame["score"].astype(float) / 100).round(4)
    return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)


_FOLDS, _MOST_WORDS = 5, 20_000


def length_scores(items: pd.DataFrame) -> pd.DataFrame:
    """Reward every response by its length.

    Parameters
    ----------
    items : DataFrame
        What `suite_items` gives.

    Returns
    -------
    DataFrame
        A score table: the items' ids, and the length in characters as `reward`.

    Examples
    --------
    >>> items = pd.DataFrame({"id": [1], "item": ["output_1"], "response": ["Hi."]})
    >>> length_scores(items)["reward"].tolist()
    [3.0]
    """
    lengths = items["response"].map(lambda text: float(len(_text(text))))
    return _table(items, lengths.to_numpy(np.float64))


def word_scores(items: pd.DataFrame, random_state: int = 0) -> pd.DataFrame | None:
    """Reward every response by its words alone, as the benchmark's other rows tell.

    Parameters
    ----------
    items : DataFrame
        What `suite_items` gives, with `good`.
    random_state : int, default=0
        Shuffles rows into folds.

    Returns
    -------
    DataFrame or None
        A score table: log odds of being the better response, by logistic regression on
        TF-IDF of words and pairs of words, fitted on the other four fifths of prompts.
        The prompt is not seen: what it orders right is told by style and wording. None
        where the benchmark does not say which responses are better, or has few rows.

    Examples
    --------
    >>> rows = [
    ...     {"id": n, "item": item, "response": f"{word} {n}", "good": good}
    ...     for n in range(20)
    ...     for item, word, good in (("chosen", "yes", 1.0), ("rejected", "no", 0.0))
    ... ]
    >>> scores = word_scores(pd.DataFrame(rows))
    >>> chosen = scores["item"] == "chosen"
    >>> bool(scores["reward"][chosen].min() > scores["reward"][~chosen].max())
    True
    """
    good = items["good"].to_numpy(np.float64)
    known = ~np.isnan(good)
    rows, places = np.unique(_row_names(items), return_inverse=True)
    if not known.any() or len(np.unique(places[known])) < 2 * _FOLDS:
        return None
    fold_of_row = np.random.default_rng(random_state).permutation(len(rows)) % _FOLDS
    folds = fold_of_row[places]
    texts = np.array([_text(text) for text in items["response"]], object)
    rewards = np.full(len(items), np.nan)
    for fold in range(_FOLDS):
        train = known & (folds != fold)
        if len(np.unique(good[train])) < 2:
            return None
        rewards[folds == fold] = _fit_words(
            texts[train], good[train], texts[folds == fold]
        )
    return _table(items, rewards)


def _fit_words(texts: FloatArray, good: FloatArray, others: FloatArray) -> FloatArray:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(
            ngram_range=(1, 2),
            sublinear_tf=True,
            max_features=_MOST_WORDS,
            token_pattern=r"\S+",  # noqa: S106
        ),
        LogisticRegression(max_iter=1000, class_weight="balanced"),
    )
    return np.asarray(model.fit(texts, good).decision_function(others))


def _row_names(items: pd.DataFrame) -> "pd.Series[str]":
    """Name what is held out together: the prompt, or else the row."""
    if "prompt" in items:
        return items["prompt"].map(str)
    apart = [c for c in ("domain", "subset", "category_path", "turn") if c in items]
    names = items["id"].astype(str)
    for column in apart:
        names = names + "\x1f" + items[column].astype(str)
    return names


def _table(items: pd.DataFrame, rewards: FloatArray) -> pd.DataFrame:
    texts = [c for c in ("prompt", "response", "good") if c in items]
    return items.drop(columns=texts).assign(reward=rewards)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
