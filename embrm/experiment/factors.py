"""The factors of a grid: what may be passed, its canonical form, names in the rows."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np

from embrm._typing import AnyArray
from embrm._validation import check_count, check_share, type_name
from embrm.exceptions import InvalidInputError, invalid_input
from embrm.heads.registry import make_head
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator, as_annotator
from embrm.simulate.design import PairingDesign, as_design
from embrm.simulate.simulation import calibrate

_BLOCK_BYTES = 1 << 24
Factor: TypeAlias = Mapping[str, Any] | Iterable[Any]
"""Levels of a factor: by name, or in a sequence, which names them itself."""

LookedUp: TypeAlias = tuple[Annotator, Annotator | None]
"""An annotator for the training pool, and for the test pool if it knows that."""

_LONGEST = 60


def canonical(value: Any, name: str) -> Any:
    """Write a parameter as JSON that is equal exactly where the parameter is.

    Parameters
    ----------
    value : object
        Plain data, arrays (of which the digest is kept), dataclasses such as designs
        and annotators, scikit-learn estimators such as heads, and lists, tuples and
        dicts of these.
    name : str
        What it is, for the error.

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    InvalidInputError
        If it is anything else: changes to it could not be detected.

    Examples
    --------
    >>> from embrm.simulate import SamePrompt
    >>> canonical(SamePrompt(), "design")
    {'class': 'embrm.simulate.pairing.SamePrompt', 'fields': {'replacement': False}}
    """
    if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    ):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list | tuple):
        return [canonical(part, f"{name}[{n}]") for n, part in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        parts = {key: canonical(value[key], f"{name}[{key!r}]") for key in value}
        return {"mapping": parts}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufSU":
        return {"array": array_digest(value)}
    return _canonical_object(value, name)


def digest_of(value: Any) -> str:
    """Digest of canonical JSON: 32 hexadecimal digits, the same in every process.

    Examples
    --------
    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    return hashlib.blake2b(canonical_bytes(value), digest_size=16).hexdigest()


