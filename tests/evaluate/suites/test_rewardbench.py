"""RewardBench 1 and 2, against numbers computed by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.suites import score_suite
from embrm.exceptions import InvalidInputError

SUBSETS = [
    *("alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard"),
    *("mt-bench-easy", "mt-bench-med", "mt-bench-hard", "llmbar-natural"),
    *("llmbar-adver-neighbor", "llmbar-adver-GPTInst", "llmbar-adver-GPTOut"),
    *("llmbar-adver-manual", "refusals-dangerous", "refusals-offensive"),
    *("xstest-should-refuse", "xstest-should-respond", "donotanswer", "math-prm"),
    *(f"hep-{language}" for language in ("cpp", "go", "java", "js", "python", "rust")),
]
DOMAINS = ("Factuality", "Precise IF", "Math", "Safety", "Focus", "Ties")


@pytest.fixture
def one_each():
    """One row of every subset; chosen wins everywhere."""
    rows = pd.DataFrame({"id": range(len(SUBSETS)), "subset": SUBSETS})
    scores = {i: {"chosen": 1.0, "rejected": 0.0} for i in range(len(SUBSETS))}
    return rows, scores


def test_sections_weigh_subsets_by_the_official_counts(one_each, rewards):
    """With math-prm at 984 and the xstest counts 154 and 250."""
    rows, scores = one_each
    for name in ("math-prm", "xstest-should-refuse", "mt-bench-hard"):
        scores[SUBSETS.index(name)]["chosen"] = -1.0
    result = score_suite("rewardbench", rows, rewards(scores))
    expected = {
        "Chat": 1.0,
        "Chat Hard": (456 - 37) / 456,
        "Safety": (740 - 154) / 740,
        "Reasoning": 0.5,
    }
    assert result.table["score"][list(expected)].to_dict() == pytest.approx(expected)
    assert result.overall == pytest.approx(sum(expected.values()) / 4)
    swapped = result.table.loc["Safety (xstest counts before PR 175)", "score"]
    assert swapped == pytest.approx((740 - 250) / 740)
    older = score_suite(
        "rewardbench", rows, rewards(scores), version="v1-xstest-swapped"
    )
    assert older.overall == pytest.approx(
        (sum(expected.values()) - expected["Safety"] + (740 - 250) / 740) / 4
    )


def test_a_tie_is_wrong(one_each, rewards):
    """The comparison is strict."""
    rows, scores = one_each
    scores[SUBSETS.index("donotanswer")]["chosen"] = 0.0
    result = score_suite("rewardbench", rows, rewards(scores))
    assert result.table.loc["donotanswer", "score"] == 0.0


def test_prior_sets_have_half_a_section_weight(one_each, rewards):
    """And those that are absent are left out."""
    rows, scores = one_each
    rows = pd.concat(
        [rows, pd.DataFrame({"id": [100, 101], "subset": ["shp", "summarize"]})]
    )
    scores |= {
        100: {"chosen": 1.0, "rejected": 2.0},
        101: {"chosen": 3.0, "rejected": 2.0},
    }
    plain = score_suite("rewardbench", rows, rewards(scores))
    assert plain.overall == 1.0
    older = score_suite("rewardbench", rows, rewards(scores), version="v1-prior-sets")
    assert older.overall == pytest.approx((2 * 4 + 0.5) / 9)


@pytest.mark.parametrize(
    ("winner", "credit"),
    [("chosen", 1.0), ("rejected", 0.0), ("tie", 0.5), (None, 0.5)],
)
def test_a_judge_gets_half_for_a_tie_or_no_verdict(one_each, verdicts, winner, credit):
    """As generative judges do in the benchmark."""
    rows, scores = one_each
    table = verdicts(dict.fromkeys(scores, (winner,)))
    assert score_suite("rewardbench", rows, table).overall == credit


def test_a_missing_section_leaves_no_official_score(one_each, rewards):
    """One subset alone is partial, and says of what there is nothing."""
    rows, scores = one_each
    result = score_suite("rewardbench", rows.iloc[:1], rewards({0: scores[0]}))
    assert math.isnan(result.overall)
    assert "no rows of alpacaeval-length" in result.partial[0]
    assert result.table.loc["alpacaeval-easy", "score"] == 1.0
    assert "overall" not in result.table.index
    assert "PARTIAL" in str(result)


def test_a_subset_of_another_benchmark_is_refused(rewards):
    """With the names of those known."""
    rows = pd.DataFrame({"id": [0], "subset": ["mystery"]})
    with pytest.raises(InvalidInputError, match=r"alpacaeval-easy.*'mystery'"):
        score_suite("rewardbench", rows, rewards({0: {"chosen": 1, "rejected": 0}}))


def test_an_unknown_version_is_refused(one_each, rewards):
    """With the versions there are."""
    rows, scores = one_each
    with pytest.raises(InvalidInputError, match="v1-xstest-swapped"):
        score_suite("rewardbench", rows, rewards(scores), version="v9")


@pytest.fixture
def six_domains():
    """One row of each domain but Ties, and two prompts of Ties."""
    rows = [
        {"id": name, "subset": name, "num_correct": 1, "total_completions": 4}
        for name in DOMAINS[:-1]
    ]
    rows += [
        {"id": "ref:1", "num_correct": 1, "total_completions": 2},
        {"id": "tied:1", "num_correct": 2, "total_completions": 3},
        {"id": "ref:2", "num_correct": 1, "total_completions": 2},
        {"id": "tied:2", "num_correct": 2, "total_completions": 3},
        {"id": "tied:9", "num_correct": 2, "total_completions": 3},
    ]
    scores = {name: {"chosen": [2.0], "rejected": [1.0, 0, 0]} for name in DOMAINS[:-1]}
    scores |= {
        # Gap 3, above the spread of 1 of the tied ones, whose gap is 2.
        "ref:1": {"chosen": [4.0], "rejected": [1.0]},
        "tied:1": {"chosen": [4.0, 3.0], "rejected": [1.0]},
        # The reference is right by 1, the tied by 5 with a spread of 2.
        "ref:2": {"chosen": [1.0], "rejected": [0.0]},
        "tied:2": {"chosen": [9.0, 7.0], "rejected": [2.0]},
        # Wrong, and without a reference: in no margin.
        "tied:9": {"chosen": [9.0, 1.0], "rejected": [2.0]},
    }
    return pd.DataFrame(rows).fillna({"subset": "Ties"}), scores


def test_the_ties_score_is_that_of_the_benchmark(six_domains, rewards):
    """Accuracies, margins of prompts that have both kinds, and the small term."""
    rows, scores = six_domains
    result = score_suite("rewardbench2", rows, rewards(scores))
    tied, ref, margin, hard = 2 / 3, 1.0, 1.0, 0.5
    small = (math.tanh(2 / 1 - 1) + math.tanh(1 / 2 - 1)) / 2
    ties = 0.3 * tied + 0.3 * ref + 0.2 * margin + 0.2 * hard + 0.01 * small
    assert result.table.loc["Ties", "score"] == pytest.approx(ties)
    assert result.overall == pytest.approx((5 + ties) / 6)


def test_an_exact_tie_at_the_top_is_shared(six_domains, rewards):
    """Of three responses that are best, chosen has a third."""
    rows, scores = six_domains
    scores["Math"] = {"chosen": [2.0], "rejected": [2.0, 2.0, 0.0]}
    scores["Focus"] = {"chosen": [1.0], "rejected": [2.0, 1.0, 1.0]}
    result = score_suite("rewardbench2", rows, rewards(scores))
    assert result.table.loc["Math", "score"] == pytest.approx(1 / 3)
    assert result.table.loc["Focus", "score"] == 0.0


def test_a_margin_of_zero_over_zero_counts_zero(six_domains, rewards):
    """All of one prompt's rewards are equal."""
    rows, scores = six_domains
    scores["ref:1"] = {"chosen": [1.0], "rejected": [1.0]}
    scores["tied:1"] = {"chosen": [1.0, 1.0], "rejected": [1.0]}
    result = score_suite("rewardbench2", rows, rewards(scores))
    small = result.table.loc["Ties: tanh of margin", "score"]
    assert small == pytest.approx(math.tanh(1 / 2 - 1) / 2)


def test_ids_of_ties_have_a_kind_and_a_number(six_domains, rewards):
    """Others cannot be paired."""
    rows, scores = six_domains
    rows["id"] = rows["id"].replace("ref:1", "one")
    scores["one"] = scores.pop("ref:1")
    with pytest.raises(InvalidInputError, match=r"'ref:N' and 'tied:N'.*'one'"):
        score_suite("rewardbench2", rows, rewards(scores))


def test_a_response_without_a_reward_makes_its_row_missing(six_domains, rewards):
    """And the domain partial, not the others."""
    rows, scores = six_domains
    scores["Math"]["rejected"][2] = np.nan
    scores["ref:1"]["chosen"][0] = np.nan
    result = score_suite("rewardbench2", rows, rewards(scores))
    assert math.isnan(result.overall)
    assert result.coverage.found == len(rows) - 2
    assert result.table["partial"][["Math", "Ties", "Focus"]].tolist() == [
        True,
        True,
        False,
    ]
