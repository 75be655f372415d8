"""ClassificationReward: the reward is the log odds of winning, from any classifier.

The classifiers with a name have defaults for dense vectors and few, noisy labels:
strong penalties, small trees, no early stopping on random rows (rows of one prompt
would sit on both sides). The defaults were first chosen on a real development pool,
whose figures therefore flatter them. `benchmarks/choose_defaults.py classifiers` then
compared each with a few neighbours on sixteen made-up pools, at label error rates
from 0 to 40%, and kept it: no neighbour had a lower mean regret.
"""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
from scipy.special import logit
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from embrm._optional import import_optional
from embrm._typing import AnyArray, FloatArray, IntArray, RandomState
from embrm._validation import Constraints, check_random_state
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons
from embrm.heads.estimator_state import get_estimator_state, set_estimator_state
from embrm.heads.state import Stored, StoredPart

CLASSIFIERS = ("logistic", "mlp", "lightgbm", "xgboost")
"""The names that `make_classifier` knows."""

_LOGISTIC_PRIOR = 0.5
"""Prior standard deviation of the difference of two items' logits, in nats."""

MLP_DEFAULTS = {"hidden_layer_sizes": (64,), "alpha": 10.0, "max_iter": 50}
LIGHTGBM_DEFAULTS = {
    "n_estimators": 300,
    "learning_rate": 0.05,
    "num_leaves": 4,
    "min_child_samples": 10,
    "colsample_bytree": 0.2,
    "subsample": 0.7,
    "subsample_freq": 1,
    "reg_lambda": 10.0,
    "extra_trees": True,
    "deterministic": True,
    "force_row_wise": True,
    "n_jobs": 0,  # the number of OpenMP threads
    "verbosity": -1,
}
_XGBOOST = {
    "n_estimators": 300,
    "learning_rate": 0.03,
    "max_depth": 2,
    "min_child_weight": 1.0,
    "colsample_bytree": 0.2,
    "subsample": 0.7,
    "reg_lambda": 10.0,
    "n_jobs": 0,
    "verbosity": 0,
}

_CLOSEST_TO_CERTAIN = 1e-12


