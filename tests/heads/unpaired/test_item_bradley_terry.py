"""ItemBradleyTerry is a leaderboard that agrees with choix, and knows its noise."""

import choix
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from embrm.exceptions import EmbrmWarning, InvalidInputError
from embrm.heads import ItemBradleyTerry


def draw_games(strength, n_games, seed=0):
    """Random pairs of items and whether the first won."""
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(len(strength))[:2] for _ in range(n_games)])
    delta = strength[ids[:, 0]] - strength[ids[:, 1]]
    return ids, rng.random(n_games) < 1 / (1 + np.exp(-delta))


@pytest.mark.parametrize("n_items", [3, 20])
def test_scores_are_those_of_choix(n_items):
    """Iterative Luce spectral ranking and Newton's method, to 1e-6."""
    ids, y = draw_games(np.linspace(-1, 1, n_items), 40 * n_items)
    games = np.where(y[:, None], ids, ids[:, ::-1]).tolist()
    board = ItemBradleyTerry().fit(ids, y)
    for wanted in (
        choix.ilsr_pairwise(n_items, games, alpha=0.0, tol=1e-12),
        choix.opt_pairwise(n_items, games, alpha=0.0, tol=1e-12),
    ):
        np.testing.assert_allclose(board.scores_, wanted - np.mean(wanted), atol=1e-6)


def test_penalised_scores_are_those_of_choix():
    """Which penalises without the half."""
    ids, y = draw_games(np.linspace(-1, 1, 6), 100)
    games = np.where(y[:, None], ids, ids[:, ::-1]).tolist()
    wanted = choix.opt_pairwise(6, games, alpha=0.25, tol=1e-12)
    board = ItemBradleyTerry(alpha=0.5).fit(ids, y)
    np.testing.assert_allclose(board.scores_, wanted - np.mean(wanted), atol=1e-6)


def test_a_tie_is_half_a_win_and_half_a_loss():
    """The scores are those of split games; the error is that of one game, not two."""
    ids, y = draw_games(np.linspace(-1, 1, 4), 100)
    tied = np.where(np.arange(100) % 4 == 0, 0.5, y)
    whole = ItemBradleyTerry().fit(ids, tied)
    assert np.isnan(whole.tie_parameter_)
    both = np.concatenate([ids, ids])
    split = ItemBradleyTerry().fit(
        both, np.repeat([1, 0], 100), np.concatenate([tied, 1 - tied])
    )
    np.testing.assert_allclose(whole.scores_, split.scores_, atol=1e-9)
    assert (whole.std_ < split.std_).all()


@pytest.mark.parametrize("ties", ["rao-kupper", "davidson"])
def test_the_tie_parameter_is_recovered(ties):
    """From games drawn with it."""
    rng = np.random.default_rng(0)
    strength = np.linspace(-1, 1, 5)
    ids, _ = draw_games(strength, 8000)
    delta = strength[ids[:, 0]] - strength[ids[:, 1]]
    if ties == "rao-kupper":
        parameter = 1.8
        first, second = (1 / (1 + parameter * np.exp(s * delta)) for s in (-1, 1))
    else:
        parameter = 0.8
        total = np.exp(delta / 2) + np.exp(-delta / 2) + parameter
        first, second = np.exp(delta / 2) / total, np.exp(-delta / 2) / total
    draw = rng.random(len(ids))
    y = np.select([draw < first, draw > 1 - second], [1.0, 0.0], 0.5)
    board = ItemBradleyTerry(ties=ties).fit(ids, y)
    assert board.tie_parameter_ == pytest.approx(parameter, abs=0.08)
    np.testing.assert_allclose(board.scores_, strength, atol=0.12)
    np.testing.assert_allclose(
        board.predict_proba(ids)[:, 1], 1 - first - second, atol=0.02
    )


@pytest.mark.parametrize("ties", ["rao-kupper", "davidson"])
def test_without_ties_every_model_is_bradley_terry(ties):
    """The tie parameter is at its bound."""
    ids, y = draw_games(np.linspace(-1, 1, 4), 100)
    board = ItemBradleyTerry(ties=ties).fit(ids, y)
    assert board.tie_parameter_ == {"rao-kupper": 1.0, "davidson": 0.0}[ties]
    np.testing.assert_array_equal(board.scores_, ItemBradleyTerry().fit(ids, y).scores_)
    assert (board.predict_proba(ids)[:, 1] == 0).all()


def test_intervals_cover_the_truth():
    """In about 95 of 100 draws."""
    strength = np.linspace(-1, 1, 5)
    hits = []
    for seed in range(120):
        intervals = ItemBradleyTerry().fit(*draw_games(strength, 200, seed)).intervals()
        hits.append((intervals["lower"] < strength) & (strength < intervals["upper"]))
    assert 0.92 < np.mean(hits) < 0.98


def test_standard_errors_hold_where_games_are_copies_of_each_other():
    """Weight k is k copies: errors shrink alike."""
    ids, y = draw_games(np.linspace(-1, 1, 4), 100)
    weight = np.random.default_rng(0).integers(0, 4, 100)
    copies = np.repeat(np.arange(100), weight)
    one = ItemBradleyTerry().fit(ids, y, weight)
    two = ItemBradleyTerry().fit(ids[copies], y[copies])
    np.testing.assert_allclose(one.scores_, two.scores_, atol=1e-9)
    np.testing.assert_allclose(one.std_, two.std_, atol=1e-9)


