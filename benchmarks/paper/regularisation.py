"""Objective, penalty or capacity: heads that differ in one of these alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.paper.claims import (
    CONSISTENCY,
    MARGINS,
    Caveat,
    Claim,
    Estimate,
    Rule,
    Verdict,
    average,
    cells_of,
    change,
    halves,
    paired,
)
from benchmarks.paper.levels import (
    FREE_BRADLEY_TERRY,
    LADDER,
    with_penalty,
)

if TYPE_CHECKING:
    import pandas as pd

AS_THEY_COME = "objective: logistic less linear, as they come"
"""Name of the contrast of the two linear heads with penalties of their own."""

AT_BEST = "objective: logistic less linear, each with its best penalty"
"""Name of the same contrast with the best penalties of the ladder."""

_KINDS = ("linear", "logistic")
_SETTING = ["noise", "budget"]
_CONCLUSIONS = {
    Verdict.HOLDS: "So here the penalty counts for more than the objective.",
    Verdict.DOES_NOT_HOLD: "So here the objective counts for more than a penalty that "
    "is thirty times off.",
}
_CANNOT_TELL = "These cells cannot tell which of the two counts for more."


@dataclass(frozen=True)
class Contrast:
    """One head less another.

    Attributes
    ----------
    name : str
    difference : Estimate
        In order consistency, over all cells.
    growth : Estimate
        How much larger the difference is at the noisier than at the cleaner levels.
    """

    name: str
    difference: Estimate
    growth: Estimate


@dataclass(frozen=True)
class Regularisation:
    """What the matched heads say.

    Attributes
    ----------
    claims : list of Claim
        Questions that we add to the paper's.
    contrasts : tuple of Contrast
    bracketed : str
        In how many settings the best penalty lies between the ends of the ladder.
    """

    claims: list[Claim]
    contrasts: tuple[Contrast, ...]
    bracketed: str

    @property
    def conclusion(self) -> str:
        """Say in one sentence what counts for more: it goes by the first verdict."""
        return _CONCLUSIONS.get(self.claims[0].verdict, _CANNOT_TELL)


def regularisation(frame: "pd.DataFrame") -> Regularisation:
    """Compare heads of one kind that differ in the objective or in capacity alone.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`; the rows of "a-matched" are taken, and those of "a" at the
        same noise.

    Returns
    -------
    Regularisation
    """
    cells = _matched(frame)
    ladder = on_the_ladder(cells)
    objective = _paired(ladder, [("logistic, best", "linear, best")])
    penalty = _paired(
        ladder,
        (
            (f"{kind}, best", f"{kind}, {side}")
            for kind in _KINDS
            for side in ("weaker", "stronger")
        ),
    )
    capacity = _paired(cells, [("siamese", FREE_BRADLEY_TERRY)])
    low, high = halves(cells["noise"])
    claims = [
        Claim(
            "a",
            "The strength of the penalty matters more than the objective.",
            "what a penalty thirty times too weak or too strong costs (mean of both "
            "and of both objectives), less the size of the difference between the "
            "objectives with the best penalty of each, order consistency",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            _more_than(penalty, objective),
            cells_of(penalty),
            (
                ("cost of a wrong penalty", average(penalty)),
                ("logistic less linear, each with its best", average(objective)),
            ),
            of_paper=False,
            caveats=(Caveat.LENGTH,),
        ),
        Claim(
            "a",
            "A Siamese network that is held back is the more robust to noise.",
            "siamese as it comes less free, order consistency, noisier less cleaner "
            "noise levels",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            change(capacity, "noise", high, low),
            cells_of(capacity),
            (("as it comes less free, all noise levels", average(capacity)),),
            of_paper=False,
            caveats=(Caveat.LENGTH,),
        ),
    ]
    both = _contrasts(cells, ladder, low, high)
    return Regularisation(claims, both, _bracketed(cells))


def on_the_ladder(cells: "pd.DataFrame") -> "pd.DataFrame":
    """Take, of each objective, the best penalty of the ladder and its neighbours.

    The best is that of the mean over the *other* seeds with the same noise and budget:
    chosen on the cell itself it would look better than it is.

    Parameters
    ----------
    cells : DataFrame
        With heads named by `with_penalty`.

    Returns
    -------
    DataFrame
        The rows that were taken, their heads renamed: "linear, best", "linear,
        weaker" and "linear, stronger" for the penalties next to it, where there are
        any, and the same of "logistic".
    """
    import pandas as pd

    taken = []
    for kind in _KINDS:
        table = _by_step(cells, kind)
        rows = _rows_of(cells, kind)
        for (noise, budget, seed), own in table.iterrows():
            others = table.loc[(noise, budget)].drop(index=seed)
            means = (others if len(others) else own.to_frame().T).mean()
            if means.isna().all():
                continue
            best = int(means.idxmax())
            for step, side in ((-1, "weaker"), (0, "best"), (1, "stronger")):
                key = (noise, budget, seed, best + step)
                if key in rows.index:
                    row = rows.loc[[key]].reset_index()
                    taken.append(row.assign(head=f"{kind}, {side}"))
    made: pd.DataFrame = pd.concat(taken) if taken else cells.iloc[:0]
    return made


def _rows_of(cells: "pd.DataFrame", kind: str) -> "pd.DataFrame":
    """Index the cells of an objective by noise, budget, seed and step."""
    steps = {with_penalty(kind, factor): at for at, factor in enumerate(LADDER)}
    own = cells[cells["head"].isin(list(steps))]
    return own.assign(step=own["head"].map(steps)).set_index(
        [*_SETTING, "seed", "step"]
    )


def _by_step(cells: "pd.DataFrame", kind: str) -> "pd.DataFrame":
    """Lay out order consistency: a row for noise, budget and seed, a column a step."""
    return _rows_of(cells, kind)[CONSISTENCY].unstack("step")


def _bracketed(cells: "pd.DataFrame") -> str:
    """Count the settings whose best penalty is between the ends of the ladder."""
    inside, total, rises = 0, 0, []
    for kind in _KINDS:
        means = _by_step(cells, kind).groupby(_SETTING).mean()
        for _, row in means.dropna(how="all").iterrows():
            known = row.dropna()
            order, total = known.sort_values(ascending=False), total + 1
            if known.index[0] < order.index[0] < known.index[-1]:
                inside += 1
            elif len(known) > 1:
                beside = known.iloc[1 if order.index[0] == known.index[0] else -2]
                rises.append(float(order.iloc[0] - beside))
    words = (
        f"The best of {len(LADDER)} penalties lies between the weakest and the "
        f"strongest in {inside} of {total} settings"
    )
    if not rises:
        return f"{words}."
    return (
        f"{words}; at an end, the last step still gains at most {max(rises):.4f} of "
        "order consistency."
    )


def end_of_ladder(kind: str, end: str) -> str:
    """Name the contrast of the best penalty with one at an end of the ladder."""
    return f"penalty: {kind}, best less the {end}"


def _contrasts(
    cells: "pd.DataFrame",
    ladder: "pd.DataFrame",
    low: list[float],
    high: list[float],
) -> tuple[Contrast, ...]:
    """Estimate each contrast of two heads."""
    import pandas as pd

    both = pd.concat([cells, ladder], ignore_index=True)
    found = []
    for name, plus, minus in _named_pairs():
        differences = _paired(both, [(plus, minus)])
        growth = change(differences, "noise", high, low)
        found.append(Contrast(name, average(differences), growth))
    return tuple(found)


def _named_pairs() -> list[tuple[str, str, str]]:
    return [
        (AS_THEY_COME, "logistic", "linear"),
        (AT_BEST, "logistic, best", "linear, best"),
        *(
            (f"penalty: {kind}, as it comes less its best", kind, f"{kind}, best")
            for kind in _KINDS
        ),
        *(
            (
                f"penalty: {kind}, best less thirty times {side}",
                f"{kind}, best",
                f"{kind}, {side}",
            )
            for kind in _KINDS
            for side in ("weaker", "stronger")
        ),
        *(
            (end_of_ladder(kind, end), f"{kind}, best", with_penalty(kind, factor))
            for kind in _KINDS
            for end, factor in (("weakest", LADDER[0]), ("strongest", LADDER[-1]))
        ),
        ("objective: mlp less siamese, as they come", "mlp", "siamese"),
        ("capacity: siamese, as it comes less free", "siamese", FREE_BRADLEY_TERRY),
    ]


def _matched(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Put the matched heads beside those of the first grid, as one part."""
    extra = frame["part"] == "a-matched"
    noise = frame.loc[extra, "noise"].unique()
    beside = (frame["part"] == "a") & frame["noise"].isin(noise)
    return frame[extra | beside].assign(part="matched")


def _paired(cells: "pd.DataFrame", levels: Iterable[tuple[str, str]]) -> "pd.DataFrame":
    return paired(cells, "head", levels, CONSISTENCY)


def _more_than(one: "pd.DataFrame", other: "pd.DataFrame") -> Estimate:
    """Compare the sizes of two effects, whatever their signs are."""
    import pandas as pd

    sized = [
        differences.assign(
            effect=number,
            difference=differences["difference"] * np.sign(average(differences).mean),
        )
        for number, differences in enumerate((one, other))
    ]
    return change(pd.concat(sized, ignore_index=True), "effect", [0], [1])
