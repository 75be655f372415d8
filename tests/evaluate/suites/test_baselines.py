"""What a benchmark gives away without its prompts."""

import numpy as np
import pandas as pd

from embrm.evaluate.suites import length_scores, score_suite, suite_items, word_scores


def llmbar(better, worse, n=30):
    rows = [
        {"input": f"q{i}", "output_1": better(i), "output_2": worse(i), "label": 1}
        for i in range(n)
    ]
    return pd.DataFrame(rows)


def test_words_are_learnt_from_other_rows():
    """A word of its own is found; one that only its own row has is not."""
    telling = llmbar(lambda i: f"sure {i}", lambda i: f"sorry {i}")
    items = suite_items("llmbar", telling)
    assert score_suite("llmbar", telling, word_scores(items)).overall == 1.0
    alone = llmbar(lambda i: f"word{i}", lambda i: f"term{i}")
    scores = word_scores(suite_items("llmbar", alone))
    assert score_suite("llmbar", alone, scores).overall == 0.5


def test_few_rows_and_rows_without_better_ones_have_no_word_baseline():
    """There is nothing to learn from."""
    few = llmbar(lambda i: f"a {i}", lambda i: f"b {i}", n=5)
    items = suite_items("llmbar", few)
    assert word_scores(items) is None
    assert word_scores(items.assign(good=np.nan)) is None


def test_the_length_baseline_prefers_the_longer_response():
    """By characters."""
    rows = llmbar(lambda i: "long answer", lambda i: "short")
    scores = length_scores(suite_items("llmbar", rows))
    assert score_suite("llmbar", rows, scores).overall == 1.0
