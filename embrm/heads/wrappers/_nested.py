"""Heads inside heads: make them, seed them, and store them with what wraps them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import clone

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons
from embrm.heads.registry import head_from_spec, head_spec, make_head
from embrm.heads.state import HeadState, Stored, StoredArray, StoredPart
from embrm.heads.validation_split import grouped_folds
from embrm.pairs import Pairs

_SPEC = "spec"
_INNER = "inner__"


def delta_of(head: RewardHead, items: FloatArray, ids: IntArray) -> FloatArray:
    """Compute a head's delta of pairs of rows of items, its cyclic part included."""
    if head.is_transitive:
        reward = head.reward(items)
        return np.asarray(reward[ids[:, 0]] - reward[ids[:, 1]])
    return np.asarray(head.decision_function(Pairs(items, ids)))


def ask_inner(name: str, combine: Callable[[Iterator[Any]], Any], doc: str) -> Any:
    """Make a property of a head with heads in it: theirs, combined by all, any, next.

    The head has `_list_heads`, which makes those in it, unfitted.
    """
    return property(
        lambda self: combine(getattr(head, name) for head in self._list_heads()),
        doc=doc,
    )


def name_annotators_of(heads: Sequence[RewardHead], names: AnyArray) -> None:
    """Set the annotators of fitted heads that estimate flip rates."""
    for head in heads:
        if head.estimates_noise:
            head._name_annotators(names)


def unfitted_head(head: Any) -> RewardHead:
    """Make a head from its name, or clone it.

    Parameters
    ----------
    head : str or RewardHead

    Returns
    -------
    RewardHead
        Unfitted, and not shared.

    Raises
    ------
    InvalidInputError
        If it is neither.

    Examples
    --------
    >>> unfitted_head("linear")
    LinearBradleyTerry()
    """
    made = make_head(head) if isinstance(head, str) else head
    if isinstance(made, RewardHead):
        copy: RewardHead = made if isinstance(head, str) else clone(made)
        return copy
    kind = getattr(made, "learns_from", None)
    if kind is not None and not isinstance(made, type):
        raise invalid_input(
            expected="a head that learns from pairs, inside another head",
            got=f"{type(made).__name__}, which learns from {kind}",
            fix="use it by itself, or put 'linear' inside",
        )
    raise invalid_input(
        expected="a head, or the name of one",
        got=type(head).__name__
        if not isinstance(head, type)
        else f"the class {head.__name__}",
        fix="pass 'linear', or an instance such as LinearBradleyTerry()",
    )


def has_randomness(head: RewardHead) -> bool:
    """Tell whether a head, or an estimator in it, takes a `random_state`."""
    names = head.get_params(deep=True)
    return any(name.rpartition("__")[2] == "random_state" for name in names)


def nested_state(head: RewardHead) -> HeadState:
    """Return spec and state of a fitted head, to be prefixed and joined to others.

    Raises
    ------
    InvalidInputError
        If the head is of a class that cannot be saved.
    """
    spec = HeadState(values={_SPEC: head_spec(head)})
    return spec | head.get_state().with_prefix(_INNER)


def restore_nested(state: HeadState) -> RewardHead:
    """Rebuild the fitted head that `nested_state` described.

    Raises
    ------
    IntegrityError
        If the spec names no known head, or the state lacks something.
    """
    head = head_from_spec(state.value(_SPEC, dict))
    restored: RewardHead = head.set_state(state.without_prefix(_INNER))
    return restored


def members_state(members: Sequence[RewardHead]) -> HeadState:
    """Return spec and state of several fitted heads, each with its number."""
    state = HeadState(values={"n_members": len(members)})
    for n, member in enumerate(members):
        state |= nested_state(member).with_prefix(f"member{n}__")
    return state


def restore_members(state: HeadState) -> list[RewardHead]:
    """Rebuild the fitted heads that `members_state` described.

    Raises
    ------
    IntegrityError
        If a member is not there, or lacks something.
    """
    n_members = state.value("n_members", int)
    prefixes = [f"member{n}__" for n in range(n_members)]
    return [restore_nested(state.without_prefix(prefix)) for prefix in prefixes]


