"""`check_head` runs all checks of a head; here those of what it learns and refuses."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from embrm.exceptions import invalid_input
from embrm.heads.base import order_consistency
from embrm.pairs import Pairs
from embrm.testing._contract import CONTRACT_CHECKS, SELECTION_CHECKS, STORAGE_CHECKS
from embrm.testing._output import EQUIVALENCE_CHECKS, OUTPUT_CHECKS
from embrm.testing._samples import (
    Sample,
    expect,
    expect_close,
    expect_refusal,
    fitted_sample,
    fresh,
    make_sample,
    tolerance_of,
)

_ENOUGH = 0.8


def a_planted_reward_is_learned(head: Any) -> None:
    """Expect held-out prompts to be ordered as a planted reward orders them."""
    s = make_sample(n_prompts=80, n_responses=4, error_rate=0.0)
    n_train = 2 * len(s.pairs) // 3
    fitted = fresh(head).fit(s.pairs[:n_train], s.y[:n_train])
    test = s.pairs[n_train:]
    consistency = order_consistency(fitted.decision_function(test), s.y[n_train:])
    expect(
        consistency > _ENOUGH,
        f"held-out order consistency is {consistency:.3f}, not above {_ENOUGH}",
    )


def one_pair_is_enough(head: Any) -> None:
    """Expect one pair to give finite rewards, and no preference for the loser."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs[:1])
    expect(np.isfinite(fitted.reward(s.items)).all(), "rewards are finite")
    delta = float(fitted.decision_function(s.pairs[:1])[0])
    expect(delta >= 0, f"the only winner gets a delta of {delta:.3g}")


def contradictions_are_taken(head: Any) -> None:
    """Expect pairs with both labels, or with ties alone, to give finite rewards."""
    s = make_sample()
    both = np.concatenate([np.arange(len(s.y))] * 2)
    fitted = fresh(head).fit(s.pairs[both], np.repeat([1, 0], len(s.y)))
    expect(np.isfinite(fitted.reward(s.items)).all(), "contradictions: finite rewards")
    tied = fresh(head).fit(s.pairs, np.full(len(s.y), 0.5))
    expect(np.isfinite(tied.reward(s.items)).all(), "ties: finite rewards")


def separable_pairs_are_taken(head: Any) -> None:
    """Expect data that a head can order perfectly to give finite rewards."""
    s = make_sample(error_rate=0.0)
    fitted = fresh(head).fit(s.pairs, s.y)
    expect(np.isfinite(fitted.reward(s.items)).all(), "rewards are finite")
    expect(np.isfinite(fitted.predict_proba(s.pairs)).all(), "proba is finite")


def extreme_items_stay_finite(head: Any) -> None:
    """Expect items ten thousand times as large to give finite rewards."""
    s = make_sample()
    large = Pairs(1e4 * s.items, s.pairs.ids, s.pairs.prompt_ids)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        fitted = fresh(head).fit(large, s.y)
        reward = fitted.reward(1e4 * s.items)
        proba = fitted.predict_proba(Pairs(1e8 * s.items, s.pairs.ids))
    expect(np.isfinite(reward).all(), "rewards of large items are finite")
    expect(np.isfinite(proba).all(), "probabilities of large items are finite")


def a_margin_is_respected_or_refused(head: Any) -> None:
    """Expect a margin to widen the winners' delta, or to be refused."""
    s = make_sample()
    plain = fresh(head).fit(s.pairs, s.y).decision_function(s.pairs)
    zero = fresh(head).fit(s.pairs, s.y, margin=np.zeros(len(s.y)))
    expect_close(
        zero.decision_function(s.pairs),
        plain,
        "margin 0 is no margin",
        tolerance=tolerance_of(head),
    )
    margin = np.full(len(s.y), 2.0)
    if not head.accepts_margin:
        expect_refusal(
            lambda: fresh(head).fit(s.pairs, s.y, margin=margin),
            "margin",
            claim="a head that cannot represent margins refuses them",
        )
        return
    wide = fresh(head).fit(s.pairs, s.y, margin=margin).decision_function(s.pairs)
    side = 2 * s.y - 1
    expect(
        np.mean(side * wide) > np.mean(side * plain),
        "a margin widens the winners' mean delta",
    )


