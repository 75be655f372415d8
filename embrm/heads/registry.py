"""Heads by name: words for people, closed class ids for stored bundles."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from embrm._typing import RandomState
from embrm.exceptions import IntegrityError, InvalidInputError, three_parts
from embrm.heads.base import RewardHead
from embrm.heads.boosted.bradley_terry import BoostedBradleyTerry
from embrm.heads.classification import CLASSIFIERS, ClassificationReward
from embrm.heads.component_spec import decode, encode
from embrm.heads.cyclic.general_preference import GeneralPreference
from embrm.heads.linear.bradley_terry import LinearBradleyTerry
from embrm.heads.rated.two_stage import TwoStageReward
from embrm.heads.siamese.bradley_terry import SiameseBradleyTerry
from embrm.heads.wrappers.calibrated import CalibratedReward
from embrm.heads.wrappers.centered import CenteredReward
from embrm.heads.wrappers.ensemble import RewardEnsemble
from embrm.heads.wrappers.length_debiased import LengthDebiased
from embrm.heads.wrappers.stacked import StackedReward

_CLASSES: dict[str, type[RewardHead]] = {
    "LinearBradleyTerry": LinearBradleyTerry,
    "SiameseBradleyTerry": SiameseBradleyTerry,
    "ClassificationReward": ClassificationReward,
    "BoostedBradleyTerry": BoostedBradleyTerry,
    "GeneralPreference": GeneralPreference,
    "TwoStageReward": TwoStageReward,
    "RewardEnsemble": RewardEnsemble,
    "StackedReward": StackedReward,
    "CalibratedReward": CalibratedReward,
    "CenteredReward": CenteredReward,
    "LengthDebiased": LengthDebiased,
}


_RENAMED = {"SiameseBradleyTerry": {"flip_rate": "noise"}}
"""What parameters of heads that were stored before are called now."""

_DETERMINISTIC = frozenset({"linear", "general", "two-stage", "calibrated"})


def known_heads() -> dict[str, Callable[..., RewardHead]]:
    """Return what makes each head, by its name.

    Examples
    --------
    >>> list(known_heads())
    ['linear', 'siamese', 'logistic', 'mlp', 'lightgbm', 'xgboost', 'boosted',
     'boosted-xgboost', 'general', 'two-stage', 'ensemble', 'stacked', 'calibrated']
    """
    return {
        "linear": LinearBradleyTerry,
        "siamese": SiameseBradleyTerry,
        **{word: partial(_make_classification, word) for word in CLASSIFIERS},
        "boosted": BoostedBradleyTerry,
        "boosted-xgboost": partial(BoostedBradleyTerry, "xgboost"),
        "general": GeneralPreference,
        "two-stage": TwoStageReward,
        "ensemble": RewardEnsemble,
        "stacked": StackedReward,
        "calibrated": CalibratedReward,
    }


def make_head(
    name: str, /, *, random_state: RandomState = None, **params: Any
) -> RewardHead:
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
    RewardHead

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
    heads = known_heads()
    if name not in heads:
        raise InvalidInputError(
            three_parts(
                expected="the name of a head",
                got=f"unknown head {str(name)[:40]!r}; known: {', '.join(heads)}",
                cure="use one of the known names",
            )
        )
    if random_state is not None and name not in _DETERMINISTIC:
        params["random_state"] = random_state
    try:
        return heads[name](**params)
    except TypeError as error:
        known = inspect.signature(heads[name]).parameters
        raise InvalidInputError(
            three_parts(
                expected=f"parameters of '{name}': {', '.join(known)}",
                got=", ".join(set(params) - set(known))[:80],
                cure="check the spelling",
            )
        ) from error


def head_spec(head: RewardHead) -> dict[str, Any]:
    """Describe an unfitted head as JSON: class id and parameters.

    Parameters
    ----------
    head : RewardHead
        Of a class that embrm defines.

    Returns
    -------
    dict
        `{"head": class id, "params": {...}}`; estimators and preprocessors among the
        parameters are nested specs, tuples are lists.

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
    if _CLASSES.get(name) is not type(head):
        raise InvalidInputError(
            three_parts(
                expected="a head that can be saved: " + ", ".join(_CLASSES),
                got=name,
                cure="use one of these, or keep the fitted head in memory",
            )
        )
    params = head.get_params(deep=False)
    return {
        "head": name,
        "params": {key: _encode(value, key) for key, value in params.items()},
    }


def head_from_spec(spec: Mapping[str, Any]) -> RewardHead:
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
    if not isinstance(name, str) or name not in _CLASSES:
        raise IntegrityError(
            three_parts(
                expected="one of the heads " + ", ".join(_CLASSES),
                got=f"head {str(name)[:60]!r}",
                cure="check where the file comes from, or upgrade embrm",
            )
        )
    cls, renamed = _CLASSES[name], _RENAMED.get(name, {})
    known = set(inspect.signature(cls).parameters)
    if isinstance(params, Mapping):
        params = {renamed.get(key, key): value for key, value in params.items()}
    if not isinstance(params, Mapping) or not set(params) <= known:
        raise IntegrityError(
            three_parts(
                expected=f"parameters of {name}: {', '.join(sorted(known))}",
                got="others",
                cure="check where the file comes from, or upgrade embrm",
            )
        )
    return cls(**{key: _decode(value) for key, value in params.items()})


def _encode(value: Any, name: str) -> Any:
    """Encode a parameter; heads inside a head become nested specs."""
    if isinstance(value, RewardHead):
        return head_spec(value)
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


def _make_classification(word: str, **params: Any) -> ClassificationReward:
    own = set(inspect.signature(ClassificationReward).parameters) - {"estimator"}
    of_head = {key: value for key, value in params.items() if key in own}
    of_estimator = {key: value for key, value in params.items() if key not in own}
    of_estimator |= of_head.pop("estimator_params", None) or {}
    return ClassificationReward(word, estimator_params=of_estimator or None, **of_head)
