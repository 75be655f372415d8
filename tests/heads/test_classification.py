"""ClassificationReward is the log odds of winning, from any classifier of items."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import ClassificationReward, make_comparisons
from embrm.heads.classification import (
    CLASSIFIERS,
    make_classifier,
    win_logit,
    win_lose_rows,
)

WORDS = ["logistic", "mlp", "lightgbm", "xgboost"]
SMALL = {
    "logistic": {},
    "mlp": {"max_iter": 5},
    "lightgbm": {"n_estimators": 10},
    "xgboost": {"n_estimators": 10},
}


def test_winners_are_ones_and_losers_zeros_with_their_counts():
    """Item 1 wins twice and loses once: two rows."""
    items = np.array([[0.0], [1.0], [2.0]])
    pairs = Pairs(items, [[1, 0], [1, 0], [2, 1]])
    rows, won, weight = win_lose_rows(make_comparisons(pairs))
    table = sorted(zip(rows.ravel(), won, weight, strict=True))
    assert table == [(0.0, 0, 2.0), (1.0, 0, 1.0), (1.0, 1, 2.0), (2.0, 1, 1.0)]


def test_a_tie_is_half_a_win_and_half_a_loss():
    """For both items."""
    _, won, weight = win_lose_rows(make_comparisons(Pairs(np.eye(2), [[0, 1]]), [0.5]))
    assert won.tolist() == [1, 1, 0, 0]
    assert weight.tolist() == [0.5] * 4


def test_the_reward_of_logistic_regression_is_its_log_odds(make_preferences):
    """Fitted on the same rows and weights by hand."""
    data = make_preferences(error_rate=0.2)
    rows = win_lose_rows(make_comparisons(data.pairs, data.y))
    by_hand = LogisticRegression(C=0.1).fit(rows[0], rows[1], sample_weight=rows[2])
    head = ClassificationReward(LogisticRegression(C=0.1)).fit(data.pairs, data.y)
    items = data.pairs.items
    np.testing.assert_allclose(
        head.reward(items), by_hand.decision_function(items), rtol=1e-9
    )


@pytest.mark.parametrize("word", WORDS)
def test_the_reward_is_the_logit_of_the_probability_of_winning(make_preferences, word):
    """Whichever way it is read from the classifier."""
    data = make_preferences(error_rate=0.2)
    head = ClassificationReward(word, estimator_params=SMALL[word], random_state=0)
    head.fit(data.pairs, data.y)
    items = data.pairs.items.astype(np.float32)
    probability = head.estimator_.predict_proba(items)[:, 1]
    np.testing.assert_allclose(head.reward(items), logit(probability), atol=1e-4)


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianNB(),
        RandomForestClassifier(n_estimators=5),
        MLPClassifier((4,), solver="lbfgs", alpha=1.0, max_iter=1000),
        make_pipeline(StandardScaler(), "passthrough", LogisticRegression()),
        make_pipeline(StandardScaler(), GaussianNB()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_any_weighted_classifier_serves(make_preferences, estimator):
    """scikit-learn's classifiers and pipelines, with weights that differ."""
    data = make_preferences(error_rate=0.1)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(data.y))
    head = ClassificationReward(estimator, random_state=0)
    head.fit(data.pairs, data.y, sample_weight=weight)
    assert np.isfinite(head.reward(data.pairs.items)).all()
    assert head.score(data.pairs, data.y) > 0.7


def test_certain_probabilities_are_finite_rewards(make_preferences):
    """A tree that is sure says 27.6 nats, not infinity."""
    data = make_preferences()
    forest = RandomForestClassifier(n_estimators=1, bootstrap=False, random_state=0)
    head = ClassificationReward(forest).fit(data.pairs, data.y)
    assert np.abs(head.reward(data.pairs.items)).max() == pytest.approx(27.63, abs=0.01)


def test_xgboost_does_not_saturate_in_single_precision():
    """Its margin is read, not its probability of 1 - 6e-8."""

    class Margins:
        __module__ = "xgboost.sklearn"

        def predict(self, items, output_margin):
            assert output_margin
            return 50 * items[:, 0]

    np.testing.assert_array_equal(win_logit(Margins(), np.array([[1.0]])), [50.0])


@pytest.mark.parametrize("word", WORDS)
def test_one_pair_is_enough_for_every_word(word):
    """Two rows do not stop any library."""
    items = np.random.default_rng(0).normal(size=(2, 3))
    head = ClassificationReward(word, random_state=0).fit(Pairs(items, [[0, 1]]))
    assert np.isfinite(head.reward(items)).all()


def test_no_estimator_is_logistic(make_preferences):
    """The default needs no optional package."""
    data = make_preferences()
    one = ClassificationReward().fit(data.pairs, data.y)
    other = ClassificationReward("logistic").fit(data.pairs, data.y)
    np.testing.assert_array_equal(
        one.reward(data.pairs.items), other.reward(data.pairs.items)
    )