LEARNING_CHECKS = (
    a_planted_reward_is_learned,
    one_pair_is_enough,
    contradictions_are_taken,
    separable_pairs_are_taken,
    extreme_items_stay_finite,
    a_margin_is_respected_or_refused,
)


def _spoiled(sample: Sample, value: float) -> Pairs:
    items = sample.items.copy()
    items[int(sample.pairs.first[0]), 0] = value
    return Pairs(items, sample.pairs.ids, sample.pairs.prompt_ids)


def nan_in_items_is_refused(head: Any) -> None:
    """Refuse NaN in a training item, or in an item to score."""
    s = make_sample()
    bad = _spoiled(s, np.nan)
    expect_refusal(lambda: fresh(head).fit(bad, s.y), "finite", claim="NaN in fit")
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(lambda: fitted.reward(bad.items), "finite", claim="NaN in reward")
    expect_refusal(
        lambda: fitted.decision_function(bad), "finite", claim="NaN in delta"
    )


def infinity_in_items_is_refused(head: Any) -> None:
    """Refuse infinity in a training item, or in an item to score."""
    s = make_sample()
    bad = _spoiled(s, np.inf)
    expect_refusal(lambda: fresh(head).fit(bad, s.y), "finite", claim="infinity in fit")
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(
        lambda: fitted.reward(bad.items), "finite", claim="infinity in reward"
    )


def no_pairs_are_refused(head: Any) -> None:
    """Refuse a fit on no pairs."""
    s = make_sample()
    expect_refusal(
        lambda: fresh(head).fit(s.pairs[:0], s.y[:0]), "one pair", claim="no pairs"
    )


def another_width_is_refused(head: Any) -> None:
    """Refuse items of another d than in fit."""
    fitted, s = fitted_sample(head)
    narrow = s.items[:, :-1]
    expect_refusal(lambda: fitted.reward(narrow), "d = ", claim="wrong d in reward")
    expect_refusal(
        lambda: fitted.predict_proba(Pairs(narrow, s.pairs.ids)),
        "d = ",
        claim="wrong d in predict_proba",
    )


def items_instead_of_pairs_are_refused(head: Any) -> None:
    """Refuse items where pairs belong, with a message that names reward(X)."""
    fitted, s = fitted_sample(head)
    for method in (fitted.predict, fitted.decision_function, fitted.predict_proba):
        expect_refusal(partial(method, s.items), "reward(X)", claim="2-D items")


def pairs_instead_of_items_are_refused(head: Any) -> None:
    """Refuse pairs where items belong."""
    fitted, s = fitted_sample(head)
    expect_refusal(
        lambda: fitted.reward(s.dense), "(n_items, d)", claim="3-D pairs in reward"
    )


def frames_are_refused(head: Any) -> None:
    """Refuse a frame of text, with a message that names RewardModel."""
    frame = pd.DataFrame({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})
    expect_refusal(lambda: fresh(head).fit(frame), "RewardModel", claim="a frame")


def an_item_against_itself_is_refused(head: Any) -> None:
    """Refuse a training pair of an item with itself."""
    s = make_sample()
    bad = Pairs(s.items, np.vstack([s.pairs.ids, [[3, 3]]]))
    expect_refusal(
        lambda: fresh(head).fit(bad), "two different items", claim="a self pair"
    )


def labels_out_of_range_are_refused(head: Any) -> None:
    """Refuse labels of -1, above 1, NaN, or that are no numbers."""
    s = make_sample()
    for value in (-1.0, 1.5, np.nan):
        bad = s.y.astype(float)
        bad[4] = value
        expect_refusal(
            partial(fresh(head).fit, s.pairs, bad), "y", claim=f"y = {value}"
        )
    words = np.where(s.y == 1, "first", "second")
    expect_refusal(
        lambda: fresh(head).fit(s.pairs, words), "numeric y", claim="labels of str"
    )


def labels_of_another_length_are_refused(head: Any) -> None:
    """Refuse one label fewer than pairs, in fit and in score."""
    s = make_sample()
    short = s.y[1:]
    expect_refusal(lambda: fresh(head).fit(s.pairs, short), "shape", claim="short y")
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(
        lambda: fitted.score(s.pairs, short), "shape", claim="short y in score"
    )


