"""The cells of a grid, all that decides the numbers of each, and grid files."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from sklearn.base import clone

from embrm import __version__
from embrm._validation import Integer, Real
from embrm._yaml import YamlError, read_yaml_file
from embrm.exceptions import InvalidInputError, format_error, invalid_input
from embrm.experiment._cell import Cell, Draw
from embrm.experiment._storage import PoolFiles, pool_digest
from embrm.experiment.evaluator import EvaluationSettings
from embrm.experiment.factors import AnnotatorLevel, AtErrorRate, canonical, digest_of
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import PairingDesign


def read_yaml(file: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file, of plain data alone.

    Raises
    ------
    InvalidInputError
        If there is no such file, it holds no mapping, or a key stands twice in it.
    """
    try:
        root, value = read_yaml_file(file)
    except YamlError as error:
        raise _unreadable(str(error)) from error
    if not isinstance(value, dict):
        raise _unreadable("no keys" if value is None else f"a {type(value).__name__}")
    _refuse_twins(root, "", set())
    return value


@contextmanager
def under(place: str) -> Iterator[None]:
    """Put the file or the path of the key before the message of an error.

    Examples
    --------
    >>> with under("seeds"):
    ...     raise InvalidInputError("expected three")
    Traceback (most recent call last):
    ...
    embrm.exceptions.InvalidInputError: seeds: expected three
    """
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error


def wrong_at(path: str, expected: str, got: str, fix: str) -> InvalidInputError:
    """Make the three-part error for the value of a key."""
    message = format_error(expected=expected, got=got, fix=fix)
    return InvalidInputError(f"{path}: {message}")


def counts_at(key: str, given: Any, *, low: int) -> tuple[int, ...]:
    """Take an integer >= low, or a list of different ones.

    Examples
    --------
    >>> counts_at("budgets", [100, 500], low=1)
    (100, 500)
    """
    values = given if isinstance(given, list) else [given]
    path = "{}[{}]" if isinstance(given, list) else "{}"
    counts = [count_at(path.format(key, n), v, low=low) for n, v in enumerate(values)]
    if not counts or len(set(counts)) < len(counts):
        got = "one twice" if counts else "none"
        raise wrong_at(key, f"one or more different {key}", got, "name each once")
    return tuple(counts)


def count_at(path: str, value: Any, *, low: int) -> int:
    """Take an integer >= low."""
    if not Integer(low).accepts(value):
        fix = "write it in digits: 10000, not 1e4"
        raise wrong_at(path, f"an integer >= {low}", shortly(value), fix)
    return int(value)


def share_at(path: str, value: Any) -> float:
    """Take a number between 0 and 1."""
    if not Real(0, 1, closed="neither").accepts(value):
        fix = "write 0.25 for a quarter"
        raise wrong_at(path, "a number between 0 and 1", shortly(value), fix)
    return float(value)


def shortly(value: Any) -> str:
    """Write a value into a message; lists and mappings by their size.

    Examples
    --------
    >>> shortly({"a": 1}), shortly(None), shortly("1e4")
    ('a mapping of 1', 'nothing', "'1e4'")
    """
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)}"
    return "nothing" if value is None else repr(value)[:40]


