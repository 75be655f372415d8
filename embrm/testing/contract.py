"""Checks of what scikit-learn demands of an estimator."""

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from embrm.pairs import Pairs
from embrm.testing.expectations import expect, expect_close, expect_equal
from embrm.testing.samples import N_FEATURES, fresh, make_sample, tolerance_of


def fit_returns_the_head(head: Any) -> None:
    """Expect fit to return self."""
    s = make_sample()
    unfitted = fresh(head)
    expect(unfitted.fit(s.pairs, s.y) is unfitted, "fit returns self")


def fit_sets_classes_and_width(head: Any) -> None:
    """Expect classes_ to be [0, 1] and n_features_in_ to be d after fit."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_equal(fitted.classes_, [0, 1], "classes_ is [0, 1]")
    width = fitted.n_features_in_
    expect(width == N_FEATURES, f"n_features_in_ is {width}, not {N_FEATURES}")


def fitting_twice_is_fitting_once(head: Any) -> None:
    """Expect a second fit on the same data to give the same bits."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
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
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
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
    """Expect a fit that refuses its input not to make the head look fitted."""
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
