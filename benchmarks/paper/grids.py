"""The grids of the three studies, in full and quickly, and running them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.paper.levels import (
    ALL_HEADS,
    PROMPTS_ALIKE,
    STYLE_ALONE,
    WITH_STYLE,
    equally_wrong,
    heads_by_name,
    matched_heads,
    noise_name,
    one_annotator,
)
from benchmarks.paper.pools import (
    BOTH,
    STYLE,
    VECTORS,
    Split,
    TwoOfTen,
    size_of_tens,
    sizes_of_choice,
)
from embrm import CandidatePool
from embrm.experiment import Experiment
from embrm.heads import LinearBradleyTerry
from embrm.simulate import CrossPrompt, MixedPrompt, PairingDesign, SamePrompt

STUDIES = ("a", "b", "c")
"""Heads by noise and budget; same- or cross-prompt pairs; diversity of responses."""

SAME, MIXED, CROSS = "same-prompt", "half each", "cross-prompt"
"""Pairing designs, as the tables name them."""

SIMILAR, RANDOM, DIVERSE = "similar", "random", "diverse"
"""Which two of ten responses are annotated, as the tables name it."""

_KEPT = {SIMILAR: "middle", RANDOM: "random", DIVERSE: "ends"}


@dataclass(frozen=True)
class Preset:
    """How large the grids are.

    Attributes
    ----------
    noise : tuple of float
        Error rates of study a.
    few_noise : tuple of float
        Those of the other parts.
    budgets : tuple of int
        Numbers of pairs; scaled down for a pool that has fewer.
    heads : tuple of str
        Of study a; the matched heads come on top.
    few_heads : tuple of str
        Of studies b and c.
    n_seeds : int
    n_resamples : int
        Of the test prompts, for the interval of each cell.
    """

    noise: tuple[float, ...]
    few_noise: tuple[float, ...]
    budgets: tuple[int, ...]
    heads: tuple[str, ...]
    few_heads: tuple[str, ...]
    n_seeds: int
    n_resamples: int


FULL = Preset(
    noise=(0.05, 0.25, 0.45),
    few_noise=(0.05, 0.25, 0.4),
    budgets=(500, 2000, 8000),
    heads=ALL_HEADS,
    few_heads=("linear", "logistic"),
    n_seeds=10,
    n_resamples=1000,
)
MIDDLE = Preset(
    noise=(0.05, 0.45),
    few_noise=(0.05, 0.4),
    budgets=(500, 2000),
    heads=ALL_HEADS,
    few_heads=("linear", "logistic"),
    n_seeds=10,
    n_resamples=1000,
)
QUICK = Preset(
    noise=(0.1, 0.4),
    few_noise=(0.1, 0.4),
    budgets=(300, 900),
    heads=ALL_HEADS,
    few_heads=("linear", "logistic"),
    n_seeds=2,
    n_resamples=100,
)


@dataclass(frozen=True)
class Part:
    """One grid of a study.

    Attributes
    ----------
    name : str
    title : str
    designs : dict of str to PairingDesign
    noise : tuple of float
        Error rates of the annotators.
    by_design : bool
        Whether the rate is met on every design's pairs, or on same-prompt pairs, by
        one annotator who then annotates all designs.
    budgets : tuple of int
    heads : dict of str to RewardHead
    n_resamples : int
    view : str
        What of the items the heads see: vectors, style features, or both.
    """

    name: str
    title: str
    designs: dict[str, PairingDesign]
    noise: tuple[float, ...]
    by_design: bool
    budgets: tuple[int, ...]
    heads: dict[str, Any]
    n_resamples: int
    view: str = VECTORS

    @property
    def n_cells(self) -> int:
        """Number of heads that are fitted for each seed."""
        n_tasks = len(self.designs) * len(self.noise) * len(self.budgets)
        return n_tasks * len(self.heads)

    def describe(self, n_seeds: int) -> str:
        """Say how large the grid is."""
        factors = {
            "pairing": self.designs,
            "noise level": self.noise,
            "budget": self.budgets,
            "head": self.heads,
        }
        sizes = [_count(len(levels), word) for word, levels in factors.items()]
        sizes.append(_count(n_seeds, "seed"))
        return f"{self.n_cells * n_seeds:,} cells = {' x '.join(sizes)}"

    def for_split(self, split: Split) -> "Part":
        """Deal the tens of a split by its seed, where there are any."""
        dealt: dict[str, PairingDesign] = {
            name: replace(design, seed=split.seed)
            if isinstance(design, TwoOfTen)
            else design
            for name, design in self.designs.items()
        }
        return replace(self, designs=dealt)

    def experiment(self, split: Split) -> Experiment:
        """Make the experiment of one seed."""
        part = self.for_split(split)
        annotators = (
            equally_wrong(part.noise)
            if part.by_design
            else one_annotator(part.noise, split.train)
        )
        return Experiment(
            split.train,
            split.test,
            designs=part.designs,
            annotators=annotators,
            budgets=part.budgets,
            heads=part.heads,
            seeds=(split.seed,),
            best_of_n=sizes_of_choice(split.test),
            n_resamples=part.n_resamples,
        )


def parts_of(study: str, splits: Sequence[Split], preset: Preset) -> list[Part]:
    """List the grids of a study, for all views of the items.

    Parameters
    ----------
    study : {"a", "b", "c"}
    splits : sequence of Split
        Their training pools say how many pairs there can be.
    preset : Preset

    Returns
    -------
    list of Part
    """
    return _PARTS[study]([split.train for split in splits], preset)


def fitting_budgets(
    wanted: tuple[int, ...],
    pools: Iterable[CandidatePool],
    designs: Collection[PairingDesign],
) -> tuple[int, ...]:
    """Scale budgets down, all alike, until every design can meet them in every pool.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(40), np.arange(40) // 5)
    >>> fitting_budgets((50, 100), [pool], [SamePrompt()])
    (40, 80)
    """
    possible = min(each.max_pairs(pool) for pool in pools for each in designs)
    largest = max(wanted)
    if largest <= possible:
        return wanted
    scaled = {max(1, budget * possible // largest) for budget in wanted}
    return tuple(sorted(scaled))


def _noise_and_budget(pools: Sequence[CandidatePool], preset: Preset) -> list[Part]:
    budgets = fitting_budgets(preset.budgets, pools, [SamePrompt()])
    heads = heads_by_name(preset.heads)
    matched = matched_heads(pools[0].items.shape[1])
    grid = Part(
        name="a",
        title="Bradley-Terry or classification",
        designs={SAME: SamePrompt()},
        noise=preset.noise,
        by_design=True,
        budgets=budgets,
        heads=heads,
        n_resamples=preset.n_resamples,
    )
    extra = replace(
        grid,
        name="a-matched",
        title="objective or regularisation",
        # The ends and the middle, for which heads of the first grid are there, too.
        noise=tuple(dict.fromkeys(_ends_and_middle(preset.noise))),
        heads=matched,
    )
    style = replace(
        extra,
        name="a-style",
        title="vectors, style, or both",
        heads={STYLE_ALONE: LinearBradleyTerry()},
        view=STYLE,
    )
    both = replace(style, heads={WITH_STYLE: LinearBradleyTerry()}, view=BOTH)
    return [grid, extra, style, both]


def _pairing(pools: Sequence[CandidatePool], preset: Preset) -> list[Part]:
    designs: dict[str, PairingDesign] = {
        SAME: SamePrompt(),
        MIXED: MixedPrompt(0.5),
        CROSS: CrossPrompt(),
    }
    grid = Part(
        name="b",
        title="same- or cross-prompt pairs, of one annotator",
        designs=designs,
        noise=preset.few_noise,
        by_design=False,
        budgets=fitting_budgets(preset.budgets, pools, designs.values()),
        heads=heads_by_name(preset.few_heads),
        n_resamples=preset.n_resamples,
    )
    equal = replace(
        grid,
        name="b-equal",
        title="same- or cross-prompt pairs, at equal error rates",
        by_design=True,
    )
    alike = replace(
        grid,
        name="b-alike",
        title="cross-prompt pairs, to a head that takes prompts for alike",
        designs={CROSS: designs[CROSS]},
        heads={PROMPTS_ALIKE: LinearBradleyTerry(prompt_effects=False)},
    )
    return [grid, equal, alike]


def _diversity(pools: Sequence[CandidatePool], preset: Preset) -> list[Part]:
    size = size_of_tens(pools[0])
    designs: dict[str, PairingDesign] = {
        f"{diversity}, {name}": TwoOfTen(kept, across=name == CROSS, size=size)
        for diversity, kept in _KEPT.items()
        for name in (SAME, CROSS)
    }
    [largest] = fitting_budgets((max(preset.budgets),), pools, designs.values())
    return [
        Part(
            name="c",
            title="diversity of responses",
            designs=designs,
            noise=preset.few_noise,
            by_design=False,
            budgets=tuple(sorted({max(1, largest // 3), largest})),
            heads=heads_by_name(preset.few_heads),
            n_resamples=preset.n_resamples,
        )
    ]


def _ends_and_middle(levels: tuple[float, ...]) -> tuple[float, float, float]:
    return levels[0], levels[len(levels) // 2], levels[-1]


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


_PARTS: dict[str, Callable[[Sequence[CandidatePool], Preset], list[Part]]] = {
    "a": _noise_and_budget,
    "b": _pairing,
    "c": _diversity,
}


if TYPE_CHECKING:
    import pandas as pd

_NO_DIVERSITY = "all"


def run_part(
    part: Part,
    splits: Sequence[Split],
    directory: Path,
    *,
    n_jobs: int,
    show: bool | None = None,
) -> "pd.DataFrame":
    """Compute the cells that a directory does not have; return the table of all.

    Parameters
    ----------
    part : Part
    splits : sequence of Split
    directory : Path
        Where finished cells are kept; grids may share it.
    n_jobs : int
        Cells at a time.
    show : bool, optional
        False silences the progress bars, one for each split.

    Returns
    -------
    pandas.DataFrame
        As of `Experiment.run`, with these columns before it: part; noise, the error
        rate that the annotator's name stands for; diversity, which the designs of
        study c have before a comma.
    """
    import pandas as pd

    frames = []
    for split in splits:
        experiment = part.experiment(split)
        frames.append(experiment.run(directory, n_jobs=n_jobs, progress=show))
    return tidy(pd.concat(frames, ignore_index=True), part)


def tidy(frame: "pd.DataFrame", part: Part) -> "pd.DataFrame":
    """Add what the levels of a grid stand for.

    Examples
    --------
    >>> import pandas as pd
    >>> part = Part("c", "", {}, (0.05, 0.25), False, (100,), {}, 10)
    >>> cells = {"design": ["similar, same-prompt"], "annotator": ["errs 25%"]}
    >>> tidy(pd.DataFrame(cells), part)[["part", "noise", "diversity", "design"]]
      part  noise diversity       design
    0    c   0.25   similar  same-prompt
    """
    made = frame.copy()
    rates = {noise_name(rate): rate for rate in part.noise}
    words = made["design"].str.rpartition(", ")
    made["design"] = words[2]
    diversity = words[0].where(words[0] != "", _NO_DIVERSITY)
    made.insert(0, "part", part.name)
    made.insert(1, "noise", made["annotator"].map(rates))
    made.insert(2, "diversity", diversity)
    return made
