"""Checks of what scikit-learn demands: parameters, fitted state, selection, storage."""

import json
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    train_test_split,
)
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from embrm.exceptions import InvalidInputError
from embrm.heads.registry import head_from_spec, head_spec
from embrm.heads.state import HeadState
from embrm.pairs import Pairs
from embrm.testing._samples import (
    N_FEATURES,
    expect,
    expect_close,
    expect_equal,
    fitted_sample,
    fresh,
    make_sample,
    tolerance_of,
)


def fit_returns_the_head(head: Any) -> None:
    """Expect fit to return self."""
    s = make_sample()
    unfitted = fresh(head)
    expect(unfitted.fit(s.pairs, s.y) is unfitted, "fit returns self")


def fit_sets_classes_and_width(head: Any) -> None:
    """Expect classes_ to be [0, 1] and n_features_in_ to be d after fit."""
    fitted, _ = fitted_sample(head)
    expect_equal(fitted.classes_, [0, 1], "classes_ is [0, 1]")
    width = fitted.n_features_in_
    expect(width == N_FEATURES, f"n_features_in_ is {width}, not {N_FEATURES}")


def fitting_twice_is_fitting_once(head: Any) -> None:
    """Expect a second fit on the same data to give the same bits."""
    fitted, s = fitted_sample(head)
    before = fitted.reward(s.items)
    after = fitted.fit(s.pairs, s.y).reward(s.items)
    expect_equal(after, before, "fit is idempotent")


def fitting_again_forgets(head: Any) -> None:
    """Expect a second fit to leave no trace of the first, even of another width."""
    s, other = make_sample(), make_sample(seed=1)
    wide = Pairs(np.hstack([other.items, other.items]), other.pairs.ids)
    fitted = fresh(head).fit(wide, other.y).fit(s.pairs, s.y)
    expect_equal(
        fitted.reward(s.items),
        fresh(head).fit(s.pairs, s.y).reward(s.items),
        "refitting forgets the first fit",
    )


def a_clone_is_unfitted_and_equal(head: Any) -> None:
    """Expect a clone to have equal parameters, no fitted state, and the same fit."""
    fitted, s = fitted_sample(head)
    copy = clone(fitted)
    expect(repr(copy) == repr(fitted), "a clone has the same parameters")
    learned = [name for name in vars(copy) if name.endswith("_")]
    expect(not learned, f"a clone is unfitted, but has {learned}")
    expect_equal(
        copy.fit(s.pairs, s.y).reward(s.items),
        fitted.reward(s.items),
        "a clone fits to the same rewards",
    )


def parameters_are_stored_as_given(head: Any) -> None:
    """Expect the constructor to store its parameters and do nothing else."""
    params = head.get_params(deep=False)
    built = type(head)(**params)
    expect(
        set(vars(built)) == set(params),
        f"the constructor sets {sorted(set(vars(built)) ^ set(params))}",
    )
    changed = [name for name in params if getattr(built, name) is not params[name]]
    expect(not changed, f"the constructor changes {changed}")
    other = clone(head).set_params(preprocessor=StandardScaler())
    expect(
        isinstance(other.get_params()["preprocessor"], StandardScaler),
        "set_params sets the preprocessor",
    )


def parameters_survive_fit(head: Any) -> None:
    """Expect fit to change no parameter, nor fit an estimator among them."""
    s = make_sample()
    unfitted = fresh(head).set_params(preprocessor=StandardScaler())
    params = unfitted.get_params(deep=False)
    described = repr(unfitted)
    unfitted.fit(s.pairs, s.y)
    after = unfitted.get_params(deep=False)
    changed = [name for name in params if after[name] is not params[name]]
    expect(not changed and repr(unfitted) == described, f"fit changes {changed}")
    expect(
        not hasattr(unfitted.preprocessor, "mean_"),
        "fit clones the preprocessor instead of fitting it",
    )


def inputs_survive_fit_and_scoring(head: Any) -> None:
    """Expect neither fit nor scoring to write to the arrays they are given."""
    s = make_sample()
    arrays = [s.items, s.pairs.ids, s.y, s.weight, s.dense]
    before = [array.copy() for array in arrays]
    for array in arrays[:-1]:
        array.flags.writeable = False
    fitted = fresh(head).fit(s.pairs, s.y, sample_weight=s.weight)
    fitted.reward(s.items)
    fitted.predict_proba(s.pairs)
    fitted.score(s.pairs, s.y, s.weight)
    for array, copy in zip(arrays, before, strict=True):
        expect_equal(array, copy, "inputs are left as they are")


def inputs_may_be_written_to_afterwards(head: Any) -> None:
    """Expect a fitted head not to change when its training items do."""
    s = make_sample()
    items, probe = s.items.copy(), s.items.copy()
    fitted = fresh(head).fit(Pairs(items, s.pairs.ids), s.y)
    before = fitted.reward(probe)
    items[:] = 0
    expect_equal(fitted.reward(probe), before, "a fitted head owns what it learned")


