"""Ridge regression agrees with scikit-learn, and its held-out errors with refits."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from embrm.heads.rated._rated_items import make_rated_items
from embrm.heads.rated._ridge import RidgeFit, fit_attributes, fit_ridge


@pytest.fixture(params=[(60, 8), (12, 30)], ids=["n > d", "d > n"])
def data(request):
    """Items far from the origin, two targets, weights."""
    rng = np.random.default_rng(0)
    n, d = request.param
    items = rng.normal(size=(n, d)) + 5
    targets = items[:, :2] + rng.normal(size=(n, 2))
    return items, targets, rng.uniform(0.2, 3, n)


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 1e4])
def test_it_agrees_with_scikit_learn(data, alpha):
    """Coefficients and intercepts, with weights."""
    items, targets, weight = data
    fit = fit_ridge(items, targets, weight, alpha=alpha)
    wanted = Ridge(alpha=alpha).fit(items, targets, sample_weight=weight)
    np.testing.assert_allclose(fit.coef, wanted.coef_, atol=1e-9)
    np.testing.assert_allclose(fit.intercept, wanted.intercept_, atol=1e-8)


def test_no_penalty_is_least_squares_of_least_norm(data):
    """As numpy's lstsq on centred data, in both shapes."""
    items, targets, _ = data
    fit = fit_ridge(items, targets, np.ones(len(items)), alpha=0.0)
    centred = items - items.mean(axis=0)
    wanted = np.linalg.lstsq(centred, targets - targets.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(fit.coef.T, wanted, atol=1e-9)


def test_errors_left_out_one_by_one_are_those_of_refits(data):
    """The closed form is exact, but not for an item that nothing else predicts."""
    items, targets, weight = data
    fit = fit_ridge(items, targets, weight)
    for at in (0, 8, 12):
        square = 0.0
        for i in range(len(items)):
            rest = np.arange(len(items)) != i
            model = Ridge(alpha=fit.alphas[at, 0])
            model.fit(items[rest], targets[rest], sample_weight=weight[rest])
            square += weight[i] * (model.predict(items[[i]])[0] - targets[i]) ** 2
        np.testing.assert_allclose(
            fit.held_out_error[at], square / weight.sum(), rtol=1e-6
        )


def test_groups_are_held_out_whole(data):
    """With as many groups as folds, each fold is a group."""
    items, targets, weight = data
    groups = np.arange(len(items)) % 5
    fit = fit_ridge(items, targets, weight, groups=groups)
    square = 0.0
    for group in range(5):
        held = groups == group
        model = Ridge(alpha=fit.alphas[6, 0])
        model.fit(items[~held], targets[~held], sample_weight=weight[~held])
        square += weight[held] @ (model.predict(items[held]) - targets[held]) ** 2
    np.testing.assert_allclose(fit.held_out_error[6], square / weight.sum(), rtol=1e-6)


def test_the_penalty_of_least_error_is_chosen_for_each_target(data):
    """Noise is shrunk away, signal is not."""
    items, _, weight = data
    noise = np.random.default_rng(1).normal(size=len(items))
    fit = fit_ridge(items, np.column_stack([items[:, 0], noise]), weight)
    assert fit.alpha[0] < fit.alpha[1]
    best = fit.held_out_error.argmin(axis=0)
    np.testing.assert_array_equal(fit.alpha, fit.alphas[best, [0, 1]])


def test_scaling_items_scales_the_choice(data):
    """Predictions stay what they are, at any scale."""
    items, targets, weight = data
    near, far = (fit_ridge(s * items, targets, weight) for s in (1.0, 1e4))
    np.testing.assert_allclose(far.alpha, 1e8 * near.alpha, rtol=1e-6)
    np.testing.assert_allclose(far(1e4 * items), near(items), atol=1e-5)


@pytest.mark.parametrize(
    "items", [np.ones((4, 2)), np.ones((1, 3))], ids=["constant", "one item"]
)
def test_items_without_variation_predict_the_mean(items):
    """No division by zero."""
    targets = np.arange(len(items), dtype=float)[:, None]
    fit = fit_ridge(items, targets, np.ones(len(items)))
    np.testing.assert_allclose(fit(items), targets.mean(), atol=1e-12)


def test_attributes_are_fitted_on_the_items_rated_for_them():
    """Masked least squares is least squares on what is rated, column by column."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 4))
    ratings = items[:, :3] + rng.normal(size=(50, 3))
    ratings[rng.random(ratings.shape) < 0.4] = np.nan
    fit = fit_attributes(make_rated_items(items, ratings), alpha=0.5)
    for j, column in enumerate(ratings.T):
        known = ~np.isnan(column)
        wanted = Ridge(alpha=0.5).fit(items[known], column[known])
        np.testing.assert_allclose(fit.coef[j], wanted.coef_, atol=1e-10)


def test_attributes_with_common_ratings_are_fitted_together_as_apart(data):
    """Sharing an eigenbasis changes nothing."""
    items, targets, _ = data
    groups = np.arange(len(items)) // 2
    both = fit_attributes(make_rated_items(items, targets, None, groups), None)
    one = fit_attributes(make_rated_items(items, targets[:, 1], None, groups), None)
    np.testing.assert_allclose(both.coef[1], one.coef[0], atol=1e-9)
    assert both.alpha[1] == pytest.approx(one.alpha[0])


def test_a_stored_fit_predicts_the_same_bits(data):
    """State and back."""
    items, targets, weight = data
    fit = fit_ridge(items, targets, weight)
    again = RidgeFit.from_state(fit.get_state())
    np.testing.assert_array_equal(again(items), fit(items))
