"""What the paper claims of noise, of pairing and of diversity, judged by our cells."""

from typing import TYPE_CHECKING

from benchmarks.paper.claims import (
    CONSISTENCY,
    FACTORS,
    MARGINS,
    Claim,
    Estimate,
    Rule,
    average,
    cells_of,
    change,
    difference_words,
    halves,
    paired,
    recovery_of,
)
from benchmarks.paper.grids import CROSS, DIVERSE, MIXED, RANDOM, SAME, SIMILAR
from benchmarks.paper.levels import NETWORK, OBJECTIVES, PROMPTS_ALIKE, TREES

if TYPE_CHECKING:
    import pandas as pd


def noise_claims(frame: "pd.DataFrame") -> list[Claim]:
    """Judge what the paper says of heads.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`; the rows of part "a" are taken.

    Returns
    -------
    list of Claim
    """
    cells = frame[frame["part"] == "a"]
    gap = paired(cells, "head", OBJECTIVES, CONSISTENCY)
    return [
        *_as_good(cells, gap),
        *_robust(gap),
        *_labels(cells),
        *_trees(cells),
    ]


def _as_good(cells: "pd.DataFrame", gap: "pd.DataFrame") -> list[Claim]:
    recovery = recovery_of(cells)
    picks = paired(cells, "head", OBJECTIVES, recovery)
    whole = "classification less Bradley-Terry head of the same kind"
    return [
        Claim(
            "a",
            "Classification heads order responses as well as Bradley-Terry heads.",
            f"{whole}, order consistency",
            Rule.NOT_BELOW,
            MARGINS[CONSISTENCY],
            average(gap),
            cells_of(gap),
            _by_pair(gap),
        ),
        Claim(
            "a",
            "The responses they pick as best of n are as good.",
            f"{whole}, {difference_words(recovery)}",
            Rule.NOT_BELOW,
            MARGINS["recovery"],
            average(picks),
            cells_of(picks),
            _by_pair(picks),
        ),
    ]


def _robust(gap: "pd.DataFrame") -> list[Claim]:
    """Ask whether the gap widens where labels are wrong, or few."""
    low, high = halves(gap["noise"])
    few, many = halves(gap["budget"])
    words = "that difference in order consistency,"
    noisy, clean = (gap[gap["noise"].isin(levels)] for levels in (high, low))
    return [
        Claim(
            "a",
            "The more labels are wrong, the further Bradley-Terry heads fall behind.",
            f"{words} noisier less cleaner half of the noise levels",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            change(gap, "noise", high, low),
            cells_of(gap),
            (
                ("the difference at the cleaner half", average(clean)),
                ("at the noisier half", average(noisy)),
                *(
                    (f"change of {name}", change(own, "noise", high, low))
                    for name, own in _pairs(gap)
                ),
            ),
        ),
        Claim(
            "a",
            "The fewer labels there are, the further Bradley-Terry heads fall behind.",
            f"{words} smaller less larger half of the budgets",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            change(gap, "budget", few, many),
            cells_of(gap),
            tuple(
                (f"change of {name}", change(own, "budget", few, many))
                for name, own in _pairs(gap)
            ),
        ),
    ]


def _labels(cells: "pd.DataFrame") -> list[Claim]:
    fewest, most = int(cells["budget"].min()), int(cells["budget"].max())
    gain = paired(cells, "budget", [(most, fewest)], CONSISTENCY)
    low, high = halves(gain["noise"])
    words = f"{most:,} less {fewest:,} pairs, order consistency"
    return [
        Claim(
            "a",
            "More labels help.",
            f"{words}, mean of all heads",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            average(gain),
            cells_of(gain),
            tuple(
                (str(head), average(own))
                for head, own in gain.groupby("head", sort=False)
            ),
        ),
        Claim(
            "a",
            "How much they help depends on how many of them are wrong.",
            f"{words}, noisier less cleaner half of the noise levels",
            Rule.DIFFERS,
            MARGINS[CONSISTENCY],
            change(gain, "noise", high, low),
            cells_of(gain),
            tuple(
                (f"gain where {rate:.0%} are wrong", average(own))
                for rate, own in gain.groupby("noise")
            ),
        ),
    ]


def _trees(cells: "pd.DataFrame") -> list[Claim]:
    recovery = recovery_of(cells)
    gap = paired(cells, "head", [(TREES, NETWORK)], CONSISTENCY)
    picks = paired(cells, "head", [(TREES, NETWORK)], recovery)
    few, many = halves(gap["budget"])
    return [
        Claim(
            "a",
            "Trees can stand in for networks as classifiers.",
            f"{TREES} less {NETWORK}, order consistency",
            Rule.NOT_BELOW,
            MARGINS[CONSISTENCY],
            average(gap),
            cells_of(gap),
            (
                (
                    "at the smaller half of the budgets",
                    average(gap[gap["budget"].isin(few)]),
                ),
                ("at the larger half", average(gap[gap["budget"].isin(many)])),
                (difference_words(recovery), average(picks)),
            ),
        )
    ]


def _by_pair(differences: "pd.DataFrame") -> tuple[tuple[str, Estimate], ...]:
    return tuple((name, average(own)) for name, own in _pairs(differences))


def _pairs(differences: "pd.DataFrame") -> list[tuple[str, "pd.DataFrame"]]:
    return [
        (f"{plus} less {minus}", differences[differences["pair"] == number])
        for number, (plus, minus) in enumerate(OBJECTIVES)
    ]


if TYPE_CHECKING:
    import pandas as pd

_CROSS_LESS_SAME = ((CROSS, SAME),)