def an_unfitted_head_says_so(head: Any) -> None:
    """Expect every scoring method to raise NotFittedError before fit."""
    s = make_sample()
    for name in ("decision_function", "predict", "predict_proba", "score", "reward"):
        unfitted = fresh(head)
        argument = s.items if name == "reward" else s.pairs
        try:
            getattr(unfitted, name)(argument)
        except NotFittedError:
            continue
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(f"unfitted {name} raises {kind}") from error
        raise AssertionError(f"unfitted {name} raises nothing")


def a_failed_fit_leaves_the_head_unfitted(head: Any) -> None:
    """Expect that a fit that raises does not make the head look fitted."""
    s = make_sample()
    unfitted = fresh(head)
    with suppress(ValueError):
        unfitted.fit(s.pairs, s.y + 7)
    try:
        check_is_fitted(unfitted)
    except NotFittedError:
        return
    raise AssertionError("a head whose fit failed claims to be fitted")


def the_preprocessor_acts_on_distinct_items(head: Any) -> None:
    """Expect the preprocessor to be fitted on training items and used in scoring."""
    s = make_sample()
    shifted = Pairs(s.items * 4 + 1, s.pairs.ids, s.pairs.prompt_ids)
    half = shifted[: len(shifted) // 2]
    inside = fresh(head).set_params(preprocessor=StandardScaler())
    inside.fit(half, s.y[: len(half)])
    used = shifted.items[np.unique(half.ids)]
    scaler = StandardScaler().fit(used)
    expect_close(
        inside.preprocessor_.mean_,
        scaler.mean_,
        "the preprocessor sees each training item once",
        tolerance=1e-9,
    )
    before = inside.reward(shifted.items)
    inside.preprocessor_ = None
    expect_close(
        inside.reward(scaler.transform(shifted.items)),
        before,
        "items are preprocessed before they are scored",
        tolerance=tolerance_of(head),
    )


def fitting_and_scoring_are_quiet(head: Any) -> None:
    """Expect neither fit nor scoring to warn on ordinary data."""
    s = make_sample()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fresh(head).fit(s.pairs, s.y, sample_weight=s.weight)
        fitted.predict_proba(s.pairs)
        fitted.reward(s.items)


CONTRACT_CHECKS = (
    fit_returns_the_head,
    fit_sets_classes_and_width,
    fitting_twice_is_fitting_once,
    fitting_again_forgets,
    a_clone_is_unfitted_and_equal,
    parameters_are_stored_as_given,
    parameters_survive_fit,
    inputs_survive_fit_and_scoring,
    inputs_may_be_written_to_afterwards,
    an_unfitted_head_says_so,
    a_failed_fit_leaves_the_head_unfitted,
    the_preprocessor_acts_on_distinct_items,
    fitting_and_scoring_are_quiet,
)


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


def _rebuilt(fitted: Any) -> Any:
    """Send spec and state through JSON and bytes, as a bundle on disk would."""
    state = fitted.get_state()
    travelled = HeadState(
        {name: np.array(array, order="C") for name, array in state.arrays.items()},
        json.loads(json.dumps(dict(state.values), allow_nan=False)),
        {name: bytes(blob) for name, blob in state.blobs.items()},
    )
    try:
        spec = json.loads(json.dumps(head_spec(fitted), allow_nan=False))
    except InvalidInputError:
        # A head from outside embrm has a state, but no place in its registry.
        return clone(fitted).set_state(travelled)
    return head_from_spec(spec).set_state(travelled)


def a_stored_head_scores_the_same_bits(head: Any) -> None:
    """Expect rewards after get_state, JSON and set_state to be the same bits."""
    fitted, s = fitted_sample(head)
    rebuilt = _rebuilt(fitted)
    expect_equal(
        rebuilt.reward(s.items), fitted.reward(s.items), "rewards are the same bits"
    )
    expect_equal(
        rebuilt.predict_proba(s.pairs),
        fitted.predict_proba(s.pairs),
        "probabilities are the same bits",
    )
    expect(repr(rebuilt) == repr(fitted), "parameters are the same")


def a_stored_head_keeps_its_preprocessor(head: Any) -> None:
    """Expect the fitted preprocessor to travel with the head."""
    s = make_sample()
    fitted = fresh(head).set_params(preprocessor=StandardScaler())
    fitted.fit(s.pairs, s.y)
    expect_equal(
        _rebuilt(fitted).reward(s.items), fitted.reward(s.items), "the same bits"
    )


def a_stored_head_can_be_fitted_again(head: Any) -> None:
    """Expect a head put together from its state to fit as the original does."""
    fitted, s = fitted_sample(head)
    again = _rebuilt(fitted).fit(s.pairs, s.y)
    expect_equal(again.reward(s.items), fitted.reward(s.items), "the same bits")


STORAGE_CHECKS = (
    a_stored_head_scores_the_same_bits,
    a_stored_head_keeps_its_preprocessor,
    a_stored_head_can_be_fitted_again,
)
