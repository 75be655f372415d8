"""What all heads share, beyond what check_head checks of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    BaseHead,
    ClassificationReward,
    HeadState,
    LinearBradleyTerry,
    RewardHead,
    make_comparisons,
    order_consistency,
)


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


class Fixed(BaseHead, BaseEstimator):
    """A reward that is given."""

    def fit(self, coef):
        self.coef_ = coef
        return self

    def reward(self, X):
        return X @ self.coef_


@pytest.fixture
def both(make_preferences):
    """A linear head, the bare base with the same weights, and preferences."""
    data = make_preferences(error_rate=0.2)
    head = LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y)
    return head, Fixed().fit(head.coef_), data


@pytest.mark.parametrize("method", ["decision_function", "predict_proba"])
def test_pairs_are_scored_as_a_reward_head_scores_them(both, method):
    """The same maths, constants aside."""
    head, fixed, data = both
    np.testing.assert_allclose(
        getattr(fixed, method)(data.pairs),
        getattr(head, method)(data.pairs),
        atol=1e-12,
    )


def test_the_score_is_order_consistency(both):
    """Weights included."""
    head, fixed, data = both
    weight = np.arange(1.0, len(data.y) + 1)
    wanted = head.score(data.pairs, data.y, weight)
    assert fixed.score(data.pairs, data.y, weight) == pytest.approx(wanted)


def test_swapping_pairs_negates_delta_exactly(both):
    """For Pairs and for dense arrays."""
    _, fixed, data = both
    delta = fixed.decision_function(data.pairs)
    np.testing.assert_array_equal(fixed.decision_function(data.pairs.swap()), -delta)
    dense = np.asarray(data.pairs)
    np.testing.assert_array_equal(
        fixed.decision_function(dense[:, ::-1]), -fixed.decision_function(dense)
    )


def test_items_are_refused(both):
    """The fix is reward(X)."""
    _, fixed, data = both
    with pytest.raises(InvalidInputError, match=r"use reward\(X\)"):
        fixed.decision_function(data.pairs.items)


def test_an_unfitted_head_says_so(both):
    """As scikit-learn wants it."""
    with pytest.raises(NotFittedError):
        Fixed().score(both[2].pairs)


ITEMS = np.random.default_rng(0).normal(size=(30, 4))


class FirstColumn(BaseHead, BaseEstimator):
    """The smallest head there is."""

    def fit(self, X):
        self.n_features_in_ = X.shape[1]
        self.preprocessor_, items = self._fit_preprocessor(X)
        self.shift_ = float(items[:, 0].mean())
        return self

    def reward(self, X):
        return self._preprocessed(X)[:, 0] - self.shift_

    def _get_state(self):
        return HeadState(values={"shift": self.shift_})

    def _set_state(self, state):
        self.shift_ = state.value("shift", float)


@pytest.mark.parametrize("preprocessor", [None, PCA(2)])
def test_a_restored_head_scores_the_same_bits(preprocessor):
    """With the preprocessor or without one, which is not fitted itself."""
    head = FirstColumn(preprocessor=preprocessor).fit(ITEMS)
    again = FirstColumn(preprocessor=preprocessor).set_state(head.get_state())
    np.testing.assert_array_equal(again.reward(ITEMS), head.reward(ITEMS))
    assert again.n_features_in_ == 4
    assert not hasattr(preprocessor, "components_")


def test_half_precision_is_computed_in_float32():
    """float16 is what caches store."""
    head = FirstColumn().fit(ITEMS)
    stored = ITEMS.astype(np.float16)
    assert head._preprocessed(stored).dtype == np.float32
    np.testing.assert_array_equal(
        head.reward(stored), head.reward(stored.astype(np.float32))
    )


def test_no_items_have_no_rewards():
    """A transformer of scikit-learn would refuse them."""
    assert FirstColumn(preprocessor=PCA(2)).fit(ITEMS).reward(ITEMS[:0]).shape == (0,)


def test_what_is_wrong_is_said():
    """Not fitted, another d, a state with something missing."""
    head = FirstColumn(preprocessor=PCA(2))
    with pytest.raises(NotFittedError):
        head.reward(ITEMS)
    with pytest.raises(NotFittedError):
        head.get_state()
    with pytest.raises(InvalidInputError, match="d = 4, as in fit"):
        head.fit(ITEMS).reward(ITEMS[:, :3])
    state = head.get_state()
    for name in ("n_features_in", "shift"):
        values = {key: v for key, v in state.values.items() if key != name}
        with pytest.raises(IntegrityError, match=f"'{name}'"):
            FirstColumn().set_state(HeadState(state.arrays, values))


def test_a_tie_of_the_head_counts_one_half():
    """delta = 0 is neither right nor wrong."""
    assert order_consistency([0.0], [1]) == 0.5


def test_label_ties_are_left_out():
    """y = 0.5 has no right answer."""
    assert order_consistency([1.0, -5.0], [1, 0.5]) == 1.0


def test_soft_labels_count_by_their_side_of_one_half():
    """0.6 says first as 1.0 does."""
    assert order_consistency([1.0, 1.0], [0.6, 0.4]) == 0.5


def test_no_labels_mean_first_is_preferred():
    """Chosen/rejected data need no y."""
    assert order_consistency([1.0, 2.0, -1.0, 3.0]) == 0.75


def test_weights_weigh():
    """A pair of weight 3 counts three times."""
    assert order_consistency([1.0, -1.0], [1, 1], [3, 1]) == 0.75


@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.sampled_from([0.0, 0.5, 1.0])), min_size=1
    )
)
def test_it_is_the_share_that_a_loop_counts(rows):
    """Brute force over pairs gives the same number."""
    delta, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    counted = [
        0.5 if d == 0 else float((d > 0) == (label > 0.5))
        for d, label in rows
        if label != 0.5
    ]
    if not counted:
        with pytest.raises(InvalidInputError, match="not a tie"):
            order_consistency(delta, y)
    else:
        assert order_consistency(delta, y) == pytest.approx(np.mean(counted), abs=1e-12)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_it_and_that_of_the_opposite_labels_sum_to_one(delta):
    """What agrees with y disagrees with 1 - y."""
    y = (np.arange(len(delta)) % 2).astype(float)
    total = order_consistency(delta, y) + order_consistency(delta, 1 - y)
    assert total == pytest.approx(1)


def test_nan_is_refused():
    """A missing score is not a wrong one."""
    with pytest.raises(InvalidInputError, match=r"NaN at pair 1.*score every item"):
        order_consistency([0.0, np.nan], [1, 1])


def test_only_label_ties_are_refused():
    """There is nothing to count."""
    with pytest.raises(InvalidInputError, match="2 pairs, none of them"):
        order_consistency([0.0, 1.0], [0.5, 0.5])
