"""The cells of a grid, and all that decides the numbers of each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from sklearn.base import clone

from embrm import __version__
from embrm.experiment._canonical import canonical, digest_of
from embrm.experiment._cell import Cell, Draw
from embrm.experiment._storage import PoolFiles, pool_digest
from embrm.experiment.evaluator import EvaluationSettings
from embrm.experiment.factors import AnnotatorLevel, AtErrorRate
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import PairingDesign

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
