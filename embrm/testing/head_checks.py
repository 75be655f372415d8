"""The list of all checks of a head, and `check_head`, which runs them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from embrm.exceptions import invalid_input
from embrm.testing._contract import CONTRACT_CHECKS, SELECTION_CHECKS, STORAGE_CHECKS
from embrm.testing._data import BAD_INPUT_CHECKS, LEARNING_CHECKS
from embrm.testing._output import EQUIVALENCE_CHECKS, OUTPUT_CHECKS

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
