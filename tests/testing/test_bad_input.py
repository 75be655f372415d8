"""Each check of bad input fails for a head that takes it, or says nothing useful."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.testing.head_checks import BAD_INPUT_CHECKS


class TakesAnything(LinearBradleyTerry):
    """Answers zero where it should refuse."""

    def fit(self, *args, **options):
        try:
            return super().fit(*args, **options)
        except InvalidInputError:
            return self

    def reward(self, X):
        try:
            return super().reward(X)
        except InvalidInputError:
            return np.zeros(len(X))

    def decision_function(self, pairs):
        try:
            return super().decision_function(pairs)
        except InvalidInputError:
            return np.zeros(len(pairs))

    def score(self, pairs, y=None, sample_weight=None):
        try:
            return super().score(pairs, y, sample_weight)
        except InvalidInputError:
            return 0.5


class SaysLittle(LinearBradleyTerry):
    """Refuses what it should, and does not say why."""

    def fit(self, *args, **options):
        return self._say_little(super().fit, *args, **options)

    def reward(self, X):
        return self._say_little(super().reward, X)

    def decision_function(self, pairs):
        return self._say_little(super().decision_function, pairs)

    def _say_little(self, method, *args, **options):
        try:
            return method(*args, **options)
        except InvalidInputError:
            raise InvalidInputError("bad input") from None


@pytest.mark.parametrize("check", BAD_INPUT_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("broken", [TakesAnything, SaysLittle])
def test_a_broken_head_fails_the_check(check, broken, assert_fails):
    """And the sound head that it was made from passes."""
    check(LinearBradleyTerry(alpha=1.0))
    assert_fails(broken(alpha=1.0), check.__name__)
