"""FINDINGS.md and the tables beside it: what the paper claims, and what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.paper.claims import (
    CONSISTENCY,
    LEVEL,
    MARGINS,
    Claim,
    over_seeds,
    recovery_of,
)
from benchmarks.paper.pools import TEST_SHARE
from benchmarks.paper.regularisation import (
    AS_THEY_COME,
    Regularisation,
    at_penalty,
    regularisation,
)
from benchmarks.paper.studies import diversity_claims, noise_claims, pairing_claims
from embrm import CandidatePool
from embrm.pool import require_gold

if TYPE_CHECKING:
    import pandas as pd

_TITLES = {
    "a": "Study a: Bradley-Terry or classification, by noise and number of labels",
    "b": "Study b: pairs within prompts, or across them",
    "c": "Study c: similar and diverse responses",
}

_ALT = {
    "a_noise.png": "Order consistency by share of wrong labels, a line for each head",
    "a_budget.png": "Order consistency by number of pairs, a line for each head",
    "a_recovery.png": "Recovery of the best of 16 by share of wrong labels, "
    "a line for each head",
    "a_penalties.png": "Order consistency by share of wrong labels, "
    "a line for each penalty",
    "b_same_annotator.png": "Order consistency of same-prompt, mixed and "
    "cross-prompt pairs, by errors of one annotator",
    "b_equal_error_rates.png": "Order consistency of same-prompt, mixed and "
    "cross-prompt pairs, at equal error rates",
    "c_diversity.png": "Order consistency of same- and cross-prompt "
    "pairs of similar, random and diverse responses",
}
"""What each picture shows, for those who cannot see it."""


@dataclass(frozen=True)
class PoolFacts:
    """What the findings say of the pool.

    Attributes
    ----------
    name : str
        Of the file.
    n_prompts, n_items, d : int
    between_prompts : float in [0, 1]
        Share of the variance of gold that lies between prompts.
    """

    name: str
    n_prompts: int
    n_items: int
    d: int
    between_prompts: float

    @classmethod
    def of(cls, pool: CandidatePool, name: str) -> "PoolFacts":
        """Look at a pool with gold.

        Examples
        --------
        >>> pool = CandidatePool(np.eye(4), ["a", "a", "b", "b"], gold=[1, 2, 2, 3])
        >>> PoolFacts.of(pool, "pool").between_prompts
        0.5
        """
        gold = require_gold(pool, "a study")
        prompt = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
        sums = np.bincount(prompt, weights=gold[pool.order])
        means = (sums / pool.sizes)[prompt]
        variance = float(gold.var())
        share = float(means.var()) / variance if variance > 0 else 0.0
        return cls(name, len(pool.prompts), len(pool), pool.items.shape[1], share)


@dataclass(frozen=True)
class Findings:
    """Claims with their verdicts, and the text about them.

    Attributes
    ----------
    claims : list of Claim
    text : str
        Markdown.
    """

    claims: list[Claim]
    text: str


def find(frame: "pd.DataFrame", facts: PoolFacts, pictures: Sequence[Path]) -> Findings:
    """Judge the claims of the studies that there are cells of.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`, of all parts.
    facts : PoolFacts
    pictures : sequence of Path
        Shown beside the text, by name.

    Returns
    -------
    Findings
        The same for the same frame, byte for byte.
    """
    parts = set(frame["part"])
    extra = regularisation(frame) if "a-matched" in parts else None
    claims = noise_claims(frame) if "a" in parts else []
    claims += extra.claims if extra is not None else []
    claims += pairing_claims(frame) if "b" in parts else []
    claims += diversity_claims(frame) if "c" in parts else []
    sections = [_opening(frame, facts), _verdicts(claims), _reading()]
    for study in dict.fromkeys(claim.study for claim in claims):
        of_study = [claim for claim in claims if claim.study == study]
        sections.append(_study(study, of_study, frame, pictures))
        if study == "a" and extra is not None:
            sections.append(_regularisation(extra))
    return Findings(claims, "\n\n".join(sections) + "\n")


def _opening(frame: "pd.DataFrame", facts: PoolFacts) -> str:
    failed = int(frame[CONSISTENCY].isna().sum())
    seeds = frame["seed"].nunique()
    words = (
        f"# Findings on {facts.name}\n\n"
        "Written by `python -m benchmarks.paper` from the tables beside it: the three "
        'studies of "Rethinking Bradley-Terry Models in Preference-Based Reward '
        'Modeling" '
        "(arXiv 2411.04991) on another candidate pool, with simulated annotators.\n\n"
        f"Pool: {facts.n_prompts:,} prompts, {facts.n_items:,} responses, vectors of "
        f"{facts.d:,} numbers; {facts.between_prompts:.0%} of the variance of gold "
        f"lies between prompts. {seeds} seed{'' if seeds == 1 else 's'}, each with "
        f"{TEST_SHARE:.0%} of the prompts held out, others for each seed. "
        f"{len(frame):,} cells"
    )
    return words + (f", of which {failed:,} failed." if failed else ".")


def _verdicts(claims: Sequence[Claim]) -> str:
    lines = [
        "## Verdicts",
        "",
        f"| study | claim | here | difference, {LEVEL:.0%} interval | holds if |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {claim.study} | {claim.words}{'' if claim.of_paper else ' (ours)'} "
        f"| **{claim.verdict}** | {claim.estimate} | {claim.needed} |"
        for claim in claims
    ]
    return "\n".join([*lines, "", '"Ours" are questions that the paper does not ask.'])


def _reading() -> str:
    return (
        "## How to read this\n\n"
        "Order consistency is the share of all same-prompt pairs of held-out prompts "
        "that a reward orders as gold does. Recovery is the share of what the best "
        "response gains over a random one that the best of n by reward gains.\n\n"
        "A difference is between cells of the same seed that differ in one factor "
        "alone, so that both have the same test prompts; differences are averaged over "
        "the cells named, seed by seed. The interval is Student's t over the seeds, "
        "which differ in the prompts held out, the pairs drawn, their labels and the "
        "fits. A claim holds if its whole interval is where the last column says, and "
        "does not hold if none of it is; else it is undecided. Differences of at most "
        f"{MARGINS[CONSISTENCY]:g} in order consistency and {MARGINS['recovery']:g} in "
        'recovery count as none: "not below" and "not above" allow for them. Test '
        "prompts of different seeds overlap, and the intervals are not corrected for "
        "the number of claims."
    )


def _study(
    study: str,
    claims: Sequence[Claim],
    frame: "pd.DataFrame",
    pictures: Sequence[Path],
) -> str:
    parts = [f"## {_TITLES[study]}", _means(study, frame)]
    parts += [_claim(claim) for claim in claims]
    shown = [path.name for path in pictures if path.name.startswith(f"{study}_")]
    parts += [f"![{_ALT.get(name, name)}]({name})" for name in shown]
    return "\n\n".join(parts)


def _means(study: str, frame: "pd.DataFrame") -> str:
    """Show mean order consistency by the two factors that matter most."""
    rows, columns, over = {
        "a": ("head", "noise", "labels wrong; mean over budgets"),
        "b": ("design", "noise", "errors on same-prompt pairs; mean over the rest"),
        "c": ("design", "diversity", "diversity; mean over the rest"),
    }[study]
    cells = frame[frame["part"] == study]
    table = markdown_means(cells, rows, columns, share=columns == "noise")
    return f"Order consistency, by {rows} and {over}:\n\n{table}"


def _claim(claim: Claim) -> str:
    words = (
        f"**{claim.words}** {str(claim.verdict).capitalize()}: {claim.estimate} "
        f"({claim.measure}; holds if {claim.needed}). From {claim.cells}."
    )
    details = [f"- {name}: {estimate}" for name, estimate in claim.details]
    return "\n".join([words, "", *details] if details else [words])


def _regularisation(found: Regularisation) -> str:
    by_name = {contrast.name: contrast.difference for contrast in found.contrasts}
    penalty, objective = (estimate for _, estimate in found.claims[0].details)
    as_they_come, matched = by_name[AS_THEY_COME], by_name[at_penalty("strong")]
    words = (
        "### Objective or regularisation\n\n"
        "Linear heads of both objectives, on the same standardised items and with the "
        "same penalty, differ in the objective alone: classification less "
        f"Bradley-Terry is {objective} over three penalties a thousandfold apart. "
        "The same heads with the strong instead of the weak penalty differ by "
        f"{penalty}. As they come, with penalties of their own, logistic less linear "
        f"is {as_they_come}; with the same strong penalty it is {matched}. "
        f"{found.conclusion}"
    )
    table = [
        "| contrast, order consistency | difference | noisier less cleaner levels |",
        "|---|---|---|",
        *(
            f"| {contrast.name} | {contrast.difference} | {contrast.growth} |"
            for contrast in found.contrasts
        ),
    ]
    note = (
        '"Free" networks have one layer of 64 units, no weight decay and no early '
        'stopping on held-out pairs; the "published network" has 1,024 and 512 units, '
        "no weight decay, and stops early by whole prompts."
    )
    return "\n\n".join([words, "\n".join(table), note])


if TYPE_CHECKING:
    import pandas as pd

_LEVELS = ("part", "diversity", "design", "noise", "budget", "head")
_DIGITS = 4


def summary(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Average cells over seeds.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`.

    Returns
    -------
    DataFrame
        One row for each part, diversity, design, noise, budget and head, in the order
        of the frame: the realised error rate; order consistency and recovery, with
        their t intervals over seeds (NaN for one seed); how many seeds have a result,
        and how many failed.
    """
    import pandas as pd

    metrics = {CONSISTENCY: CONSISTENCY, "recovery": recovery_of(frame)}
    rows = []
    for level, cells in frame.groupby(list(_LEVELS), sort=False):
        done = cells[cells[CONSISTENCY].notna()]
        row: dict[str, Any] = dict(zip(_LEVELS, level, strict=True))
        row["error_rate"] = done["error_rate"].mean()
        for name, column in metrics.items():
            known = done[column].dropna()
            estimate = over_seeds(known, len(known))
            row[name] = estimate.mean
            row[f"{name}_low"], row[f"{name}_high"] = estimate.low, estimate.high
        rows.append(row | {"n_seeds": len(done), "n_failed": len(cells) - len(done)})
    return pd.DataFrame(rows)


def verdict_table(claims: list[Claim]) -> "pd.DataFrame":
    """List claims with their verdicts and numbers."""
    import pandas as pd

    return pd.DataFrame(
        {
            "study": claim.study,
            "claim": claim.words,
            "of_paper": claim.of_paper,
            "verdict": str(claim.verdict),
            "measure": claim.measure,
            "difference": claim.estimate.mean,
            "low": claim.estimate.low,
            "high": claim.estimate.high,
            "needed": claim.needed,
            "cells": claim.cells,
        }
        for claim in claims
    )


def write_tables(frame: "pd.DataFrame", out: Path) -> list[Path]:
    """Write all cells, and the summary of each study as CSV and as aligned text.

    Returns
    -------
    list of Path
        `cells.csv`, and `a_summary.csv`, `a_summary.txt` and so on.
    """
    written = [_write_csv(frame, out / "cells.csv")]
    study = frame["part"].str.partition("-")[0]
    for name, cells in frame.groupby(study, sort=False):
        means = summary(cells)
        written.append(_write_csv(means, out / f"{name}_summary.csv"))
        text = out / f"{name}_summary.txt"
        text.write_text(
            means.to_string(index=False, float_format=f"%.{_DIGITS}f") + "\n",
            encoding="utf-8",
        )
        written.append(text)
    return written


def markdown_means(
    cells: "pd.DataFrame", rows: str, columns: str, *, share: bool = False
) -> str:
    """Lay out mean order consistency by two factors, as a Markdown table.

    Parameters
    ----------
    cells : DataFrame
    rows, columns : str
        Factors, in the order in which their levels appear.
    share : bool, default=False
        Whether the levels of `columns` are shares, to be written in percent.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = pd.DataFrame({"head": ["linear"], "noise": [0.1]})
    >>> cells["order_consistency"] = 0.7
    >>> print(markdown_means(cells, "head", "noise", share=True))
    | head | 10% |
    |---|---:|
    | linear | 0.7000 |
    """
    levels = list(dict.fromkeys(cells[columns]))
    names = [f"{level:.0%}" if share else f"{level}" for level in levels]
    lines = [f"| {rows} | {' | '.join(names)} |", "|---|" + "---:|" * len(levels)]
    for name, alike in cells.groupby(rows, sort=False):
        means = alike.groupby(columns)[CONSISTENCY].mean()
        values = [f"{means.get(level, float('nan')):.{_DIGITS}f}" for level in levels]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def _write_csv(table: "pd.DataFrame", path: Path) -> Path:
    table.to_csv(path, index=False, float_format="%.6g")
    return path