def bad_weights_are_refused(head: Any) -> None:
    """Refuse negative, missing, all-zero or too few weights."""
    s = make_sample()
    negative, missing = s.weight.copy(), s.weight.copy()
    negative[2], missing[2] = -1, np.nan
    for weight in (negative, missing, 0 * s.weight, s.weight[1:]):
        expect_refusal(
            partial(fresh(head).fit, s.pairs, s.y, sample_weight=weight),
            "sample_weight",
            claim="bad weights",
        )


def bad_margins_are_refused(head: Any) -> None:
    """Refuse negative, infinite or too few margins."""
    s = make_sample()
    n = len(s.y)
    for margin in (np.full(n, -1.0), np.full(n, np.inf), np.ones(n - 1)):
        expect_refusal(
            partial(fresh(head).fit, s.pairs, s.y, margin=margin),
            "margin",
            claim="bad margins",
        )


BAD_INPUT_CHECKS = (
    nan_in_items_is_refused,
    infinity_in_items_is_refused,
    no_pairs_are_refused,
    another_width_is_refused,
    items_instead_of_pairs_are_refused,
    pairs_instead_of_items_are_refused,
    frames_are_refused,
    an_item_against_itself_is_refused,
    labels_out_of_range_are_refused,
    labels_of_another_length_are_refused,
    bad_weights_are_refused,
    bad_margins_are_refused,
)


HeadCheck: TypeAlias = Callable[[Any], None]
"""Takes a head, which it clones; raises AssertionError if the head fails."""

_CHECKS: tuple[HeadCheck, ...] = (
    *OUTPUT_CHECKS,
    *EQUIVALENCE_CHECKS,
    *CONTRACT_CHECKS,
    *SELECTION_CHECKS,
    *BAD_INPUT_CHECKS,
    *LEARNING_CHECKS,
    *STORAGE_CHECKS,
)


def head_checks() -> Iterator[tuple[str, HeadCheck]]:
    """List every check by name, for `pytest.mark.parametrize`.

    Yields
    ------
    name : str
        The claim that is checked, e.g. "swapping_a_pair_negates_delta".
    check : callable
        Takes an unfitted head; raises AssertionError if the claim does not hold.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> checks = dict(head_checks())
    >>> checks["swapping_a_pair_negates_delta"](LinearBradleyTerry())
    """
    for check in _CHECKS:
        yield check.__name__, check


def check_head(head: Any, *, checks: Iterable[str] | None = None) -> None:
    """Check that a head keeps every promise that embrm makes about heads.

    scikit-learn's `check_estimator` checks nothing for estimators of pairs: it
    runs a single check on them. This runs all that are listed by `head_checks`, on
    clones of the head.

    Parameters
    ----------
    head : RewardHead
        An instance. A class attribute `check_tolerance` (default 1e-6) says how
        closely two equivalent fits must agree.
    checks : iterable of str, optional
        Names of the checks to run; None runs all.

    Raises
    ------
    AssertionError
        If a check fails; lists each failed check with its reason.
    InvalidInputError
        If `head` is a class, or a check is unknown.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> check_head(LinearBradleyTerry(), checks=["fit_returns_the_head"])
    """
    if isinstance(head, type):
        raise invalid_input(
            expected="an instance of a head",
            got=f"the class {head.__name__}",
            fix=f"pass {head.__name__}()",
        )
    known = dict(head_checks())
    names = list(known) if checks is None else list(checks)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise invalid_input(
            expected="names of checks: " + ", ".join(known),
            got=", ".join(unknown)[:80],
            fix="list the names with head_checks()",
        )
    reasons = [reason for name in names if (reason := _reason(name, known[name], head))]
    if reasons:
        raise AssertionError(
            f"{type(head).__name__} fails {len(reasons)} of {len(names)} checks:\n"
            + "\n".join(reasons)
        )


def _reason(name: str, check: HeadCheck, head: Any) -> str | None:
    """Run a check; return in one line why it failed, None if it passed."""
    try:
        check(head)
    except AssertionError as error:
        return f"  {name}: {_first_line(error)}"
    except Exception as error:  # noqa: BLE001 - a head under test may raise anything
        return f"  {name}: {type(error).__name__}: {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
