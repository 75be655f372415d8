"""Every head by name: what it learns from, what it is good for, what a fit costs.

`HEADS` is the only list. `RewardModel`, the command line, stored models, the wrappers
and the table of docs/heads.md are all read off it. Classes are named by their place and
imported when one is asked for, so that heads made of heads can import this module.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from embrm._typing import LearnsFrom, RandomState
from embrm.exceptions import IntegrityError, invalid_input
from embrm.heads.component_spec import decode, encode


@dataclass(frozen=True)
class KnownHead:
    """A head that has a name.

    Attributes
    ----------
    name : str
        In lower-case kebab words, e.g. "two-stage".
    place : str
        Module and class, e.g. "embrm.heads.classification:ClassificationReward".
    good_for : str
        When to choose it, in one sentence without a full stop.
    cost : str
        What a fit costs. Seconds are those of 10,000 pairs with d = 384 on two CPU
        cores that do nothing else, as measured or by processor time relative to that
        of the linear head.
    fixed : mapping
        Parameters that the name implies.
    extra : str
        The extra of embrm that it needs; empty if none.
    """

    name: str
    place: str
    good_for: str
    cost: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    extra: str = ""

    @property
    def class_name(self) -> str:
        """Name of the class, under which fitted heads are stored."""
        return self.place.partition(":")[2]

    @property
    def head_class(self) -> Callable[..., Any]:
        """The class, imported now."""
        module, _, name = self.place.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found

    @property
    def learns_from(self) -> LearnsFrom:
        """What the head, with its defaults, is fitted on."""
        found: LearnsFrom = known_heads()[self.name]().learns_from
        return found

    def to_json(self) -> dict[str, str]:
        """Return the row of this head in a table, ready for JSON."""
        return {
            "name": self.name,
            "class": self.class_name,
            "learns_from": self.learns_from,
            "good_for": self.good_for,
            "cost": self.cost,
            "extra": self.extra,
        }


_CLASSIFICATION = "embrm.heads.classification:ClassificationReward"
_BOOSTED = "embrm.heads.boosted.bradley_terry:BoostedBradleyTerry"

HEADS: tuple[KnownHead, ...] = (
    KnownHead(
        "linear",
        "embrm.heads.linear.bradley_terry:LinearBradleyTerry",
        "the first choice: pairwise logistic loss, penalty chosen by itself, "
        "uncertainty, noisy annotators, cross-prompt pairs",
        "1 s; 4 s for a million pairs",
    ),
    KnownHead(
        "siamese",
        "embrm.heads.siamese.bradley_terry:SiameseBradleyTerry",
        "many pairs and rewards that are not linear: the same loss on an MLP, mixed "
        "with a linear head by wins that neither has seen",
        "3 s",
        extra="torch",
    ),
    KnownHead(
        "logistic",
        _CLASSIFICATION,
        "a quick baseline: classify winners against losers, reward = logit P(win)",
        "0.1 s",
        {"estimator": "logistic"},
    ),
    KnownHead(
        "mlp",
        _CLASSIFICATION,
        "the same with an MLP of scikit-learn",
        "2 s",
        {"estimator": "mlp"},
    ),
    KnownHead(
        "lightgbm",
        _CLASSIFICATION,
        "the same with trees, for vectors with columns of different kinds",
        "0.6 s",
        {"estimator": "lightgbm"},
        extra="lightgbm",
    ),
    KnownHead(
        "xgboost",
        _CLASSIFICATION,
        "the same with trees of XGBoost",
        "1 s",
        {"estimator": "xgboost"},
        extra="xgboost",
    ),
    KnownHead(
        "boosted",
        _BOOSTED,
        "rewards with thresholds: a linear head plus trees grown on the pairwise loss "
        "itself",
        "4 s",
        extra="lightgbm",
    ),
    KnownHead(
        "boosted-xgboost",
        _BOOSTED,
        "the same with trees of XGBoost",
        "4 s",
        {"backend": "xgboost"},
        extra="xgboost",
    ),
    KnownHead(
        "general",
        "embrm.heads.cyclic.general_preference:GeneralPreference",
        "preferences with cycles: a linear reward plus a form in which a can beat b, "
        "b beat c, and c beat a",
        "minutes",
    ),
    KnownHead(
        "regression",
        "embrm.heads.rated.regression:RegressionReward",
        "scores from people or judges, also one response for each prompt: predicts "
        "the score by ridge regression, an MLP or trees",
        "1 s",
    ),
    KnownHead(
        "multi-objective",
        "embrm.heads.rated.multi_objective:MultiObjectiveReward",
        "several ratings of each response: predicts each, takes length out, and weighs "
        "them so that they explain the preferences",
        "1 s for each rating",
    ),
    KnownHead(
        "two-stage",
        "embrm.heads.rated.two_stage:TwoStageReward",
        "ratings and preferences together: a linear head from ratings, moved by "
        "preferences, then extrapolated; without ratings a linear head",
        "1 to 2 s",
    ),
    KnownHead(
        "kto",
        "embrm.heads.unpaired.kto:KTOReward",
        "thumbs up and down without pairs: a linear reward by the KTO objective, which "
        "bounds what a wrong label can do",
        "3 s",
    ),
    KnownHead(
        "plackett-luce",
        "embrm.heads.unpaired.plackett_luce:PlackettLuce",
        "rankings of several responses, each used as a whole; of two it is the linear "
        "head",
        "1 to 2 s",
    ),
    KnownHead(
        "ensemble",
        "embrm.heads.wrappers.ensemble:RewardEnsemble",
        "uncertainty and pessimism: many heads on resampled prompts, their spread as "
        "the standard deviation",
        "ten fits of its head, by default",
    ),
    KnownHead(
        "stacked",
        "embrm.heads.wrappers.stacked:StackedReward",
        "not having to choose: several heads, weighed by how they do on prompts that "
        "they were not fitted on",
        "six fits of each of its heads",
    ),
    KnownHead(
        "calibrated",
        "embrm.heads.wrappers.calibrated:CalibratedReward",
        "calibrated probabilities: a head, calibrated on prompts that it was not "
        "fitted on",
        "six fits of its head",
    ),
    KnownHead(
        "centered",
        "embrm.heads.wrappers.centered:CenteredReward",
        "thresholds and policy optimisation: a head whose reward has mean 0 and "
        "variance 1 on a reference pool",
        "one fit of its head",
    ),
    KnownHead(
        "length-debiased",
        "embrm.heads.wrappers.length_debiased:LengthDebiased",
        "annotators who like long answers: a head that takes no credit for length",
        "eleven fits of its head, one with cv=None",
    ),
)

_BY_NAME = {known.name: known for known in HEADS}
_BY_CLASS = {known.class_name: known for known in HEADS}

_RENAMED = {"SiameseBradleyTerry": {"flip_rate": "noise"}}
"""What parameters of heads that were stored before are called now."""


def known_heads() -> dict[str, Callable[..., Any]]:
    """Return what makes each head, by its name.

    Examples
    --------
    >>> list(known_heads())
    ['linear', 'siamese', 'logistic', 'mlp', 'lightgbm', 'xgboost', 'boosted',
     'boosted-xgboost', 'general', 'regression', 'multi-objective', 'two-stage',
     'kto', 'plackett-luce', 'ensemble', 'stacked', 'calibrated', 'centered',
     'length-debiased']
    """
    return {name: _maker(known) for name, known in _BY_NAME.items()}


def describe_heads() -> str:
    """Name all heads in half a sentence, for help texts and docstrings.

    Examples
    --------
    >>> describe_heads()[:16]
    'linear, siamese,'
    """
    *first, last = _BY_NAME
    return f"{', '.join(first)} or {last}"


def make_head(name: str, /, *, random_state: RandomState = None, **params: Any) -> Any:
    """Make an unfitted head by name.

    Parameters
    ----------
    name : str
        A name that `known_heads` lists.
    random_state : int, Generator or None, default=None
        Given to heads with randomness; deterministic ones do without.
    **params
        Parameters of the head. For "logistic", "mlp", "lightgbm" and "xgboost" also
        those of the classifier of that name, e.g. `num_leaves`.

    Returns
    -------
    RewardHead, or a head that is fitted on items (`learns_from` other than "pairs")

    Raises
    ------
    InvalidInputError
        If the name is unknown, or the head has no such parameter.

    Examples
    --------
    >>> make_head("linear", alpha=1.0)
    LinearBradleyTerry(alpha=1.0)
    >>> make_head("lightgbm", num_leaves=8)
    ClassificationReward(estimator='lightgbm', estimator_params={'num_leaves': 8})
    """
    known = _BY_NAME.get(name)
    if known is None:
        raise invalid_input(
            expected="the name of a head",
            got=f"unknown head {str(name)[:40]!r}; known: {', '.join(_BY_NAME)}",
            fix="use one of the known names",
        )
    parameters = inspect.signature(known.head_class).parameters
    if random_state is not None and "random_state" in parameters:
        params["random_state"] = random_state
    try:
        return _maker(known)(**params)
    except TypeError as error:
        raise invalid_input(
            expected=f"parameters of '{name}': {', '.join(parameters)}",
            got=", ".join(set(params) - set(parameters))[:80],
            fix="check the spelling",
        ) from error


def head_spec(head: Any) -> dict[str, Any]:
    """Describe an unfitted head as JSON: class id and parameters.

    Parameters
    ----------
    head : RewardHead, or another head of a class that `HEADS` names

    Returns
    -------
    dict
        `{"head": class id, "params": {...}}`; estimators and preprocessors among the
        parameters are nested specs, tuples and arrays are lists.

    Raises
    ------
    InvalidInputError
        If the class is foreign, or a parameter is neither plain data nor an estimator
        on the closed list.

    Examples
    --------
    >>> head_spec(make_head("linear"))["head"]
    'LinearBradleyTerry'
    """
    name = type(head).__name__
    if not _is_known(head):
        raise invalid_input(
            expected="a head that can be saved: " + ", ".join(_BY_CLASS),
            got=name,
            fix="use one of these, or keep the fitted head in memory",
        )
    params = head.get_params(deep=False)
    return {
        "head": name,
        "params": {key: _encode(value, key) for key, value in params.items()},
    }


def head_from_spec(spec: Mapping[str, Any]) -> Any:
    """Make the unfitted head that `head_spec` described.

    Raises
    ------
    IntegrityError
        If the class id is unknown or the parameters do not fit; nothing but the heads
        and estimators on the closed lists is ever constructed.

    Examples
    --------
    >>> head_from_spec({"head": "LinearBradleyTerry", "params": {"alpha": 2.0}})
    LinearBradleyTerry(alpha=2.0)
    """
    name, params = spec.get("head"), spec.get("params")
    if not isinstance(name, str) or name not in _BY_CLASS:
        raise IntegrityError.of(
            expected="one of the heads " + ", ".join(_BY_CLASS),
            got=f"head {str(name)[:60]!r}",
            fix="check where the file comes from, or upgrade embrm",
        )
    cls, renamed = _BY_CLASS[name].head_class, _RENAMED.get(name, {})
    known = set(inspect.signature(cls).parameters)
    if isinstance(params, Mapping):
        params = {renamed.get(key, key): value for key, value in params.items()}
    if not isinstance(params, Mapping) or not set(params) <= known:
        raise IntegrityError.of(
            expected=f"parameters of {name}: {', '.join(sorted(known))}",
            got="others",
            fix="check where the file comes from, or upgrade embrm",
        )
    return cls(**{key: _decode(value) for key, value in params.items()})


def _maker(known: KnownHead) -> Callable[..., Any]:
    """Return what makes the head of a name."""
    if known.place == _CLASSIFICATION:
        return partial(_make_classification, known.head_class, known.fixed["estimator"])
    return partial(known.head_class, **known.fixed) if known.fixed else known.head_class


def _make_classification(
    cls: Callable[..., Any], estimator: str, /, **params: Any
) -> Any:
    """Tell the parameters of the head from those of the classifier in it."""
    own = set(inspect.signature(cls).parameters) - {"estimator"}
    of_head = {key: value for key, value in params.items() if key in own}
    of_estimator = {key: value for key, value in params.items() if key not in own}
    of_estimator |= of_head.pop("estimator_params", None) or {}
    return cls(estimator, estimator_params=of_estimator or None, **of_head)


def _is_known(head: Any) -> bool:
    """Whether a head is of a class of the list, and not of one of the same name."""
    known = _BY_CLASS.get(type(head).__name__)
    return known is not None and known.head_class is type(head)


def _encode(value: Any, name: str) -> Any:
    """Encode a parameter; heads inside a head become nested specs."""
    if hasattr(type(value), "learns_from"):
        return head_spec(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_encode(part, name) for part in value]
    return encode(value, name)


def _decode(value: Any) -> Any:
    """Read what `_encode` wrote; lists become tuples."""
    if isinstance(value, Mapping) and "head" in value:
        return head_from_spec(value)
    if isinstance(value, list):
        return tuple(_decode(part) for part in value)
    return decode(value)