def pairing_claims(frame: "pd.DataFrame") -> list[Claim]:
    """Judge what the paper says of pairs across prompts.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`; the rows of parts "b", "b-equal" and "b-alike" are taken.

    Returns
    -------
    list of Claim
    """
    cells = frame[frame["part"] == "b"]
    gain = paired(cells, "design", _CROSS_LESS_SAME, CONSISTENCY)
    mixed = paired(cells, "design", [(MIXED, SAME)], CONSISTENCY)
    recovery = recovery_of(cells)
    picks = paired(cells, "design", _CROSS_LESS_SAME, recovery)
    claims = [
        Claim(
            "b",
            "Of one annotator, cross-prompt pairs give a better reward model than "
            "same-prompt pairs.",
            "cross- less same-prompt, order consistency",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            average(gain),
            cells_of(gain),
            (*_by_noise(gain), *_by_head(gain), ("half each", average(mixed))),
        ),
        Claim(
            "b",
            "The responses it picks as best of n are better, too.",
            f"cross- less same-prompt, {difference_words(recovery)}",
            Rule.ABOVE,
            MARGINS["recovery"],
            average(picks),
            cells_of(picks),
            _by_head(picks),
        ),
        *_easier_pairs(cells),
    ]
    return claims + _at_equal_rates(frame) + _prompts_apart(frame)


def diversity_claims(frame: "pd.DataFrame") -> list[Claim]:
    """Judge what the paper says of similar and diverse responses.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`; the rows of part "c" are taken.

    Returns
    -------
    list of Claim
    """
    cells = frame[frame["part"] == "c"]
    gain = paired(cells, "design", _CROSS_LESS_SAME, CONSISTENCY)
    similar, random, diverse = (
        gain[gain["diversity"] == name] for name in (SIMILAR, RANDOM, DIVERSE)
    )
    measure = "cross- less same-prompt, order consistency"
    margin = MARGINS[CONSISTENCY]
    return [
        Claim(
            "c",
            "Where the responses to a prompt are similar, cross-prompt pairs are "
            "better.",
            f"{measure}, similar responses",
            Rule.ABOVE,
            margin,
            average(similar),
            cells_of(similar),
            (*_by_noise(similar), *_by_head(similar)),
        ),
        Claim(
            "c",
            "They gain more where responses are similar than where they are diverse.",
            f"{measure}, similar less diverse responses",
            Rule.ABOVE,
            margin,
            change(gain, "diversity", [SIMILAR], [DIVERSE]),
            cells_of(gain),
            (
                (SIMILAR, average(similar)),
                ("two at random", average(random)),
                (DIVERSE, average(diverse)),
            ),
        ),
        Claim(
            "c",
            "Where responses are diverse, cross-prompt pairs gain little or nothing.",
            f"{measure}, diverse responses",
            Rule.NOT_ABOVE,
            margin,
            average(diverse),
            cells_of(diverse),
            (*_by_noise(diverse), *_by_head(diverse)),
        ),
    ]


def _easier_pairs(cells: "pd.DataFrame") -> list[Claim]:
    """Propositions 15 and 16, on the pairs that were drawn."""
    # The pairs drawn and their labels are the same for all heads.
    known = cells[cells["error_rate"].notna()].assign(head="any")
    drawn = known.drop_duplicates(list(FACTORS))
    distance = paired(drawn, "design", _CROSS_LESS_SAME, "mean_abs_delta")
    errors = paired(drawn, "design", [(SAME, CROSS)], "error_rate")
    return [
        Claim(
            "b",
            "Gold differs more across prompts than within (proposition 15).",
            "cross- less same-prompt, mean absolute gold difference of the pairs, in "
            "standard deviations of gold",
            Rule.ABOVE,
            0.0,
            average(distance),
            cells_of(distance.drop(columns="head")),
        ),
        Claim(
            "b",
            "So one annotator errs less across prompts (theorem 16).",
            "same- less cross-prompt, realised error rate of the labels",
            Rule.ABOVE,
            0.0,
            average(errors),
            cells_of(errors.drop(columns="head")),
            _by_noise(errors),
        ),
    ]


def _at_equal_rates(frame: "pd.DataFrame") -> list[Claim]:
    gain = paired(
        frame[frame["part"] == "b-equal"], "design", _CROSS_LESS_SAME, CONSISTENCY
    )
    return [
        Claim(
            "b",
            "Cross-prompt pairs are better even where as many labels are wrong, so "
            "that their labels are not what makes them so.",
            "cross- less same-prompt at equal error rates, order consistency",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            average(gain),
            cells_of(gain),
            (*_by_noise(gain), *_by_head(gain)),
            of_paper=False,
        )
    ]


def _prompts_apart(frame: "pd.DataFrame") -> list[Claim]:
    """Compare linear heads with and without intercepts on the same labels."""
    # Both parts draw the same: only their heads differ.
    cells = frame[frame["part"].isin(["b", "b-alike"])].assign(part="b")
    gain = paired(cells, "head", [("linear", PROMPTS_ALIKE)], CONSISTENCY)
    return [
        Claim(
            "b",
            "Cross-prompt pairs teach more to a head that keeps what prompts are worth "
            "apart.",
            "linear head with an intercept for each prompt less without, order "
            "consistency, cross-prompt pairs",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            average(gain),
            cells_of(gain),
            _by_noise(gain),
            of_paper=False,
        )
    ]


def _by_noise(differences: "pd.DataFrame") -> tuple[tuple[str, Estimate], ...]:
    low, high = halves(differences["noise"])
    return (
        (
            "at the cleaner half of the noise levels",
            average(differences[differences["noise"].isin(low)]),
        ),
        ("at the noisier half", average(differences[differences["noise"].isin(high)])),
    )


def _by_head(differences: "pd.DataFrame") -> tuple[tuple[str, Estimate], ...]:
    by_head = differences.groupby("head", sort=False)
    return tuple((str(head), average(own)) for head, own in by_head)
