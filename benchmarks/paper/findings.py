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
    Caveat,
    Claim,
    Verdict,
    holm,
    over_seeds,
    recovery_of,
)
from benchmarks.paper.levels import LADDER
from benchmarks.paper.pools import TEST_SHARE, PoolFacts
from benchmarks.paper.regularisation import (
    AS_THEY_COME,
    Regularisation,
    end_of_ladder,
    regularisation,
)
from benchmarks.paper.studies import (
    diversity_claims,
    noise_claims,
    pairing_claims,
    style_claims,
)
from embrm.exceptions import DataError, format_error

if TYPE_CHECKING:
    import pandas as pd

_TITLES = {
    "a": "Study a: Bradley-Terry or classification, by noise and number of labels",
    "b": "Study b: pairs within prompts, or across them",
    "c": "Study c: similar and diverse responses",
}

_ALT = {
    "a_noise.png": "Order consistency by share of wrong labels, a line for each head",
    "a_penalties.png": "Order consistency by strength of the penalty, a line for each "
    "objective with few and with many wrong labels",
    "b_pairs.png": "Order consistency of same-prompt, mixed and cross-prompt pairs, by "
    "errors of one annotator",
}
"""What each picture shows, for those who cannot see it."""


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


def find(
    frame: "pd.DataFrame",
    facts: PoolFacts,
    pictures: Sequence[Path],
    beside: "pd.DataFrame | None" = None,
) -> Findings:
    """Judge the claims of the studies that there are cells of.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`, of all parts.
    facts : PoolFacts
    pictures : sequence of Path
        Shown beside the text, by name.
    beside : DataFrame, optional
        From `read_verdicts`: what came out elsewhere, shown beside ours.

    Returns
    -------
    Findings
        The same for the same frame, byte for byte.
    """
    parts = set(frame["part"])
    claims = noise_claims(frame) if "a" in parts else []
    claims += regularisation(frame).claims if "a-matched" in parts else []
    claims += style_claims(frame) if "a-style" in parts else []
    claims += pairing_claims(frame) if "b" in parts else []
    claims += diversity_claims(frame) if "c" in parts else []
    claims = holm(claims)
    sections = [
        _opening(frame, facts),
        _in_short(claims),
        *_pictures(frame, claims, pictures),
        _verdicts(claims, facts, beside),
        _reading(facts, len(claims)),
    ]
    for study in dict.fromkeys(claim.study for claim in claims):
        of_study = [claim for claim in claims if claim.study == study]
        sections.append(_study(study, of_study, frame))
        if study == "a" and "a-matched" in parts:
            sections.append(_regularisation(regularisation(frame)))
    return Findings(claims, "\n\n".join(sections) + "\n")


def _opening(frame: "pd.DataFrame", facts: PoolFacts) -> str:
    failed = int(frame[CONSISTENCY].isna().sum())
    seeds = frame["seed"].nunique()
    about = f" {facts.about}" if facts.about else ""
    words = (
        f"# Findings on {facts.name}\n\n"
        "Written by `python -m benchmarks.paper` from the tables beside it: the three "
        'studies of "Rethinking Bradley-Terry Models in Preference-Based Reward '
        'Modeling" '
        "(arXiv 2411.04991) on another candidate pool, with simulated annotators.\n\n"
        f"Pool: {facts.n_prompts:,} prompts, {facts.n_items:,} responses, vectors of "
        f"{facts.d:,} numbers.{about} {seeds} seed{'' if seeds == 1 else 's'}: each "
        f"fits on {1 - TEST_SHARE:.0%} of the prompts and tests on the others, which "
        f"no other of ten seeds tests on. {len(frame):,} cells"
    )
    return words + (f", of which {failed:,} failed." if failed else ".")


_IN_SHORT = {
    Verdict.HOLDS: "What holds here:",
    Verdict.DOES_NOT_HOLD: "What does not hold here:",
    Verdict.OPPOSITE: "What holds for one kind of head and is wrong for another:",
    Verdict.UNDECIDED: "What these cells cannot decide:",
}


