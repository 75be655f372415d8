"""Strategies by name, for command lines and tables."""

from collections.abc import Callable, Mapping

from embrm._validation import shown
from embrm.active.duels import DoubleThompson, MaxMinLCB, ReversedThompson
from embrm.active.optimal import BatchBALD, DOptimal, VOptimal
from embrm.active.prompt_entropy import PromptEntropy
from embrm.active.strategy import Strategy
from embrm.active.values import (
    Coreset,
    DeltaUCB,
    Entropy,
    ExplorationPair,
    InfoMax,
    MaxDifference,
    NoisyLevelSet,
    RandomPairs,
)
from embrm.exceptions import invalid_input

_MAKERS: Mapping[str, Callable[[], Strategy]] = {
    "random": RandomPairs,
    "entropy": Entropy,
    "noisy-level-set": NoisyLevelSet,
    "max-difference": MaxDifference,
    "d-optimal": DOptimal,
    "d-optimal-prior": lambda: DOptimal(past_aware=False),
    "v-optimal": VOptimal,
    "coreset": Coreset,
    "batch-bald": BatchBALD,
    "double-thompson": DoubleThompson,
    "reversed-thompson": ReversedThompson,
    "delta-ucb": DeltaUCB,
    "max-min-lcb": MaxMinLCB,
    "info-max": InfoMax,
    "exploration-pair": ExplorationPair,
    "prompt-entropy": lambda: PromptEntropy(ExplorationPair()),
}
DEFAULT_STRATEGY = "v-optimal"


def known_strategies() -> tuple[str, ...]:
    """List the names that `make_strategy` takes.

    Examples
    --------
    >>> known_strategies()[:2]
    ('random', 'entropy')
    """
    return tuple(_MAKERS)


def make_strategy(name: str | Strategy) -> Strategy:
    """Make a strategy by its name; one that is made already stays as it is.

    Raises
    ------
    InvalidInputError
        If no strategy has that name.

    Examples
    --------
    >>> make_strategy("d-optimal")
    DOptimal(past_aware=True)
    """
    if isinstance(name, Strategy):
        return name
    if name not in _MAKERS:
        raise invalid_input(
            f"a strategy: {', '.join(_MAKERS)}", shown(name), "choose one of these"
        )
    return _MAKERS[name]()
