"""Grids of experiments from YAML files: read, checked, and made into objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm.active import StrategyDesign, known_strategies
from embrm.evaluate import prompt_train_test_split
from embrm.exceptions import invalid_input
from embrm.experiment.factors import AtErrorRate
from embrm.experiment.grid import (
    count_at,
    counts_at,
    read_yaml,
    share_at,
    shortly,
    under,
    wrong_at,
)
from embrm.heads.registry import make_head
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import PairingDesign
from embrm.simulate.registry import (
    ANNOTATORS,
    design_from_spec,
    make_annotator,
    make_design,
    name_and_params,
    with_lengths,
)

_FACTORS = ("designs", "annotators", "budgets", "heads", "seeds")
_SETTINGS = ("best_of_n", "n_resamples")
_NEEDED = ("annotators", "budgets", "heads")
KEYS = (*_FACTORS, "test_share", "split_seed", *_SETTINGS)
"""The keys of a grid file."""


@dataclass(frozen=True)
class GridConfig:
    """The content of a grid file: factors of an experiment, and the split of a pool.

    Attributes
    ----------
    designs : dict of str to PairingDesign
    annotators : dict of str to Annotator or AtErrorRate
    budgets : tuple of int
        Numbers of training pairs.
    heads : dict of str to RewardHead
        Unfitted.
    seeds : tuple of int
    test_share : float in (0, 1)
        Share of the prompts that are held out for testing.
    split_seed : int
        Which ones.
    best_of_n : tuple of int
        Sizes of the choice for which the gold of the pick is computed.
    n_resamples : int
        Of the test prompts, for the intervals of each cell.
    """

    designs: dict[str, PairingDesign]
    annotators: dict[str, Annotator | AtErrorRate]
    budgets: tuple[int, ...]
    heads: dict[str, Any]
    seeds: tuple[int, ...]
    test_share: float = 0.25
    split_seed: int = 0
    best_of_n: tuple[int, ...] = (2, 4, 8, 16)
    n_resamples: int = 1000

    @property
    def n_cells(self) -> int:
        """Number of heads that are fitted in all."""
        n_tasks = len(self.designs) * len(self.annotators) * len(self.budgets)
        return n_tasks * len(self.heads) * len(self.seeds)

    @property
    def options(self) -> dict[str, Any]:
        """What `Experiment` takes by name."""
        return {name: getattr(self, name) for name in (*_FACTORS, *_SETTINGS)}

    def describe(self) -> str:
        """Say in one line how large the grid is.

        Examples
        --------
        >>> grid_from_mapping(
        ...     {"annotators": "perfect", "budgets": [100, 500], "heads": "linear"}
        ... ).describe()
        '6 cells: 1 design x 1 annotator x 2 budgets x 1 head x 3 seeds'
        """
        sizes = {name: len(getattr(self, name)) for name in _FACTORS}
        parts = [f"{n} {name[:-1] if n == 1 else name}" for name, n in sizes.items()]
        cells = "cell" if self.n_cells == 1 else "cells"
        return f"{self.n_cells:,} {cells}: {' x '.join(parts)}"

    def split(self, prompt_ids: AnyArray) -> tuple[IntArray, IntArray]:
        """Split the rows of a pool by prompt, to train in and to test on.

        Parameters
        ----------
        prompt_ids : ndarray of shape (n_items,)

        Returns
        -------
        train, test : ndarray of int
            Rows, ascending.

        Raises
        ------
        InvalidInputError
            If a side would have no prompt.
        """
        return prompt_train_test_split(
            prompt_ids, test_size=self.test_share, random_state=self.split_seed
        )

    def with_lengths(self, lengths: FloatArray) -> "GridConfig":
        """Copy this grid for a pool that knows lengths of responses, and no texts.

        Parameters
        ----------
        lengths : ndarray of shape (n_items,)
            Of the training pool: what biased annotators take for `length`.
        """
        annotators = {
            name: replace(level, annotator=with_lengths(level.annotator, lengths))
            if isinstance(level, AtErrorRate)
            else with_lengths(level, lengths)
            for name, level in self.annotators.items()
        }
        return replace(self, annotators=annotators)

    def check_budgets(self, train_pool: CandidatePool) -> None:
        """Refuse budgets that a design cannot meet, before anything is fitted.

        Raises
        ------
        InvalidInputError
            Names the budget and the design.
        """
        for name, design in self.designs.items():
            possible = design.max_pairs(train_pool)
            for n, budget in enumerate(self.budgets):
                if budget > possible and not (design.replacement and possible):
                    raise wrong_at(
                        f"budgets[{n}]",
                        f"at most {possible:,} pairs, all that {name!r} has in the "
                        "training prompts",
                        f"{budget:,}",
                        "lower the budget or test_share, enlarge the pool, or set "
                        "replacement: true for that design",
                    )


def read_grid(path: str | Path) -> GridConfig:
    """Read a grid from a YAML file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    GridConfig

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or has an unknown key; the message names the
        file and the path of the key.

    Notes
    -----
    All keys, with their defaults where they have one:

    .. code-block:: yaml

        designs: same-prompt            # the default
        annotators:                     # needed
          - perfect
          - {bradley-terry: {error_rate: [0.1, 0.2, 0.3, 0.4]}}
          - {bradley-terry: {beta: 1.0}}
        budgets: [1000, 5000]           # needed: numbers of training pairs
        heads:                          # needed
          - linear
          - {lightgbm: {num_leaves: 15}}
        seeds: 3                        # the default; as 0, 1, 2; or a list
        test_share: 0.25                # the default: prompts held out
        split_seed: 0                   # the default: which ones
        best_of_n: [2, 4, 8, 16]        # the default: sizes of the choice
        n_resamples: 1000               # the default: for the intervals of a cell

    An `error_rate` sets the annotator's noise for each design; a list of them stands
    for that many annotators. A level that should have another name in the tables is
    given in a mapping: `heads: {my head: {linear: {alpha: 1.0}}}`.

    The name of a labelling strategy, such as `v-optimal` or `{d-optimal: {batch: 50}}`,
    is a design too: see `StrategyDesign`.
    """
    file = Path(path)
    with under(file.name):
        return grid_from_mapping(read_yaml(file))


def grid_from_mapping(given: Mapping[str, Any]) -> GridConfig:
    """Make a grid from the content of a YAML file: see `read_grid`.

    Examples
    --------
    >>> grid = grid_from_mapping(
    ...     {
    ...         "designs": ["same-prompt", {"mixed-prompt": {"share": 0.5}}],
    ...         "annotators": [{"bradley-terry": {"error_rate": [0.1, 0.3]}}],
    ...         "budgets": 1000,
    ...         "heads": {"ours": {"linear": {"alpha": 1.0}}},
    ...     }
    ... )
    >>> list(grid.designs)
    ['same-prompt', 'mixed-prompt(share=0.5)']
    >>> list(grid.annotators)
    ['bradley-terry at 10%', 'bradley-terry at 30%']
    >>> grid.heads
    {'ours': LinearBradleyTerry(alpha=1.0)}
    """
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        raise wrong_at(
            str(unknown[0])[:40],
            f"keys {', '.join(KEYS)}",
            "an unknown key",
            "check the spelling, or leave it out",
        )
    missing = [key for key in _NEEDED if key not in given]
    if missing:
        raise wrong_at(missing[0], "a value", "none", f"say which {missing[0]} to try")
    return GridConfig(
        designs=_levels("designs", given.get("designs", "same-prompt"), _design),
        annotators=_levels("annotators", given["annotators"], _annotators),
        budgets=counts_at("budgets", given["budgets"], low=1),
        heads=_levels("heads", given["heads"], _head),
        seeds=_seeds(given.get("seeds", 3)),
        test_share=share_at("test_share", given.get("test_share", 0.25)),
        split_seed=count_at("split_seed", given.get("split_seed", 0), low=0),
        best_of_n=counts_at("best_of_n", given.get("best_of_n", [2, 4, 8, 16]), low=1),
        n_resamples=count_at("n_resamples", given.get("n_resamples", 1000), low=1),
    )


def _levels(
    key: str, given: Any, make: Callable[[Any, str], dict[str, Any]]
) -> dict[str, Any]:
    """Make the levels of a factor: of one, of a list, or of a mapping by name."""
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list | dict) or not given:
        raise wrong_at(
            key,
            "a list, or a mapping from names",
            shortly(given),
            f"write {key}: [NAME, {{NAME: {{PARAMETER: VALUE}}}}]",
        )
    levels: dict[str, Any] = {}
    for at, spec in given.items() if isinstance(given, dict) else enumerate(given):
        if isinstance(given, dict):
            place = f"{key}.{str(at)[:40]}"
            made = _renamed(make(spec, place), str(at))
        else:
            place = f"{key}[{at}]"
            made = make(spec, place)
        for name, level in made.items():
            if name in levels:
                raise wrong_at(
                    place,
                    "levels with different names",
                    f"{name[:60]!r} twice",
                    f"drop one, or name them: {key}: {{NAME: SPEC, OTHER: SPEC}}",
                )
            levels[name] = level
    return levels


def _renamed(made: dict[str, Any], name: str) -> dict[str, Any]:
    """Rename what a spec makes to the user's name, with error rates where many."""
    if len(made) == 1:
        return {name: next(iter(made.values()))}
    return {f"{name}{_at(level.error_rate)}": level for level in made.values()}