def _in_short(claims: Sequence[Claim]) -> str:
    """List the claims by what came out, each as a plain sentence."""
    words = (
        "Numbers are the difference that a claim is judged by, with its "
        f"{LEVEL:.0%} interval: in order consistency, the share of pairs that a reward "
        "orders as gold does, where the table below does not say otherwise."
    )
    blocks = ["## In short", words]
    for verdict, words in _IN_SHORT.items():
        own = [claim for claim in claims if claim.verdict is verdict]
        lines = [f"- {claim.words} {claim.estimate}" for claim in own]
        if lines:
            blocks.append("\n".join([words, "", *lines]))
    return "\n\n".join(blocks)


def _pictures(
    frame: "pd.DataFrame", claims: Sequence[Claim], pictures: Sequence[Path]
) -> list[str]:
    """Show the pictures that there are, each with what is to be seen in it."""
    if not pictures:
        return []
    captions = {
        "a_noise.png": lambda: _heads_apart(frame[frame["part"] == "a"]),
        "a_penalties.png": lambda: regularisation(frame).bracketed,
        "b_pairs.png": lambda: "\n".join(
            f"- {claim.words} {str(claim.verdict).capitalize()}: {claim.estimate}"
            for claim in claims
            if claim.study == "b" and "order consistency" in claim.measure
        ),
    }
    shown = [path.name for path in pictures if path.name in captions]
    words = {1: "One picture", 2: "Two pictures", 3: "Three pictures"}[len(shown)]
    blocks = [f"## {words}"]
    for name in shown:
        blocks += [f"![{_ALT[name]}]({name})", captions[name]()]
    return ["\n\n".join(blocks)]


def _heads_apart(cells: "pd.DataFrame") -> str:
    """Say how far noise moves all heads, and how far heads are apart."""
    means = cells.groupby(["noise", "head"])[CONSISTENCY].mean().unstack()
    sentences = []
    for noise in (means.index.min(), means.index.max()):
        row = means.loc[noise].dropna()
        sentences.append(
            f"With {noise:.0%} of the labels wrong, heads order {row.min():.1%} "
            f"({row.idxmin()}) to {row.max():.1%} ({row.idxmax()}) of the pairs as "
            "gold does."
        )
    return " ".join(sentences)