STORED_MEMBERS = (
    StoredArray("center_", "members"),
    StoredArray("scale_", "members"),
    StoredPart(
        "members_", restore_members, write=members_state, prefix="", shape="members"
    ),
)
"""How heads store the members that they are made of, with their shift and scale."""


def mean_and_spread(reward: FloatArray) -> tuple[float, float]:
    """Return mean and standard deviation of rewards, 1 where they are all equal."""
    mean, spread = float(reward.mean()), float(reward.std())
    # Equal rewards have a deviation of some rounding errors, not of zero.
    equal = spread <= 1e-12 * float(np.max(np.abs(reward)))
    return mean, 1.0 if equal else spread


class HeldOut(NamedTuple):
    """Held-out wins: delta of winner and loser, weight, and number of the fold."""

    delta: FloatArray
    weight: FloatArray
    fold: IntArray


def score_out_of_fold(
    fit: Callable[[Comparisons], RewardHead], comparisons: Comparisons, n_folds: int
) -> HeldOut:
    """Score every fold's held-out wins by a head fitted on the others.

    Parameters
    ----------
    fit : callable
        Fits a new head to some of the comparisons.
    comparisons : Comparisons
    n_folds : int, >= 2
        Of whole prompt groups; see `grouped_folds`.

    Returns
    -------
    HeldOut
        In the same order for every head; empty where the wins cannot be divided.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads import LinearBradleyTerry
    >>> from embrm.heads.comparisons import make_comparisons
    >>> items = np.arange(12.0)[:, None]
    >>> pairs = Pairs(items, np.arange(12).reshape(6, 2))
    >>> held_out = score_out_of_fold(
    ...     LinearBradleyTerry(alpha=1.0).fit_comparisons, make_comparisons(pairs), 3
    ... )
    >>> held_out.fold
    array([0, 0, 1, 1, 2, 2])
    >>> bool((held_out.delta > 0).all())  # the first item was preferred in each fold
    True
    """
    parts = []
    for n, (train, held_out) in enumerate(grouped_folds(comparisons, n_folds)):
        wins = comparisons.take(held_out)
        head = fit(comparisons.take(train))
        rows, ends = np.unique([wins.winner, wins.loser], return_inverse=True)
        delta = delta_of(head, wins.items[rows], ends.reshape(2, -1).T)
        parts.append((delta, wins.weight, np.full(len(wins), n)))
    if not parts:
        return HeldOut(np.empty(0), np.empty(0), np.empty(0, dtype=np.intp))
    return HeldOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class HeadWrapper(RewardHead):
    """Base of the wrappers around one head, which is cloned and kept as `head_`.

    Parameters
    ----------
    head : str or RewardHead, default="linear"
        A name that `known_heads` lists, or a head, which is cloned.
    preprocessor : scikit-learn transformer, optional
        Acts on items before the head sees them.

    Attributes
    ----------
    head_ : RewardHead
        The fitted head.
    """

    _stored: ClassVar[Sequence[Stored]] = (
        StoredPart("head_", restore_nested, write=nested_state),
    )

    def __init__(self, head: Any = "linear", *, preprocessor: Any = None) -> None:
        super().__init__(preprocessor=preprocessor)
        self.head = head

    learns_from = ask_inner("learns_from", next, "What the wrapped head is fitted on.")
    is_transitive = ask_inner(
        "is_transitive",
        next,
        "Whether the sign of the wrapped head's delta follows from its rewards.",
    )
    accepts_margin = ask_inner(
        "accepts_margin", next, "Whether the wrapped head takes a positive `margin`."
    )
    estimates_noise = ask_inner(
        "estimates_noise", next, "Whether the wrapped head estimates flip rates."
    )

    def _list_heads(self) -> list[RewardHead]:
        return [unfitted_head(self.head)]

    def _name_annotators(self, names: AnyArray) -> None:
        name_annotators_of([self.head_], names)

    def _inner_delta(self, pairs: Any) -> FloatArray:
        """Compute the fitted head's own delta of pairs."""
        X, ids = self._items_of(pairs)
        return delta_of(self.head_, self._preprocessed(X), ids)

    def _fit_head(self, comparisons: Comparisons) -> RewardHead:
        return unfitted_head(self.head).fit_comparisons(comparisons)
