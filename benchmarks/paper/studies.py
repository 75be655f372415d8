"""What the paper claims of noise, of pairing and of diversity, judged by our cells."""

from typing import TYPE_CHECKING

from benchmarks.paper.claims import (
    CONSISTENCY,
    FACTORS,
    MARGINS,
    Caveat,
    Claim,
    Parts,
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
from benchmarks.paper.levels import (
    BOOSTED,
    NETWORK,
    OBJECTIVES,
    PROMPTS_ALIKE,
    STYLE_ALONE,
    TREES,
    WITH_STYLE,
)

if TYPE_CHECKING:
    import pandas as pd

_LENGTH, _PICKS = (Caveat.LENGTH,), (Caveat.LENGTH, Caveat.LIMITS)
_ACROSS, _GOLD = (Caveat.BETWEEN, Caveat.LENGTH), (Caveat.BETWEEN, Caveat.LIMITS)


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
            kinds=_by_pair(gap),
            caveats=_LENGTH,
        ),
        Claim(
            "a",
            "The best of n that classification heads pick is as good.",
            f"{whole}, {difference_words(recovery)}",
            Rule.NOT_BELOW,
            MARGINS["recovery"],
            average(picks),
            cells_of(picks),
            kinds=_by_pair(picks),
            caveats=_PICKS,
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
            ),
            kinds=tuple(
                (f"change of {name}", change(own, "noise", high, low))
                for name, own in _pairs(gap)
            ),
            caveats=_LENGTH,
        ),
        Claim(
            "a",
            "The fewer labels there are, the further Bradley-Terry heads fall behind.",
            f"{words} smaller less larger half of the budgets",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            change(gap, "budget", few, many),
            cells_of(gap),
            kinds=tuple(
                (f"change of {name}", change(own, "budget", few, many))
                for name, own in _pairs(gap)
            ),
            caveats=_LENGTH,
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
            kinds=_by_head(gain),
            caveats=_LENGTH,
        ),
        Claim(
            "a",
            "How much more labels help depends on how many of them are wrong.",
            f"{words}, noisier less cleaner half of the noise levels",
            Rule.DIFFERS,
            MARGINS[CONSISTENCY],
            change(gain, "noise", high, low),
            cells_of(gain),
            tuple(
                (f"gain where {rate:.0%} are wrong", average(own))
                for rate, own in gain.groupby("noise")
            ),
            kinds=tuple(
                (f"change of {head}", change(own, "noise", high, low))
                for head, own in gain.groupby("head", sort=False)
            ),
            caveats=_LENGTH,
        ),
    ]


def _trees(cells: "pd.DataFrame") -> list[Claim]:
    recovery = recovery_of(cells)
    gap = paired(cells, "head", [(TREES, NETWORK)], CONSISTENCY)
    picks = paired(cells, "head", [(TREES, NETWORK)], recovery)
    grown = paired(cells, "head", [(TREES, BOOSTED)], CONSISTENCY)
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
                (f"{TREES} less {BOOSTED}", average(grown)),
            ),
            caveats=_LENGTH,
        )
    ]


def style_claims(frame: "pd.DataFrame") -> list[Claim]:
    """Judge what a block of style features adds to vectors.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`; the rows of part "a-style" are taken, and those of "a" at the
        same noise.

    Returns
    -------
    list of Claim
    """
    own = frame["part"] == "a-style"
    noise = frame.loc[own, "noise"].unique()
    beside = (frame["part"] == "a") & frame["noise"].isin(noise)
    # All parts draw the same: only what heads see differs.
    cells = frame[own | beside].assign(part="a")
    gain = paired(cells, "head", [(WITH_STYLE, "linear")], CONSISTENCY)
    over = paired(cells, "head", [(WITH_STYLE, STYLE_ALONE)], CONSISTENCY)
    alone = paired(cells, "head", [("linear", STYLE_ALONE)], CONSISTENCY)
    return [
        Claim(
            "a",
            "Style features beside the vectors, with a prior of their own, make a "
            "better reward model.",
            f"{WITH_STYLE}, less vectors alone, order consistency",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            average(gain),
            cells_of(gain),
            (
                *_by_noise(gain),
                ("both less style alone", average(over)),
                ("vectors alone less style alone", average(alone)),
            ),
            of_paper=False,
            caveats=_LENGTH,
        )
    ]


def _by_pair(differences: "pd.DataFrame") -> Parts:
    return tuple((name, average(own)) for name, own in _pairs(differences))


def _pairs(differences: "pd.DataFrame") -> list[tuple[str, "pd.DataFrame"]]:
    return [
        (f"{plus} less {minus}", differences[differences["pair"] == number])
        for number, (plus, minus) in enumerate(OBJECTIVES)
    ]


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
            (*_by_noise(gain), ("half each", average(mixed))),
            kinds=_by_head(gain),
            caveats=_ACROSS,
        ),
        Claim(
            "b",
            "With cross-prompt pairs, the picked best of n is better, too.",
            f"cross- less same-prompt, {difference_words(recovery)}",
            Rule.ABOVE,
            MARGINS["recovery"],
            average(picks),
            cells_of(picks),
            kinds=_by_head(picks),
            caveats=_ACROSS,
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
            _by_noise(similar),
            kinds=_by_head(similar),
            caveats=_ACROSS,
        ),
        Claim(
            "c",
            "Cross-prompt pairs gain more where responses are similar than where they "
            "are diverse.",
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
            kinds=tuple(
                (str(head), change(own, "diversity", [SIMILAR], [DIVERSE]))
                for head, own in gain.groupby("head", sort=False)
            ),
            caveats=_ACROSS,
        ),
        Claim(
            "c",
            "Where responses are diverse, cross-prompt pairs gain little or nothing.",
            f"{measure}, diverse responses",
            Rule.NOT_ABOVE,
            margin,
            average(diverse),
            cells_of(diverse),
            _by_noise(diverse),
            kinds=_by_head(diverse),
            caveats=_ACROSS,
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
            caveats=_GOLD,
        ),
        Claim(
            "b",
            "So one annotator errs less across prompts than within (theorem 16).",
            "same- less cross-prompt, realised error rate of the labels",
            Rule.ABOVE,
            0.0,
            average(errors),
            cells_of(errors.drop(columns="head")),
            _by_noise(errors),
            caveats=_GOLD,
        ),
    ]


def _at_equal_rates(frame: "pd.DataFrame") -> list[Claim]:
    gain = paired(
        frame[frame["part"] == "b-equal"], "design", _CROSS_LESS_SAME, CONSISTENCY
    )
    return [
        Claim(
            "b",
            "Cross-prompt pairs are better even where as many labels are wrong.",
            "cross- less same-prompt at equal error rates, order consistency",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            average(gain),
            cells_of(gain),
            _by_noise(gain),
            of_paper=False,
            kinds=_by_head(gain),
            caveats=_ACROSS,
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
            caveats=_ACROSS,
        )
    ]


def _by_noise(differences: "pd.DataFrame") -> Parts:
    low, high = halves(differences["noise"])
    return (
        (
            "at the cleaner half of the noise levels",
            average(differences[differences["noise"].isin(low)]),
        ),
        ("at the noisier half", average(differences[differences["noise"].isin(high)])),
    )


def _by_head(differences: "pd.DataFrame") -> Parts:
    by_head = differences.groupby("head", sort=False)
    return tuple((str(head), average(own)) for head, own in by_head)