def _verdicts(
    claims: Sequence[Claim], facts: PoolFacts, beside: "pd.DataFrame | None"
) -> str:
    heads = ["study", "claim", "here", f"difference, {LEVEL:.0%} interval", "p"]
    heads += ["holds if", "gold"]
    if beside is not None:
        heads.append(f"on {beside.attrs['name']}")
    lines = [
        "## Verdicts",
        "",
        f"| {' | '.join(heads)} |",
        "|" + "---|" * len(heads),
    ]
    for claim in claims:
        cells = [
            claim.study,
            f"{claim.words}{'' if claim.of_paper else ' (ours)'}",
            f"**{claim.verdict}**",
            str(claim.estimate),
            f"{claim.p:.3f}" if claim.p >= _LEAST_P else f"< {_LEAST_P:g}",
            claim.needed,
            _caveats(claim, facts),
        ]
        if beside is not None:
            cells.append(str(beside["shown"].get(claim.words, "-")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", '"Ours" are questions that the paper does not ask.'])


def _caveats(claim: Claim, facts: PoolFacts) -> str:
    """Say what of the gold bears on a claim, in a few words each."""
    known = {
        Caveat.BETWEEN: f"{facts.between_prompts:.0%} of it between prompts",
        Caveat.LIMITS: f"{facts.at_limits:.0%} at a limit",
    }
    if np.isfinite(facts.length_orders):
        known[Caveat.LENGTH] = f"longer wins {facts.length_orders:.0%}"
    return "; ".join(known[one] for one in claim.caveats if one in known) or "-"


def _reading(facts: PoolFacts, n_claims: int) -> str:
    gold = [
        (
            f"{facts.between_prompts:.0%} of the variance of gold lies between "
            "prompts. Where gold compares a response with a fixed answer to the same "
            "prompt, that is in part how good this answer was, which no vector tells: "
            "a disadvantage for cross-prompt pairs that other pools need not have."
        ),
        (
            f"{facts.at_limits:.0%} of the golds are the lowest or the highest there "
            "is: differences between these are hidden."
        ),
    ]
    if np.isfinite(facts.length_orders):
        length = (
            f"Gold prefers the longer response in {facts.length_orders:.0%} of the "
            "same-prompt pairs: in part, heads are compared by how well they find "
            "length in vectors."
        )
        gold.insert(1, length)
    caveats = "\n".join(f"- {words}" for words in gold)
    return (
        "## How to read this\n\n"
        "Order consistency is the share of all same-prompt pairs of held-out prompts "
        "that a reward orders as gold does. Recovery is the share of what the best "
        "response gains over a random one that the best of n by reward gains.\n\n"
        "A difference is between cells of the same seed that differ in one factor "
        "alone, so that both have the same test prompts; differences are averaged over "
        "the cells named, seed by seed. Ten seeds test on disjoint prompts; they share "
        "most of their training prompts, and the t interval over seeds is widened for "
        "that (Nadeau and Bengio, 2003).\n\n"
        "A claim holds if its whole interval is where the column says, and does not "
        "hold if none of it is; else it is undecided. Differences of at most "
        f"{MARGINS[CONSISTENCY]:g} in order consistency and {MARGINS['recovery']:g} in "
        'recovery count as none: "not below" and "not above" allow for them. '
        f"The p-values are corrected for there being {n_claims} claims (Holm), and a "
        f"verdict needs one below {1 - LEVEL:.2g}; the intervals are not corrected. "
        "Where the claim holds for one kind of head and is wrong for another (at that "
        "level, divided by the number of kinds), two effects cancel in their mean, and "
        f'the verdict is "{Verdict.OPPOSITE}".\n\n'
        f"The column gold says which of these bear on a claim:\n\n{caveats}"
    )


def _study(study: str, claims: Sequence[Claim], frame: "pd.DataFrame") -> str:
    parts = [f"## {_TITLES[study]}", _means(study, frame)]
    return "\n\n".join(parts + [_claim(claim) for claim in claims])


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
    parts = (*claim.details, *claim.kinds)
    details = [f"- {name}: {estimate}" for name, estimate in parts]
    return "\n".join([words, "", *details] if details else [words])


def _regularisation(found: Regularisation) -> str:
    by_name = {contrast.name: contrast.difference for contrast in found.contrasts}
    penalty, objective = (estimate for _, estimate in found.claims[0].details)
    weakest, strongest = (
        by_name[end_of_ladder("linear", end)] for end in ("weakest", "strongest")
    )
    words = (
        "### Objective or regularisation\n\n"
        "Linear heads of both objectives, on the same standardised items and with the "
        "same penalty, differ in the objective alone. Each has "
        f"{len(LADDER)} penalties, thirty times apart; its best is chosen on the other "
        f"seeds. {found.bracketed} With the best penalty of each, classification less "
        f"Bradley-Terry is {objective}; a penalty thirty times too weak or too strong "
        f"costs {penalty}. The two sides are not alike: the weakest of the ladder "
        f"costs the Bradley-Terry head {weakest}, the strongest {strongest}. As they "
        "come, with penalties of their own, classification less Bradley-Terry is "
        f"{by_name[AS_THEY_COME]}. {found.conclusion}"
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
        'The "free" network has one layer of 64 units, no weight decay and no early '
        "stopping on held-out pairs."
    )
    return "\n\n".join([words, "\n".join(table), note])


if TYPE_CHECKING:
    import pandas as pd

_LEVELS = ("part", "diversity", "design", "noise", "budget", "head")
_DIGITS = 4
_LEAST_P = 0.001


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
            "p": claim.p,
            "needed": claim.needed,
            "cells": claim.cells,
        }
        for claim in claims
    )


def read_verdicts(directory: Path) -> "pd.DataFrame":
    """Read the verdicts of another run, to be shown beside ours.

    Parameters
    ----------
    directory : Path
        Where that run wrote `verdicts.csv`.

    Returns
    -------
    DataFrame
        By claim; `attrs["name"]` is the name of the directory.

    Raises
    ------
    DataError
        If there is no such file.
    """
    import pandas as pd

    path = directory / "verdicts.csv"
    if not path.is_file():
        raise DataError(
            format_error(
                expected=f"the verdicts of another run in {path}",
                got="no file",
                fix="run `python -m benchmarks.paper --out DIRECTORY` first",
            )
        )
    table = pd.read_csv(path).set_index("claim")
    table["shown"] = [
        f"**{row.verdict}** {row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
        for row in table.itertuples()
    ]
    table.attrs["name"] = directory.name
    return table


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