class ClassificationReward(RewardHead):
    r"""Reward :math:`r(x) = \mathrm{logit}\, P(x \text{ wins})`, opponents ignored.

    Each item that won is a row of class 1, each item that lost a row of class 0,
    weighted by how often it did; an item that did both is two rows. Any classifier of
    single items will do. Order consistency of the classifier carries over to the
    reward, as [1]_ shows, though the scale is not that of Bradley-Terry.

    Parameters
    ----------
    estimator : {"logistic", "mlp", "lightgbm", "xgboost"} or classifier, \
default=None
        A name selects a classifier with defaults for dense vectors and noisy labels;
        None is "logistic". A scikit-learn style classifier is cloned.
    estimator_params : dict, optional
        Parameters that replace the defaults of a named classifier.
    random_state : int, Generator or None, default=None
        Set on the parts of the estimator whose `random_state` is None.
    preprocessor : scikit-learn transformer, optional
        Acts on items.

    Attributes
    ----------
    estimator_ : fitted classifier

    Notes
    -----
    A `margin` is about a difference and cannot be passed to a classifier of single
    items: `fit` raises. Tree classifiers need some twenty rows before they split; with
    fewer, all rewards are equal.

    References
    ----------
    .. [1] Sun, Shen, Ton (2025). Rethinking reward modeling in preference-based large
       language model alignment. ICLR. arXiv:2411.04991, section 3 and proposition 31.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import ClassificationReward
    >>> items = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> head = ClassificationReward().fit(Pairs(items, [[2, 0], [3, 1]]))
    >>> bool(head.reward(items)[3] > head.reward(items)[1])
    True
    """

    accepts_margin: ClassVar[bool] = False

    _constraints: ClassVar[Constraints] = {"estimator_params": [Mapping, None]}
    _stored: ClassVar[Sequence[Stored]] = (
        StoredPart("estimator_", set_estimator_state, write=get_estimator_state),
    )

    def __init__(
        self,
        estimator: Any = None,
        *,
        estimator_params: Mapping[str, Any] | None = None,
        random_state: RandomState = None,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.estimator = estimator
        self.estimator_params = estimator_params
        self.random_state = random_state

    def _fit(self, comparisons: Comparisons) -> None:
        items, won, weight = win_lose_rows(comparisons)
        estimator = self._make_estimator(items.shape[1])
        seed_estimator(estimator, check_random_state(self.random_state))
        # Stopping an "mlp" early is how it regularises, not a failure.
        by_word = self.estimator is None or isinstance(self.estimator, str)
        with warnings.catch_warnings() if by_word else nullcontext():
            if by_word:
                warnings.simplefilter("ignore", ConvergenceWarning)
            fit_weighted(
                estimator,
                items,
                won,
                weight,
                why="win or lose a different number of times",
                fix="use another estimator, or pairs in which each item occurs once",
            )
        self.estimator_ = estimator

    def _make_estimator(self, n_features: int) -> Any:
        estimator = "logistic" if self.estimator is None else self.estimator
        if isinstance(estimator, str):
            return make_classifier(estimator, n_features, self.estimator_params)
        if self.estimator_params:
            raise invalid_input(
                expected="estimator_params with an estimator given by name",
                got=f"estimator_params with {type(estimator).__name__}",
                fix="set the parameters on the estimator itself",
            )
        if not (hasattr(estimator, "fit") and hasattr(estimator, "predict_proba")):
            raise invalid_input(
                expected="a classifier with fit and predict_proba, or one of "
                + ", ".join(CLASSIFIERS),
                got=type(estimator).__name__,
                fix="wrap it in sklearn.calibration.CalibratedClassifierCV",
            )
        return clone(estimator)

    def _reward(self, items: FloatArray) -> FloatArray:
        return win_logit(self.estimator_, items)


def make_classifier(
    name: str, n_features: int, params: Mapping[str, Any] | None = None
) -> Any:
    """Build the unfitted classifier of a name.

    Parameters
    ----------
    name : {"logistic", "mlp", "lightgbm", "xgboost"}
        The first two standardise their input.
    n_features : int
        d, by which the penalty of "logistic" is scaled.
    params : mapping, optional
        Parameters of the scikit-learn, LightGBM or XGBoost classifier that replace
        the defaults.

    Returns
    -------
    classifier

    Raises
    ------
    InvalidInputError
        If the name or a parameter is unknown.
    MissingDependencyError
        If LightGBM or XGBoost is needed and not installed.

    Examples
    --------
    >>> make_classifier("logistic", 4, {"C": 1.0}).named_steps["classifier"]
    LogisticRegression(max_iter=1000)
    """
    if name == "logistic":
        strength = _LOGISTIC_PRIOR**2 / (2 * n_features)
        defaults: dict[str, Any] = {"C": strength, "max_iter": 1000}
        return _standardised(_build(name, LogisticRegression, defaults, params))
    if name == "mlp":
        return _standardised(_build(name, MLPClassifier, MLP_DEFAULTS, params))
    if name == "lightgbm":
        lightgbm = import_optional("lightgbm", extra="lightgbm")
        return _build(name, lightgbm.LGBMClassifier, LIGHTGBM_DEFAULTS, params)
    if name == "xgboost":
        xgboost = import_optional("xgboost", extra="xgboost")
        return _build(name, xgboost.XGBClassifier, _XGBOOST, params)
    raise invalid_input(
        expected="a known classifier: " + ", ".join(CLASSIFIERS),
        got=repr(name)[:40],
        fix="use one of these names, or pass a scikit-learn classifier",
    )


def win_lose_rows(
    comparisons: Comparisons,
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Turn comparisons into rows for a classifier of single items.

    Parameters
    ----------
    comparisons : Comparisons

    Returns
    -------
    items : ndarray of shape (n_rows, d)
        The winners, then the losers; an item that is both is two rows.
    won : ndarray of int of shape (n_rows,)
        1 for winners, 0 for losers.
    weight : ndarray of shape (n_rows,)
        How often the item won or lost.
    """
    n_items = len(comparisons.items)
    wins = np.bincount(comparisons.winner, comparisons.weight, n_items)
    losses = np.bincount(comparisons.loser, comparisons.weight, n_items)
    winners, losers = np.flatnonzero(wins), np.flatnonzero(losses)
    return (
        comparisons.items[np.concatenate([winners, losers])],
        np.repeat([1, 0], [len(winners), len(losers)]),
        np.concatenate([wins[winners], losses[losers]]),
    )


def win_logit(estimator: Any, items: FloatArray) -> FloatArray:
    """Compute logit P(class 1) of items, as exactly as the classifier allows.

    Parameters
    ----------
    estimator : fitted binary classifier
    items : ndarray of shape (n_items, d)

    Returns
    -------
    ndarray of shape (n_items,), in nats
        From the classifier's own log odds where it has them, else from its
        probability, which is clipped to 1e-12 from certainty.
    """
    if isinstance(estimator, Pipeline):
        inner = items
        for _, step in estimator.steps[:-1]:
            if step is not None and step != "passthrough":
                inner = step.transform(inner)
        return win_logit(estimator.steps[-1][1], inner)
    if isinstance(estimator, LogisticRegression):
        return np.asarray(estimator.decision_function(items))
    # Neither library is imported to ask: the classifier was made by it.
    package = type(estimator).__module__.partition(".")[0]
    if package == "lightgbm":
        # The booster, since the wrapper warns that arrays have no feature names.
        return np.asarray(estimator.booster_.predict(items, raw_score=True))
    if package == "xgboost":
        return np.asarray(estimator.predict(items, output_margin=True))
    probability = estimator.predict_proba(items)[:, 1].astype(np.float64)
    edge = _CLOSEST_TO_CERTAIN
    return np.asarray(logit(np.clip(probability, edge, 1 - edge)))


def seed_estimator(
    estimator: Any, rng: np.random.Generator, *, replace: bool = False
) -> None:
    """Set every `random_state` that is None, or every one, in place.

    Those of parts count too: of the steps of a pipeline, of heads in a head.
    """
    params = estimator.get_params(deep=True)
    names = [
        name
        for name in sorted(params)
        if name.rpartition("__")[2] == "random_state"
        and (replace or params[name] is None)
    ]
    estimator.set_params(**{name: int(rng.integers(2**31)) for name in names})


def fit_weighted(
    estimator: Any,
    items: FloatArray,
    target: AnyArray,
    weight: FloatArray,
    *,
    why: str,
    fix: str,
) -> None:
    """Fit an estimator, perhaps a pipeline, to weighted rows, or say why it cannot be.

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted in place. One whose `fit` takes no weights needs equal ones.
    items : ndarray of shape (n, d)
    target, weight : ndarray of shape (n,)
    why, fix : str
        Words of the error: why weights differ, and what else can be done.
    """
    last, name = estimator, "sample_weight"
    if isinstance(estimator, Pipeline):
        step, last = estimator.steps[-1]
        name = f"{step}__sample_weight"
    if has_fit_parameter(last, "sample_weight"):
        # The estimator is ours: routing that a user switched on is not meant for it.
        with config_context(enable_metadata_routing=False):
            estimator.fit(items, target, **{name: weight})
    elif np.all(weight == weight[0]):
        estimator.fit(items, target)
    else:
        raise invalid_input(
            expected=f"an estimator whose fit takes sample_weight, since items {why}",
            got=type(last).__name__,
            fix=fix,
        )


def _standardised(classifier: Any) -> Pipeline:
    return Pipeline([("scaler", StandardScaler()), ("classifier", classifier)])


def _build(
    name: str, cls: Any, defaults: Mapping[str, Any], params: Mapping[str, Any] | None
) -> Any:
    given = dict(params or {})
    # LightGBM and XGBoost take any keyword, a misspelt one too.
    known = set(cls().get_params()) | set(inspect.signature(cls).parameters)
    known = (known | set(defaults)) - {"kwargs"}
    unknown = sorted(set(given) - known)
    if unknown:
        raise invalid_input(
            expected=f"parameters of '{name}': " + ", ".join(sorted(known)),
            got=", ".join(map(repr, unknown))[:80],
            fix="check the spelling, or pass the estimator itself",
        )
    return cls(**{**defaults, **given})
