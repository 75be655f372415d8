"""Each check of the estimator contract fails for a head that breaks it."""

import warnings

import numpy as np
import pytest

from embrm.heads import LinearBradleyTerry
from embrm.testing import head_checks


class ReturnsNothing(LinearBradleyTerry):
    def fit(self, *args, **options):
        super().fit(*args, **options)


class NamesOtherClasses(LinearBradleyTerry):
    def fit(self, *args, **options):
        super().fit(*args, **options).classes_ = np.array([1, 2])
        return self


class StartsWhereItEnded(LinearBradleyTerry):
    def _fit(self, comparisons):
        before = getattr(self, "n_fits_", 0)
        super()._fit(comparisons)
        self.n_fits_ = before + 1
        self.coef_ = self.coef_ / self.n_fits_


class ClonesItself(LinearBradleyTerry):
    def __sklearn_clone__(self):
        return self


class WorksInTheConstructor(LinearBradleyTerry):
    def __init__(self, alpha=1.0, preprocessor=None, max_iter=100, tol=1e-8):
        super().__init__(alpha, preprocessor=preprocessor, max_iter=max_iter, tol=tol)
        self.scale = 2 * alpha


class TunesItself(LinearBradleyTerry):
    def _fit(self, comparisons):
        super()._fit(comparisons)
        self.alpha = 2 * self.alpha


class WritesToItems(LinearBradleyTerry):
    def fit(self, pairs, y=None, **options):
        pairs.items[:] -= pairs.items.mean()
        return super().fit(pairs, y, **options)


class KeepsTheItems(LinearBradleyTerry):
    def fit(self, pairs, y=None, **options):
        self.items_ = getattr(pairs, "items", 0)
        return super().fit(pairs, y, **options)

    def _reward(self, items):
        return super()._reward(items) + np.sum(self.items_)


class AnswersUnfitted(LinearBradleyTerry):
    def reward(self, X):
        return super().reward(X) if hasattr(self, "coef_") else np.zeros(len(X))


class LooksFittedTooSoon(LinearBradleyTerry):
    def fit(self, pairs, y=None, **options):
        self.classes_ = np.array([0, 1])
        return super().fit(pairs, y, **options)


class PreprocessesEverything(LinearBradleyTerry):
    def fit(self, pairs, y=None, **options):
        super().fit(pairs, y, **options)
        if self.preprocessor_ is not None:
            self.preprocessor_.fit(pairs.items)
        return self


class Chatters(LinearBradleyTerry):
    def _fit(self, comparisons):
        super()._fit(comparisons)
        warnings.warn("fitted", UserWarning, stacklevel=2)


BROKEN = {
    "fit_returns_the_head": ReturnsNothing,
    "fit_sets_classes_and_width": NamesOtherClasses,
    "fitting_twice_is_fitting_once": StartsWhereItEnded,
    "fitting_again_forgets": StartsWhereItEnded,
    "a_clone_is_unfitted_and_equal": ClonesItself,
    "parameters_are_stored_as_given": WorksInTheConstructor,
    "parameters_survive_fit": TunesItself,
    "inputs_survive_fit_and_scoring": WritesToItems,
    "inputs_may_be_written_to_afterwards": KeepsTheItems,
    "an_unfitted_head_says_so": AnswersUnfitted,
    "a_failed_fit_leaves_the_head_unfitted": LooksFittedTooSoon,
    "the_preprocessor_acts_on_distinct_items": PreprocessesEverything,
    "fitting_and_scoring_are_quiet": Chatters,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_head_fails_the_check(name, assert_fails):
    """And the sound head that it was made from passes."""
    dict(head_checks())[name](LinearBradleyTerry(alpha=1.0))
    assert_fails(BROKEN[name](alpha=1.0), name)


class CrashesUnfitted(LinearBradleyTerry):
    def decision_function(self, pairs):
        return self.coef_ if not hasattr(self, "coef_") else pairs


class SaysNothingUnfitted(LinearBradleyTerry):
    def decision_function(self, pairs):
        return np.zeros(len(pairs))


@pytest.mark.parametrize("broken", [CrashesUnfitted, SaysNothingUnfitted])
def test_an_unfitted_head_has_to_say_it_in_the_right_words(broken, assert_fails):
    """Neither AttributeError nor an answer is NotFittedError."""
    assert_fails(broken(), "an_unfitted_head_says_so")