def test_the_random_state_is_handed_on(make_preferences):
    """To estimators that take one, also inside a pipeline."""
    data = make_preferences()
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=3))
    one, other = (
        ClassificationReward(pipeline, random_state=seed).fit(data.pairs, data.y)
        for seed in (0, 0)
    )
    assert isinstance(one.estimator_[-1].random_state, int)
    np.testing.assert_array_equal(
        one.reward(data.pairs.items), other.reward(data.pairs.items)
    )


def test_a_random_state_of_the_estimator_is_kept(make_preferences):
    """Whoever sets it there means it."""
    data = make_preferences()
    forest = RandomForestClassifier(n_estimators=2, random_state=7)
    head = ClassificationReward(forest, random_state=0).fit(data.pairs, data.y)
    assert head.estimator_.random_state == 7


def test_a_margin_is_refused():
    """A classifier of single items cannot be told about differences."""
    with pytest.raises(InvalidInputError, match=r"no margin: .*use a Bradley-Terry"):
        ClassificationReward().fit(Pairs(np.eye(2), [[0, 1]]), margin=[1.0])


def test_unequal_weights_need_an_estimator_that_takes_them():
    """Nearest neighbours take no weights; with equal ones they do."""
    neighbours = ClassificationReward(KNeighborsClassifier(1))
    items = np.arange(6.0)[:, None]
    head = neighbours.fit(Pairs(items, [[1, 0], [3, 2]]))
    assert head.reward(items)[1] > head.reward(items)[0]
    with pytest.raises(InvalidInputError, match=r"takes sample_weight.*KNeighbors"):
        neighbours.fit(Pairs(items, [[1, 0], [2, 0]]))


@pytest.mark.parametrize("estimator", [LinearSVC(), StandardScaler(), 3])
def test_an_estimator_without_probabilities_is_refused(estimator):
    """An SVM's decision function is no log odds."""
    with pytest.raises(InvalidInputError, match="fit and predict_proba"):
        ClassificationReward(estimator).fit(Pairs(np.eye(2), [[0, 1]]))


def test_estimator_params_of_an_object_are_refused():
    """They belong on the object."""
    head = ClassificationReward(GaussianNB(), estimator_params={"priors": None})
    with pytest.raises(InvalidInputError, match="with an estimator given by name"):
        head.fit(Pairs(np.eye(2), [[0, 1]]))


def test_nested_parameters_can_be_set():
    """Grid search reaches them by estimator__name."""
    head = ClassificationReward(LogisticRegression())
    head.set_params(estimator__C=3.0)
    assert head.estimator.C == 3.0


def test_the_estimator_that_is_passed_stays_unfitted(make_preferences):
    """It is cloned."""
    data = make_preferences()
    estimator = LogisticRegression()
    ClassificationReward(estimator).fit(data.pairs, data.y)
    assert not hasattr(estimator, "coef_")


@pytest.mark.parametrize("word", CLASSIFIERS)
def test_every_word_makes_a_classifier(word):
    """With fit and predict_proba."""
    classifier = make_classifier(word, 8)
    assert hasattr(classifier, "fit")
    assert hasattr(classifier, "predict_proba")


@pytest.mark.parametrize("word", ["logistic", "mlp"])
def test_classifiers_of_sums_standardise(word):
    """A penalty means the same on every column then."""
    assert list(make_classifier(word, 8).named_steps) == ["scaler", "classifier"]


def test_the_penalty_of_logistic_follows_the_width():
    """The prior spread of a difference is 0.5 nats: 2 d C = 0.25."""
    strength = make_classifier("logistic", 50).named_steps["classifier"].C
    assert 2 * 50 * strength == pytest.approx(0.25)


@pytest.mark.parametrize("word", ["lightgbm", "xgboost"])
def test_parameters_replace_defaults(word):
    """The others stay as they are."""
    plain = make_classifier(word, 8).get_params()
    changed = make_classifier(word, 8, {"n_estimators": 7}).get_params()
    assert changed["n_estimators"] == 7
    assert changed["learning_rate"] == plain["learning_rate"]


@pytest.mark.parametrize("word", CLASSIFIERS)
def test_a_misspelt_parameter_is_refused(word):
    """LightGBM and XGBoost would swallow it."""
    with pytest.raises(InvalidInputError, match=f"parameters of '{word}'.*'n_estim'"):
        make_classifier(word, 8, {"n_estim": 7})


def test_an_unknown_word_is_refused():
    """The message lists the words."""
    with pytest.raises(InvalidInputError, match=r"logistic, mlp, lightgbm, xgb.*'svm'"):
        make_classifier("svm", 8)
