"""Study a: Bradley-Terry or classification heads, by noise and number of labels."""

from typing import TYPE_CHECKING

from embrm.studies.claims import CONSISTENCY, MARGINS, Claim, Rule
from embrm.studies.contrasts import Estimate, average, change, halves, paired
from embrm.studies.levels import NETWORK, OBJECTIVES, TREES
from embrm.studies.wording import cells_of, difference_words, recovery_of

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