def _design(spec: Any, place: str) -> dict[str, Any]:
    with under(place):
        kind, params = name_and_params(spec, "a pairing design")
        return {_name(kind, params): _made_design(kind, params)}


def _made_design(kind: str, params: Mapping[str, Any]) -> PairingDesign:
    """Make a design that draws at random, or one that goes by a strategy's name."""
    if kind not in known_strategies():
        return make_design(kind, **params)
    known = [one.name for one in fields(StrategyDesign) if one.name != "strategy"]
    unknown = [name for name in params if name not in known]
    if unknown:
        raise invalid_input(
            f"parameters of the strategy {kind!r}: {', '.join(known)}",
            repr(unknown[0])[:40],
            "check the spelling, or leave it out",
        )
    pairing = design_from_spec(params.get("pairing", "same-prompt"))
    return StrategyDesign(kind, **{**params, "pairing": pairing})


def _annotators(spec: Any, place: str) -> dict[str, Any]:
    """Make an annotator, or as many as there are error rates."""
    with under(place):
        kind, params = name_and_params(spec, "an annotator")
        if "error_rate" not in params:
            return {_name(kind, params): make_annotator(kind, **params)}
        rates = params.pop("error_rate")
        name, annotator = _name(kind, params), _noisy_annotator(kind, params)
    with under(f"{place}.{kind}.error_rate"):
        each = rates if isinstance(rates, list) else [rates]
        if not each:
            raise invalid_input("one error rate or more", "none", "write [0.1, 0.3]")
        levels = [AtErrorRate(annotator, rate) for rate in each]
    return {f"{name}{_at(level.error_rate)}": level for level in levels}


