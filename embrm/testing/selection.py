"""Checks that scikit-learn's model selection works on heads and pairs."""

from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    train_test_split,
)
from sklearn.preprocessing import StandardScaler

from embrm.testing.expectations import expect, expect_equal
from embrm.testing.samples import fresh, make_sample


def cross_val_score_is_manual_cross_validation(head: Any) -> None:
    """Expect cross_val_score on Pairs to give what a loop over the folds gives."""
    s = make_sample()
    folds = KFold(3, shuffle=True, random_state=0)
    manual = [
        fresh(head).fit(s.pairs[train], s.y[train]).score(s.pairs[test], s.y[test])
        for train, test in folds.split(s.pairs)
    ]
    scores = cross_val_score(fresh(head), s.pairs, s.y, cv=folds, error_score="raise")
    expect_equal(scores, manual, "cross_val_score is manual cross-validation")


def grid_search_finds_a_head(head: Any) -> None:
    """Expect GridSearchCV to fit, score and refit on Pairs with soft labels."""
    s = make_sample()
    search = GridSearchCV(
        fresh(head),
        {"preprocessor": [None, StandardScaler()]},
        cv=2,
        error_score="raise",
    )
    search.fit(s.pairs, np.where(s.y == 1, 0.9, 0.1))
    expect(
        np.isfinite(search.cv_results_["mean_test_score"]).all(), "scores are finite"
    )
    found = search.best_estimator_.decision_function(s.pairs)
    expect_equal(
        search.decision_function(s.pairs), found, "the search predicts as its best head"
    )


def pairs_split_into_train_and_test(head: Any) -> None:
    """Expect train_test_split to give Pairs that the head takes."""
    s = make_sample()
    train, test, y_train, y_test = train_test_split(
        s.pairs, s.y, test_size=0.5, random_state=0
    )
    score = fresh(head).fit(train, y_train).score(test, y_test)
    expect(0 <= score <= 1, f"the score of a split is {score}")


def sample_weight_is_routed(head: Any) -> None:
    """Expect cross_val_score to hand weights on if metadata routing is on."""
    s = make_sample()
    folds = KFold(3)
    manual = []
    for train, test in folds.split(s.pairs):
        fitted = fresh(head).fit(
            s.pairs[train], s.y[train], sample_weight=s.weight[train]
        )
        manual.append(fitted.score(s.pairs[test], s.y[test], s.weight[test]))
    with config_context(enable_metadata_routing=True):
        routed = fresh(head).set_fit_request(sample_weight=True)
        routed.set_score_request(sample_weight=True)
        scores = cross_val_score(
            routed,
            s.pairs,
            s.y,
            cv=folds,
            params={"sample_weight": s.weight},
            error_score="raise",
        )
    expect_equal(scores, manual, "routed weights are weights")


SELECTION_CHECKS = (
    cross_val_score_is_manual_cross_validation,
    grid_search_finds_a_head,
    pairs_split_into_train_and_test,
    sample_weight_is_routed,
)