def _refuse_twins(node: Any, path: str, seen: set[int]) -> None:
    """Refuse a duplicate key in one mapping: YAML would keep the last."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for n, part in enumerate(node.value):
            _refuse_twins(part, f"{path}[{n}]", seen)
        return
    keys: set[str] = set()
    for key, part in node.value:
        name = str(key.value)[:40]
        place = f"{path}.{name}" if path else name
        if name in keys:
            raise wrong_at(place, "each key once", "it twice", "keep one of them")
        keys.add(name)
        _refuse_twins(part, place, seen)


def _unreadable(got: str) -> InvalidInputError:
    return invalid_input(
        expected="a YAML file that maps the factors of a grid to their levels",
        got=got,
        fix="start from the example that embrm simulate --help shows",
    )


# Changed whenever the same parameters give other numbers than before.
_RECIPE = "embrm experiment 2"


# Heads innermost: they share what is simulated.
_NESTING = ("designs", "annotators", "budgets", "seeds", "heads")


@dataclass(frozen=True)
class Factors:
    """The levels of one cell, by name: what its row begins with."""

    design: str
    annotator: str
    budget: int
    head: str
    seed: int


@dataclass(frozen=True)
class RunPaths:
    """Where a run keeps the two pools, and its cells."""

    train: PoolFiles
    test: PoolFiles
    store: str


class Grid:
    """Designs x annotators x budgets x heads x seeds, over two pools.

    Parameters
    ----------
    pools : (CandidatePool, CandidatePool)
        For training and for test.
    designs, annotators, heads : mapping of str to level
    budgets, seeds : tuple of int
    settings : EvaluationSettings
    """

    def __init__(
        self,
        pools: tuple[CandidatePool, CandidatePool],
        designs: Mapping[str, PairingDesign],
        annotators: Mapping[str, Annotator | AtErrorRate],
        budgets: tuple[int, ...],
        heads: Mapping[str, Any],
        seeds: tuple[int, ...],
        settings: EvaluationSettings,
    ) -> None:
        self.pools, self.settings = pools, settings
        self.designs = designs
        self.annotators = {
            name: AnnotatorLevel(level, *pools) for name, level in annotators.items()
        }
        self.heads = {
            (name, seed): with_seed(head, seed)
            for name, head in heads.items()
            for seed in seeds
        }
        self._levels: dict[str, Sequence[Any]] = {
            "designs": tuple(designs),
            "annotators": tuple(annotators),
            "budgets": budgets,
            "heads": tuple(heads),
            "seeds": seeds,
        }
        self._design_contents = {
            name: canonical(design, "design") for name, design in designs.items()
        }
        self._head_contents = {
            at: canonical(head, "head") for at, head in self.heads.items()
        }

    def __len__(self) -> int:
        return math.prod(len(levels) for levels in self._levels.values())

    def __repr__(self) -> str:
        sizes = {name: len(levels) for name, levels in self._levels.items()}
        return " x ".join(f"{n} {w[:-1] if n == 1 else w}" for w, n in sizes.items())

    def __iter__(self) -> Iterator[Factors]:
        for design, annotator, budget, seed, head in product(
            *(self._levels[name] for name in _NESTING)
        ):
            yield Factors(design, annotator, budget, head, seed)

    @cached_property
    def digests(self) -> tuple[str, str]:
        """Digests of the two pools."""
        return pool_digest(self.pools[0]), pool_digest(self.pools[1])

    def content(self, factors: Factors) -> dict[str, Any]:
        """Canonical form of everything that decides a cell's numbers."""
        train, test = self.digests
        settings = canonical(self.settings, "settings")
        return {
            "draw": {
                "recipe": [_RECIPE, __version__],
                "pool": train,
                "design": self._design_contents[factors.design],
                "annotator": self.annotators[factors.annotator].content,
                "budget": factors.budget,
                "seed": factors.seed,
            },
            "head": self._head_contents[factors.head, factors.seed],
            "test": {"pool": test, **settings["fields"]},
        }

    def cell(self, factors: Factors, paths: RunPaths) -> Cell:
        """Put together what a worker needs.

        Raises
        ------
        InvalidInputError
            If the annotator cannot be set to its error rate on the design.
        """
        design = self.designs[factors.design]
        annotator, test_annotator = self.annotators[factors.annotator].for_design(
            factors.design, design
        )
        content = self.content(factors)
        return Cell(
            content=content,
            draw=Draw(
                key=digest_of(content["draw"]),
                pool=paths.train,
                design=design,
                annotator=annotator,
                n_pairs=factors.budget,
                seed=factors.seed,
            ),
            head=self.heads[factors.head, factors.seed],
            test_pool=paths.test,
            test_annotator=test_annotator,
            settings=self.settings,
            store=paths.store,
        )


def with_seed(head: Any, seed: int) -> Any:
    """Clone a head, and give its seed to it and to everything in it that is random.

    Examples
    --------
    >>> from embrm.heads import RewardEnsemble, SiameseBradleyTerry
    >>> seeded = with_seed(RewardEnsemble(SiameseBradleyTerry()), 3)
    >>> seeded.random_state, seeded.heads.random_state
    (3, 3)
    """
    params = head.get_params(deep=True)
    random = [name for name in params if name.rpartition("__")[2] == "random_state"]
    return clone(head).set_params(**dict.fromkeys(random, seed))
