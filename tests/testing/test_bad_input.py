"""Each check of bad input fails for a head that takes it, or says nothing useful."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.testing import head_checks


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


REFUSALS = [n for n, _ in head_checks() if n.endswith(("is_refused", "are_refused"))]


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("broken", [TakesAnything, SaysLittle])
def test_a_broken_head_fails_the_check(name, broken, assert_fails):
    """And the sound head that it was made from passes."""
    dict(head_checks())[name](LinearBradleyTerry(alpha=1.0))
    assert_fails(broken(alpha=1.0), name)