def canonical_bytes(value: Any) -> bytes:
    """Write canonical JSON: sorted keys, no spaces, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def array_digest(array: AnyArray) -> str:
    """Digest of the dtype, shape and content of an array, whatever its strides.

    Examples
    --------
    >>> columns = np.eye(2)[:, ::-1]
    >>> array_digest(columns) == array_digest(np.array([[0.0, 1.0], [1.0, 0.0]]))
    True
    """
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(canonical_bytes([array.dtype.str, list(array.shape)]))
    for start in range(0, len(array), step := rows_at_a_time(array)):
        hasher.update(np.ascontiguousarray(array[start : start + step]).data)
    return hasher.hexdigest()


def rows_at_a_time(array: AnyArray) -> int:
    """How many rows of an array are about 16 MB."""
    row = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
    return max(1, _BLOCK_BYTES // row)


def _canonical_object(value: Any, name: str) -> dict[str, Any]:
    """Write a dataclass or an estimator by its class and parameters."""
    cls = type(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        kind = "fields"
    elif hasattr(value, "get_params") and not isinstance(value, type):
        parts = value.get_params(deep=False)
        kind = "params"
    else:
        raise invalid_input(
            f"a {name} that can be written down: plain data, arrays, dataclasses and "
            "estimators of these",
            f"a {cls.__name__}",
            "replace it by plain data (an integer for random_state), a function by a "
            "dataclass with __call__ whose fields are its parameters",
        )
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        kind: {key: canonical(part, f"{name}.{key}") for key, part in parts.items()},
    }


@dataclass(frozen=True)
class AtErrorRate:
    """An annotator whose noise is set, for each design, to err at a given rate.

    Parameters
    ----------
    annotator : Annotator
        With a noise parameter: see `calibrate`.
    error_rate : float in [0, 0.5]
        Wanted share of labels that disagree with gold, on the pairs that the design
        draws in the training pool.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator
    >>> AtErrorRate(BradleyTerryAnnotator(), 0.3).error_rate
    0.3
    """

    annotator: Annotator
    error_rate: float

    def __post_init__(self) -> None:
        as_annotator(self.annotator)
        check_share(self.error_rate, "error_rate", high=0.5)


def designs_of(factor: Factor | PairingDesign) -> dict[str, PairingDesign]:
    """Name the pairing designs of a grid."""
    return _named(factor, "designs", as_design)


def annotators_of(
    factor: Factor | Annotator | AtErrorRate,
) -> dict[str, Annotator | AtErrorRate]:
    """Name the annotators of a grid, with a target error rate or without."""
    return _named(factor, "annotators", _as_annotator)


def heads_of(factor: Factor | str) -> dict[str, Any]:
    """Name the heads of a grid; a name is made into a head by `make_head`.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> list(heads_of(["linear", LinearBradleyTerry(alpha=1.0)]))
    ['linear', 'LinearBradleyTerry(alpha=1.0)']
    """
    return _named(factor, "heads", _as_head)


def counts_of(values: Iterable[int] | int, name: str, low: int) -> tuple[int, ...]:
    """Take distinct integers >= low: budgets, seeds, sizes of a choice."""
    given = [values] if isinstance(values, int | np.integer) else list(values)
    counts = tuple(check_count(value, name, low) for value in given)
    if len(set(counts)) < len(counts) or not counts:
        raise invalid_input(
            f"{name}: one integer or more, all different",
            f"{len(counts)}, of which {len(set(counts))} are different",
            f"pass each of {name} once",
        )
    return counts


def name_of(level: Any) -> str:
    """Name a level of a factor: its word, or its class and what is set in it.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator, SamePrompt
    >>> name_of(SamePrompt()), name_of(BradleyTerryAnnotator(beta=2.0))
    ('SamePrompt', 'BradleyTerryAnnotator(beta=2.0)')
    >>> name_of(AtErrorRate(BradleyTerryAnnotator(), 0.25))
    'BradleyTerryAnnotator at 25%'
    """
    if isinstance(level, str):
        return level
    if isinstance(level, AtErrorRate):
        return f"{name_of(level.annotator)} at {100 * level.error_rate:g}%"
    if not is_dataclass(level) or isinstance(level, type):
        return _shortened(" ".join(repr(level).split()).removesuffix("()"))
    parts = [
        f"{field.name}={_value(getattr(level, field.name))}"
        for field in fields(level)
        if not _is_default(getattr(level, field.name), field.default)
    ]
    return _shortened(type(level).__name__ + (f"({', '.join(parts)})" if parts else ""))


class AnnotatorLevel:
    """An annotator, and what becomes of it in two pools.

    Parameters
    ----------
    level : Annotator or AtErrorRate
    train_pool, test_pool : CandidatePool
        It must fit the first: the second it may not know, as an annotator with a
        covariate of the training items does not.

    Attributes
    ----------
    target : float
        Error rate it is set to; NaN where its noise is given.
    content : dict
        Canonical form.

    Raises
    ------
    InvalidInputError
        If it does not fit the training pool, or cannot be written down.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.simulate import BradleyTerryAnnotator, SamePrompt
    >>> gold = np.random.default_rng(0).normal(size=(2, 400))
    >>> train, test = (
    ...     CandidatePool(np.ones((400, 1)), np.arange(400) // 4, gold=g) for g in gold
    ... )
    >>> level = AnnotatorLevel(AtErrorRate(BradleyTerryAnnotator(), 0.2), train, test)
    >>> set_in_train, set_in_test = level.for_design("same", SamePrompt())
    >>> round(set_in_train.beta, 2), set_in_test == set_in_train
    (1.67, True)
    """

    def __init__(
        self,
        level: Annotator | AtErrorRate,
        train_pool: CandidatePool,
        test_pool: CandidatePool,
    ) -> None:
        self._annotator, rate = (
            (level.annotator, level.error_rate)
            if isinstance(level, AtErrorRate)
            else (level, None)
        )
        self.target = float("nan") if rate is None else float(rate)
        self._calibrated = rate is not None
        self._pools = train_pool, test_pool
        self._set: dict[str, LookedUp | InvalidInputError] = {}
        # Once: the lengths of many texts take longer than a cell.
        self._looked_up = self._look_up(self._annotator)
        self.content: dict[str, Any] = {
            "train": canonical(self._looked_up[0], "annotator"),
            "test": canonical(self._looked_up[1], "annotator"),
            "error_rate": self.target if self._calibrated else None,
        }

    def for_design(self, name: str, design: PairingDesign) -> LookedUp:
        """Set the noise for a design; return the annotator in train and in test.

        Raises
        ------
        InvalidInputError
            If the error rate cannot be met on that design's pairs.
        """
        if not self._calibrated:
            return self._looked_up
        if name not in self._set:
            self._set[name] = self._calibrate(design)
        found = self._set[name]
        if isinstance(found, InvalidInputError):
            raise found
        return found

    def _calibrate(self, design: PairingDesign) -> LookedUp | InvalidInputError:
        train = self._pools[0]
        try:
            annotator = calibrate(
                self._annotator, train, design, self.target, random_state=0
            )
        except InvalidInputError as error:
            return error
        return self._look_up(annotator)

    def _look_up(self, annotator: Annotator) -> LookedUp:
        train, test = self._pools
        try:
            in_test = annotator.for_pool(test)
        except InvalidInputError:
            in_test = None
        return annotator.for_pool(train), in_test


def _named(factor: Any, what: str, check: Callable[[Any], Any]) -> dict[str, Any]:
    if isinstance(factor, Mapping):
        named = {str(name): check(level) for name, level in factor.items()}
    else:
        single = isinstance(factor, str) or not isinstance(factor, Iterable)
        named = {}
        for level in [factor] if single else factor:
            named[_unused(name_of(level), named)] = check(level)
    if not named:
        raise invalid_input(f"at least one of {what}", "none", f"pass {what}=[...]")
    return named


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """Find a name that is not taken, by a number behind it."""
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name} ({count})"
    return free


def _as_annotator(level: Any) -> Annotator | AtErrorRate:
    return level if isinstance(level, AtErrorRate) else as_annotator(level)


def _as_head(level: Any) -> Any:
    head = make_head(level) if isinstance(level, str) else level
    methods = ("fit", "reward", "decision_function", "get_params")
    if isinstance(head, type) or not all(hasattr(head, name) for name in methods):
        raise invalid_input(
            "a head, or its name",
            type_name(head),
            "e.g. heads=['linear', LinearBradleyTerry(alpha=1.0)]",
        )
    learns_from = getattr(head, "learns_from", "pairs")
    if learns_from != "pairs":
        raise invalid_input(
            "heads that learn from pairs, which annotators label",
            f"{type(head).__name__}, which learns from {learns_from}",
            "choose a head that embrm heads lists as learning from pairs",
        )
    return head


def _is_default(value: Any, default: Any) -> bool:
    return default is not MISSING and type(value) is type(default) and value == default


def _value(value: Any) -> str:
    """Write a value into a name; an array only by its shape."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return name_of(value) if is_dataclass(value) else repr(value)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
