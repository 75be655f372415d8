"""Games are checked, and written in one canonical form."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime, minimize

from embrm.exceptions import InvalidInputError
from embrm.heads.unpaired._games import check_names, fit_strengths, make_games
from embrm.heads.unpaired._tie_models import TIE_MODELS


def test_orientation_order_and_copies_do_not_matter():
    """Weights add up; the first name is the smaller."""
    one = make_games([["a", "b"], ["c", "a"], ["b", "a"]], [1, 0.5, 0])
    other = make_games(
        [["a", "c"], ["a", "b"]], [0.5, 1], sample_weight=np.array([1, 2])
    )
    assert one.names.tolist() == ["a", "b", "c"]
    for name in ("first", "second", "y", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.n_games().tolist() == [3, 2, 1]


def test_games_without_weight_are_removed_with_their_items():
    """An item that never plays has no score."""
    games = make_games([[0, 1], [1, 2]], None, [1, 0])
    assert games.names.tolist() == [0, 1]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"model_a": ["x", "y"], "model_b": ["y", "x"]}),
        pd.DataFrame({"a": ["x", "y"], "b": ["y", "x"]}, dtype=object),
        np.array([["x", "y"], ["y", "x"]], dtype=object),
        [("x", "y"), ("y", "x")],
    ],
)
def test_names_come_from_frames_arrays_and_lists(table):
    """All the same."""
    assert check_names(table).tolist() == [["x", "y"], ["y", "x"]]


def test_components_are_strong_along_wins_and_weak_along_games():
    """a beats b, b ties c; d and e play each other."""
    games = make_games([["a", "b"], ["b", "c"], ["d", "e"]], [1, 0.5, 0.3])
    strong, weak = games.components(strong=True), games.components(strong=False)
    assert len(set(strong)) == 3
    assert strong[1] == strong[2]
    assert strong[3] == strong[4]
    assert len(set(weak)) == 2


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "at least one game"),
        (["ab", "cd"], r"shape \(2,\)"),
        ([["a", "b", "c"]], r"shape \(1, 3\)"),
        ([["a", None]], "none missing; got dtype object"),
        ([[1.5, 2.0]], "dtype float64"),
        ([["a", "b"], ["a", "a"]], r"against itself at game 1 \(1 such"),
    ],
)
def test_bad_names_are_refused(ids, message):
    """Shape, kind, missing names, self games."""
    with pytest.raises(InvalidInputError, match=message):
        make_games(ids)


def test_integers_in_objects_are_integers():
    """As frames of mixed columns hold them; booleans are not names."""
    assert check_names(np.array([[1, 2]], dtype=object)).dtype == np.int64
    with pytest.raises(InvalidInputError, match="all integers"):
        check_names(np.array([[True, 2]], dtype=object))


def draw_games(n_items=5, n_games=400, seed=0):
    """Random games of items of strength 0 to 2, a fifth of them ties."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(n_items)[:2] for _ in range(n_games)])
    strength = np.linspace(0, 2, n_items)
    delta = strength[ids[:, 0]] - strength[ids[:, 1]]
    y = (rng.random(n_games) < 1 / (1 + np.exp(-delta))).astype(float)
    return make_games(ids, np.where(rng.random(n_games) < 0.2, 0.5, y))


def objective(games, model, alpha, at):
    """The penalised loss, written out; `at` ends in the tie parameter."""
    losses = model.loss(at[games.first] - at[games.second], at[-1], games.y).value
    return games.weight @ losses + alpha / 2 * at[:-1] @ at[:-1]


def fit(games, name, alpha):
    """Fit a model, its tie parameter free where it has one."""
    model = TIE_MODELS[name]
    start = model.start(0.2)
    free = model.has_parameter
    return model, fit_strengths(games, model, start, alpha=alpha, free_tie=free)


@pytest.mark.parametrize("name", TIE_MODELS)
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_the_minimum_is_that_of_a_general_optimiser(name, alpha):
    """With the tie parameter among the unknowns."""
    games = draw_games()
    model, found = fit(games, name, alpha)

    def free(v):
        at = v if model.has_parameter else np.append(v[:-1], 0.0)
        return objective(games, model, alpha, at)

    start = np.append(np.zeros(5), model.start(0.2))
    wanted = minimize(free, start, method="BFGS", options={"gtol": 1e-7}).x
    centred = wanted[:-1] - wanted[:-1].mean()
    np.testing.assert_allclose(found.scores, centred, atol=1e-5)
    if model.has_parameter:
        assert found.tie == pytest.approx(wanted[-1], abs=1e-5)


@pytest.mark.parametrize("name", TIE_MODELS)
def test_the_covariance_is_the_sandwich(name):
    """H by finite differences, S by adding up every game's gradient."""
    games = draw_games()
    model, found = fit(games, name, 0.0)
    size = 6 if model.has_parameter else 5
    at = np.append(found.scores, found.tie)

    def gradient(v, rows=slice(None)):
        full = np.append(v, at[size:])
        loss = model.loss(
            full[games.first[rows]] - full[games.second[rows]], full[-1], games.y[rows]
        )
        weight, total = games.weight[rows], np.zeros(6)
        np.add.at(total, games.first[rows], weight * loss.by_delta)
        np.add.at(total, games.second[rows], -weight * loss.by_delta)
        total[-1] = weight @ loss.by_tie
        return total[:size]

    columns = [
        approx_fprime(at[:size], lambda v, k=k: gradient(v)[k], 1e-7)
        for k in range(size)
    ]
    spread = np.zeros((size, size))
    for row in range(len(games.y)):
        one = gradient(at[:size], [row]) / games.weight[row]
        spread += games.weight[row] * np.outer(one, one)
    inverse = np.linalg.pinv(np.array(columns), rcond=1e-5)
    wanted = (inverse @ spread @ inverse)[:5, :5]
    centre = np.eye(5) - 1 / 5
    np.testing.assert_allclose(
        found.covariance, centre @ wanted @ centre, rtol=1e-3, atol=1e-6
    )


def test_what_games_do_not_determine_has_the_spread_of_the_prior():
    """Two islands of two: the gap between them is known to 1 / sqrt(alpha) each."""
    games = make_games([[0, 1], [1, 0], [2, 3], [3, 2]] * 500)
    _, found = fit(games, "half", 0.04)
    gap = np.array([0.5, 0.5, -0.5, -0.5])
    assert gap @ found.covariance @ gap == pytest.approx(1 / 0.04, rel=0.01)
    inside = np.array([1.0, -1.0, 0, 0])
    # A thousand even games: variance of a log odds, 4 / n.
    assert inside @ found.covariance @ inside == pytest.approx(4 / 1000, rel=0.01)


def test_a_strong_favourite_is_found_by_damped_steps():
    """Full Newton steps from zero would overshoot."""
    games = make_games([[0, 1]] * 2, [1, 0], [1e6, 1.0])
    _, found = fit(games, "half", 0.0)
    assert found.scores[0] - found.scores[1] == pytest.approx(np.log(1e6), rel=1e-9)
