"""RewardHead: what all heads share, beyond what check_head checks of each."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import ClassificationReward, LinearBradleyTerry, RewardHead
from embrm.heads.comparisons import make_comparisons


class Recorder(RewardHead):
    """Keeps what it is fitted on; rewards the first column."""

    def _fit(self, comparisons):
        self.comparisons_ = comparisons

    def _reward(self, items):
        self.scored_ = items
        return items[:, 0]

    def _get_state(self):
        raise AssertionError

    def _set_state(self, state):
        raise AssertionError


def test_each_distinct_item_is_scored_once():
    """An item in many pairs is one row for the head."""
    items = np.arange(8.0).reshape(4, 2)
    head = Recorder().fit(Pairs(items, [[0, 1]]))
    head.decision_function(Pairs(items, [[3, 1], [1, 3], [3, 0], [3, 1]]))
    assert len(head.scored_) == 3


def test_a_head_sees_canonical_comparisons():
    """Labels, weights and margins are turned into wins before."""
    head = Recorder().fit(Pairs(np.eye(2), [[0, 1]]), [0], margin=[2.0])
    assert head.comparisons_.items[head.comparisons_.winner[0]].tolist() == [0, 1]
    assert head.comparisons_.margin.tolist() == [2.0]


def test_the_preprocessor_sees_training_items_once_and_nothing_else():
    """Neither items of other pairs nor repetitions."""
    items = np.array([[0.0, 0.0], [2.0, 0.0], [100.0, 0.0]])
    pairs = Pairs(items, [[0, 1], [0, 1]])
    head = Recorder(preprocessor=StandardScaler()).fit(pairs)
    assert head.preprocessor_.mean_.tolist() == [1.0, 0.0]
    assert head.comparisons_.items[:, 0].tolist() == [-1.0, 1.0]


def test_a_preprocessor_may_change_the_width():
    """n_features_in_ is what the user passes."""
    items = np.random.default_rng(0).normal(size=(10, 4))
    head = Recorder(preprocessor=PCA(2)).fit(Pairs(items, [[0, 1], [2, 3]]))
    assert head.n_features_in_ == 4
    assert head.comparisons_.items.shape[1] == 2
    assert head.reward(items).shape == (10,)


def test_a_preprocessor_that_makes_nan_is_noticed():
    """The check is after it, too."""
    broken = FunctionTransformer(lambda items: items * np.nan)
    with pytest.raises(InvalidInputError, match="finite items"):
        Recorder(preprocessor=broken).fit(Pairs(np.eye(2), [[0, 1]]))


def test_float16_items_are_scored_in_float32():
    """Ten bits are too coarse to compute with."""
    head = Recorder().fit(Pairs(np.eye(2), [[0, 1]]))
    assert head.reward(np.eye(2, dtype=np.float16)).dtype == np.float64
    assert head.scored_.dtype == np.float32


def test_probabilities_of_huge_deltas_are_exact_at_both_ends():
    """Neither column is one minus the other: small ones keep their digits."""
    items = np.array([[0.0], [40.0]])
    head = Recorder().fit(Pairs(items, [[0, 1]]))
    proba = head.predict_proba(Pairs(items, [[1, 0], [0, 1]]))
    assert proba[0, 0] == proba[1, 1] == pytest.approx(np.exp(-40.0))


def test_items_where_pairs_belong_are_sent_to_reward():
    """Arrays and lists alike."""
    head = Recorder().fit(Pairs(np.eye(2), [[0, 1]]))
    for items in (np.eye(2), np.eye(2).tolist()):
        with pytest.raises(InvalidInputError, match=r"shape \(2, 2\).*use reward\(X\)"):
            head.predict(items)


def test_a_failed_first_fit_leaves_nothing_behind():
    """A margin that is refused does not make a head look fitted."""
    head = ClassificationReward()
    pairs = Pairs(np.eye(2), [[0, 1]])
    with pytest.raises(InvalidInputError, match="2 positive margins"):
        head.fit(pairs[[0, 0]], [1, 0], margin=[1.0, 1.0])
    with pytest.raises(NotFittedError):
        head.reward(np.eye(2))


def test_fit_comparisons_is_the_rest_of_fit(make_preferences):
    """For heads that are made of heads."""
    data = make_preferences()
    one = LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y)
    comparisons = make_comparisons(data.pairs, data.y)
    other = LinearBradleyTerry(alpha=1.0).fit_comparisons(comparisons)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert other.n_features_in_ == 5


def test_pairs_is_data_and_no_metadata():
    """set_fit_request offers what can be routed, and not the pairs."""
    request = LinearBradleyTerry().get_metadata_routing()
    assert set(request.fit.requests) == {"sample_weight", "margin", "annotator"}
    assert set(request.score.requests) == {"sample_weight"}
    assert not request.predict.requests


def test_a_margin_is_cut_into_folds_with_its_pairs(make_preferences):
    """Without routing, cross_val_score slices what params holds."""
    data = make_preferences()
    margin = np.random.default_rng(0).uniform(0, 2, len(data.y))
    scores = cross_val_score(
        LinearBradleyTerry(alpha=1.0), data.pairs, data.y, params={"margin": margin}
    )
    assert np.isfinite(scores).all()


def test_a_grid_search_over_processes_shares_pairs(make_preferences):
    """n_jobs=2 gives what n_jobs=1 gives."""
    data = make_preferences(error_rate=0.2)
    one, two = (
        GridSearchCV(LinearBradleyTerry(), {"alpha": [0.1, 10.0]}, cv=3, n_jobs=n_jobs)
        .fit(data.pairs, data.y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
