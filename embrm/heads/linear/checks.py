"""Checks of the linear head's own parameters."""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.linear.plan import FitPlan, Link, Ties
from embrm.heads.parameters import check_count, check_number_or, check_real


def check_parameters(params: Mapping[str, Any], n_margins: int) -> FitPlan:
    """Check the parameters of a `LinearBradleyTerry`, and say what to fit.

    Parameters
    ----------
    params : mapping
        By name.
    n_margins : int
        How many wins have a margin, which no tie model takes.

    Returns
    -------
    FitPlan
        To be started from zero.

    Raises
    ------
    InvalidInputError
        If one is unknown or out of range, or two exclude each other.
    """
    check_word(params["link"], "link", get_args(Link))
    _check_ties(params, n_margins)
    alpha = check_number_or(params["alpha"], "alpha", "auto", np.inf)
    above_one = float(np.nextafter(1.0, 2.0))
    whitening = check_real(
        params["whitening"], "whitening", 0.0, above_one, open_at_low=False
    )
    effects = check_automatic(params["prompt_effects"], "prompt_effects", alpha)
    if effects and whitening > 0:
        raise wrong(
            "whitening=0 with prompt_effects=True",
            f"whitening={whitening:g}",
            "leave one of them at its default",
        )
    return FitPlan(
        alpha=alpha,
        whitening=whitening,
        standardise=check_automatic(params["standardise"], "standardise", alpha),
        link=params["link"],
        ties=params["ties"],
        start=None,
        posterior=bool(params["posterior"]),
        tol=check_real(params["tol"], "tol", 0.0, open_at_low=True),
        max_iter=check_count(params["max_iter"], "max_iter", 1),
        prompt_effects=False if whitening > 0 else effects,
    )


def _check_ties(params: Mapping[str, Any], n_margins: int) -> None:
    if params["ties"] is None:
        return
    check_word(params["ties"], "ties", get_args(Ties))
    if params["link"] != "logit" or params["noise"] is not None:
        raise wrong(
            "ties with link='logit' and noise=None",
            f"link={params['link']!r}, noise={params['noise']!r}",
            "use ties=None, which counts a tie as half a win each way",
        )
    if n_margins:
        raise wrong(
            "ties without margins",
            f"{n_margins} positive margins",
            "drop margin, or use ties=None",
        )


def check_word(value: Any, name: str, words: tuple[str, ...]) -> None:
    """Refuse a value that is none of the words."""
    if value not in words:
        raise wrong(
            f"{name}: one of {', '.join(words)}",
            repr(value)[:40],
            f"leave {name} at its default",
        )


def wrong(expected: str, got: str, cure: str) -> InvalidInputError:
    """Make the error with its three parts."""
    return InvalidInputError(three_parts(expected=expected, got=got, cure=cure))


def check_automatic(value: Any, name: str, alpha: float | None) -> bool | None:
    """Read a switch; None if it is chosen by held-out loss, as alpha is."""
    if isinstance(value, str):
        check_word(value, name, ("auto",))
        return None if alpha is None else False
    return bool(value)
