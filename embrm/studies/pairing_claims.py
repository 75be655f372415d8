"""Studies b and c: pairs within prompts or across them, and diverse responses."""

from typing import TYPE_CHECKING

from embrm.studies.claims import CONSISTENCY, MARGINS, Claim, Rule
from embrm.studies.contrasts import FACTORS, Estimate, average, change, halves, paired
from embrm.studies.levels import PROMPTS_ALIKE
from embrm.studies.parts import CROSS, DIVERSE, MIXED, RANDOM, SAME, SIMILAR
from embrm.studies.wording import cells_of, difference_words, recovery_of

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