def test_ranks_have_a_range_within_noise():
    """Many games tell the items apart, few do not."""
    strength = np.linspace(-1, 1, 4)
    sure = ItemBradleyTerry().fit(*draw_games(strength, 4000)).ranks()
    assert sure.to_numpy().tolist() == [[4, 4, 4], [3, 3, 3], [2, 2, 2], [1, 1, 1]]
    unsure = ItemBradleyTerry().fit(*draw_games(strength, 40)).ranks()
    assert (unsure["best"] <= unsure["rank"]).all()
    assert (unsure["rank"] <= unsure["worst"]).all()
    assert (unsure["worst"] > unsure["best"]).any()


def test_equal_scores_share_the_best_rank():
    """A cycle of three."""
    ranks = ItemBradleyTerry().fit([["a", "b"], ["b", "c"], ["c", "a"]]).ranks()
    assert ranks.to_numpy().tolist() == [[1, 1, 3]] * 3


def test_a_wider_level_gives_wider_intervals():
    """By the ratio of normal quantiles."""
    board = ItemBradleyTerry().fit(*draw_games(np.zeros(3), 60))
    width = [np.ptp(board.intervals(level).to_numpy(), axis=1) for level in (0.5, 0.99)]
    np.testing.assert_allclose(width[1] / width[0], 2.5758 / 0.6745, rtol=1e-3)
    with pytest.raises(InvalidInputError, match=r"level in \(0, 1\); got 1.0"):
        board.intervals(1.0)


def test_frames_of_names_make_a_leaderboard():
    """Best first, with all that is known of each item."""
    games = pd.DataFrame({"a": ["x", "y", "z", "x"] * 9, "b": ["y", "z", "x", "z"] * 9})
    frame = ItemBradleyTerry().fit(games).to_frame()
    columns = ["score", "std", "lower", "upper", "rank", "best", "worst", "n_games"]
    assert frame.columns.tolist() == columns
    assert frame.index.name == "item"
    assert frame.index[0] == "x"
    assert frame["score"].is_monotonic_decreasing
    assert frame["n_games"].sum() == 2 * len(games)


def test_an_item_that_won_every_game_is_named_and_kept_finite():
    """Its interval is wide: the games do not say how good it is."""
    ids = [["best", "b"]] * 5 + [["b", "c"], ["c", "b"]] * 5
    with pytest.warns(EmbrmWarning, match=r"won or lost every game.*\{best\}.*alpha"):
        board = ItemBradleyTerry().fit(ids)
    assert board.alpha_ == 0.01
    assert board.items_[np.argmax(board.scores_)] == "best"
    assert np.isfinite(board.scores_).all()
    assert board.std_[board.items_ == "best"][0] > 2


def test_sets_of_items_that_no_game_connects_are_named():
    """Their scores are not compared with confidence."""
    ids = [[f"{side}{k}", f"{side}{1 - k}"] for side in "ab" for k in (0, 1)]
    ids += [["c0", "c1"], ["c1", "c0"], ["d0", "d1"], ["d1", "d0"]] * 3
    with pytest.warns(EmbrmWarning, match=r"4 sets of items.*\{a0, a1\}.*; \.\.\."):
        board = ItemBradleyTerry().fit(ids)
    assert (board.ranks()["best"] == 1).all()


def test_a_large_component_is_named_by_its_first_members():
    """A message of bounded length."""
    ring = [[k, (k + 1) % 8] for k in range(8)]
    with pytest.warns(EmbrmWarning, match=r"\{0, 1, 2 and 5 more\}; \{8\}"):
        ItemBradleyTerry().fit([*ring, [0, 8]])


def test_a_given_penalty_needs_no_connected_graph():
    """And no warning."""
    board = ItemBradleyTerry(alpha=1.0).fit([["a", "b"], ["c", "d"]])
    np.testing.assert_allclose(board.scores_[[0, 1]], board.scores_[[2, 3]])


def test_ties_alone_are_equal_scores():
    """Half wins each; a tie parameter would be infinite."""
    board = ItemBradleyTerry().fit([[0, 1], [1, 2]], [0.5, 0.5])
    np.testing.assert_allclose(board.scores_, 0, atol=1e-12)
    with pytest.raises(InvalidInputError, match="tie parameter is infinite"):
        ItemBradleyTerry(ties="davidson").fit([[0, 1], [1, 2]], [0.5, 0.5])


def test_soft_labels_need_half_wins():
    """A tie model has three outcomes."""
    ids = [[0, 1], [1, 0]]
    assert ItemBradleyTerry().fit(ids, [0.75, 0.75]).scores_[0] == pytest.approx(0)
    with pytest.raises(InvalidInputError, match=r"2 other values, e\.g\. 0\.\d"):
        ItemBradleyTerry(ties="rao-kupper").fit(ids, [0.75, 0.9])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ties": "drop"}, "'half', 'rao-kupper' or 'davidson'; got 'drop'"),
        ({"alpha": -1}, "alpha: a finite number >= 0"),
    ],
)
def test_bad_parameters_are_refused(params, message):
    """At fit."""
    with pytest.raises(InvalidInputError, match=message):
        ItemBradleyTerry(**params).fit([[0, 1], [1, 0]])


def test_unknown_names_are_refused_in_scoring():
    """With an example."""
    board = ItemBradleyTerry().fit([["a", "b"], ["b", "a"]])
    np.testing.assert_allclose(board.decision_function([["a", "b"]]), 0, atol=1e-12)
    with pytest.raises(InvalidInputError, match=r"2 others, e\.g\. 'y'"):
        board.decision_function([["a", "z"], ["y", "b"]])


def test_it_is_an_estimator():
    """It can be cloned, and says when it is not fitted."""
    board = clone(ItemBradleyTerry(alpha=1.0, ties="davidson"))
    assert board.get_params() == {"alpha": 1.0, "ties": "davidson"}
    for call in (board.ranks, board.intervals, board.to_frame):
        with pytest.raises(NotFittedError):
            call()
