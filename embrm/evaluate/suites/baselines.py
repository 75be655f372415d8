"""What a benchmark gives away without its prompts: lengths and words of responses."""

import numpy as np
import pandas as pd

from embrm._typing import FloatArray

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