def _noisy_annotator(kind: str, params: dict[str, Any]) -> Annotator:
    """Make an annotator whose noise an error rate will set."""
    noise = getattr(ANNOTATORS.get(kind), "noise", None)
    if noise is not None and noise.name in params:
        raise invalid_input(
            f"either error_rate or {noise.name}, which it sets",
            "both",
            "leave one out",
        )
    # A rate has no default; this one is never used.
    start = {noise.name: noise.high} if noise is not None and kind in _RATED else {}
    annotator = make_annotator(kind, **params, **start)
    if annotator.noise_parameter() is None:
        raise invalid_input(
            "an annotator whose noise error_rate can set",
            f"{kind!r}, which has none",
            "leave error_rate out, or use bradley-terry or flip",
        )
    return annotator


def _head(spec: Any, place: str) -> dict[str, Any]:
    with under(place):
        kind, params = name_and_params(spec, "a head")
        return {_name(kind, params): _made_head(kind, params)}


def _made_head(kind: str, params: dict[str, Any]) -> Any:
    values = {key: _head_value(key, value) for key, value in params.items()}
    return make_head(kind, **values)


def _head_value(key: str, value: Any) -> Any:
    """Make a wrapper's heads, and lists tuples, as they are in Python."""
    if isinstance(value, list):
        return tuple(_head_value(key, part) for part in value)
    if key in ("head", "heads") and isinstance(value, dict):
        return _made_head(*name_and_params(value, "a head"))
    return value


def _seeds(given: Any) -> tuple[int, ...]:
    """Take a number of seeds, or a list of them."""
    if isinstance(given, list):
        return counts_at("seeds", given, low=0)
    return tuple(range(count_at("seeds", given, low=1)))


def _at(error_rate: float) -> str:
    return f" at {100 * error_rate:g}%"


def _name(kind: str, params: Mapping[str, Any]) -> str:
    """Name a level as in the file: `mixed-prompt(share=0.5)`."""
    parts = [f"{key}={_written(value)}" for key, value in params.items()]
    name = kind + (f"({', '.join(parts)})" if parts else "")
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."


def _written(value: Any) -> str:
    if isinstance(value, dict):
        parts = [
            _name(str(kind), params)
            if isinstance(params, dict)
            else f"{kind}: {_written(params)}"
            for kind, params in value.items()
        ]
        return ", ".join(parts)
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)


_LONGEST = 60
_RATED = ("flip", "lapse")
