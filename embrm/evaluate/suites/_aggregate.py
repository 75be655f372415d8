"""One reward of the rewards of steps, as process reward models give them."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from embrm._validation import as_numbers, check_choice
from embrm.exceptions import invalid_input


def _geometric_mean(steps: Sequence[float]) -> float:
    return math.prod(steps) ** (1 / len(steps))


def _mean(steps: Sequence[float]) -> float:
    return sum(steps) / len(steps)


def _odds(steps: Sequence[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    p = np.asarray(steps, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return p / (1 - p)


def _mean_logit(steps: Sequence[float]) -> float:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return float(1 / (1 + np.exp(-np.mean(np.log(_odds(steps))))))


def _mean_odd(steps: Sequence[float]) -> float:
    return float(np.maximum(0, np.mean(_odds(steps))))


AGGREGATORS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "prod": math.prod,
    "geometric_mean": _geometric_mean,
    "mean": _mean,
    "mean_logit": _mean_logit,
    "mean_odd": _mean_odd,
    "last": lambda steps: steps[-1],
}


def aggregate_steps(steps: Sequence[float], aggregate: str) -> float:
    r"""Make one reward of the rewards of a response's steps.

    Parameters
    ----------
    steps : sequence of float
        In [0, 1] for `geometric_mean`, `mean_logit` and `mean_odd`.
    aggregate : str
        `min`, `max`, `prod`, `geometric_mean`, `mean`, `last`; `mean_logit`
        :math:`\sigma(\mathrm{mean} \log \frac{p}{1-p})`; `mean_odd`
        :math:`\max(0, \mathrm{mean} \frac{p}{1-p})`. Kim et al. (2024),
        arXiv:2410.01729.

    Returns
    -------
    float
        NaN where there is no step, or one of them is NaN.

    Raises
    ------
    InvalidInputError
        On an unknown name, steps that are no numbers, or probabilities out of [0, 1].

    Examples
    --------
    >>> aggregate_steps([0.5, 0.8], "prod"), aggregate_steps([0.5, 0.8], "last")
    (0.4, 0.8)
    """
    check_choice(aggregate, "aggregate", tuple(AGGREGATORS))
    values = [float(v) for v in as_numbers(steps, "rewards of steps").ravel()]
    if not values or any(map(math.isnan, values)):
        return math.nan
    needs_probability = aggregate in ("geometric_mean", "mean_logit", "mean_odd")
    if needs_probability and not all(0 <= v <= 1 for v in values):
        raise invalid_input(
            f"rewards of steps in [0, 1] for aggregate={aggregate!r}",
            "others",
            "pass probabilities, or choose min, max, mean or last",
        )
    return float(AGGREGATORS[aggregate](values))
