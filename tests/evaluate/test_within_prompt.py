"""Scores beside those of the same prompt."""

import numpy as np
import pytest

from embrm.evaluate.within_prompt import centred_on_prompt, within_prompt_std

CODES = np.array([0, 1, 0, 1, 1])
VALUES = np.array([1.0, 10.0, 4.0, 12.0, 14.0])


def test_each_prompt_is_centred():
    """Whatever the order of items."""
    assert centred_on_prompt(VALUES, CODES).tolist() == [-1.5, -2, 1.5, 0, 2]


def test_the_standard_deviation_is_pooled():
    """Squares around prompt means over items less prompts."""
    assert within_prompt_std(VALUES, CODES) == pytest.approx(np.sqrt(12.5 / 3))


def test_equal_scores_have_none():
    """However their mean was rounded, and for single items."""
    assert within_prompt_std(np.full(3, 0.1), np.zeros(3, dtype=int)) == 0
    assert within_prompt_std(np.array([1.0, 2.0]), np.array([0, 1])) == 0
