"""JudgeBench, LLMBar, HelpSteer, FairEval and MT-Bench, by hand."""

import math

import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from embrm.evaluate.suites import score_suite
from embrm.exceptions import InvalidInputError


@pytest.fixture
def judgebench():
    sources = ["mmlu-pro-law", "mmlu-pro-math", "livebench-reasoning"]
    sources += ["livebench-math", "livecodebench"]
    return pd.DataFrame(
        {
            "pair_id": list("abcde"),
            "source": sources,
            "label": ["A>B", "B>A", "A>B", "B>A", "A>B"],
        }
    )


def test_judgebench_has_both_averages(judgebench, rewards):
    """Micro over pairs is the headline, macro over sources beside it."""
    scores = {
        "a": {"response_A": 2.0, "response_B": 1.0},
        "b": {"response_A": 2.0, "response_B": 1.0},
        "c": {"response_A": 2.0, "response_B": 1.0},
        "d": {"response_A": 1.0, "response_B": 1.0},
        "e": {"response_A": 0.0, "response_B": 1.0},
    }
    result = score_suite("judgebench", judgebench, rewards(scores))
    assert result.overall == result.table.loc["micro", "score"] == pytest.approx(2 / 5)
    assert result.table.loc["macro", "score"] == pytest.approx((1 / 2 + 1) / 4)


def test_a_judge_is_right_with_more_right_verdicts_than_wrong(judgebench, verdicts):
    """Right and tie is right, right and wrong cancels, tie and tie is wrong."""
    table = verdicts(
        {
            "a": ("A>B", "tie"),
            "b": ("B>A", "A>B"),
            "c": ("tie", "tie"),
            "d": ("B>A", None),
            "e": (None, None),
        }
    )
    result = score_suite("judgebench", judgebench, table)
    assert result.overall == pytest.approx(2 / 5)
    assert result.coverage == 1


def test_a_pair_judged_in_one_order_only_is_missing(judgebench, verdicts):
    """Where others were judged in both."""
    table = verdicts(dict.fromkeys("abcd", ("A>B", "A>B")) | {"e": ("A>B",)})
    result = score_suite("judgebench", judgebench, table)
    assert math.isnan(result.overall)
    assert result.coverage.missing == (4,)


def test_winners_that_look_like_positions_are_noticed(verdicts):
    """Orders that hardly ever agree: the swapped one was not mapped back."""
    rows = pd.DataFrame({"id": range(40), "label": [1, 2] * 20})
    raw = {n: ("1", "2") if n % 2 else ("2", "1") for n in range(40)}
    notes = score_suite("llmbar", rows, verdicts(raw)).notes
    assert any("if winners name positions" in note for note in notes)
    mapped = {n: ("1", "1") if n % 2 else ("2", "2") for n in range(40)}
    notes = score_suite("llmbar", rows, verdicts(mapped)).notes
    assert not any("positions" in note for note in notes)


def test_response_models_stand_apart(judgebench, rewards):
    """The leaderboard is over the pairs of one."""
    judgebench["response_model"] = ["gpt"] * 3 + ["claude"] * 2
    scores = {i: {"response_A": 1.0, "response_B": 0.0} for i in "abcde"}
    table = score_suite("judgebench", judgebench, rewards(scores)).table["score"]
    assert table["micro (gpt)"] == pytest.approx(2 / 3)
    assert table["micro (claude)"] == pytest.approx(1 / 2)


@pytest.fixture
def llmbar():
    return pd.DataFrame(
        {
            "subset": ["Natural", "Natural", "Manual", "GPTOut"],
            "label": [1, 2, 1, 2],
        }
    )


def test_llmbar_counts_a_tie_of_rewards_one_half(llmbar, rewards):
    """And averages subsets, not pairs; rows are known by their index."""
    scores = {
        0: {"output_1": 1.0, "output_2": 0.0},
        1: {"output_1": 1.0, "output_2": 1.0},
        2: {"output_1": 1.0, "output_2": 0.0},
        3: {"output_1": 1.0, "output_2": 0.0},
    }
    table = score_suite("llmbar", llmbar, rewards(scores))
    assert table.overall == pytest.approx((0.75 + 1 + 0) / 3)
    assert table.table.loc["micro", "score"] == pytest.approx(2.5 / 4)
    adversarial = table.table.loc["Adversarial (mean of subsets)", "score"]
    assert adversarial == pytest.approx(0.5)
    assert table.table.loc["both right", "score"] == pytest.approx(2 / 4)


def test_llmbar_of_a_judge_averages_both_orders(llmbar, verdicts):
    """With their agreement and its kappa."""
    votes = {0: ("1", "1"), 1: ("2", "1"), 2: ("1", "2"), 3: ("2", "2")}
    table = score_suite("llmbar", llmbar.drop(columns="subset"), verdicts(votes)).table
    assert table.loc["overall", "score"] == pytest.approx(6 / 8)
    assert table.loc["both right", "score"] == pytest.approx(2 / 4)
    assert table.loc["agreement", "score"] == pytest.approx(2 / 4)
    kappa = cohen_kappa_score(*zip(*votes.values(), strict=True))
    assert table.loc["kappa", "score"] == pytest.approx(kappa)


@pytest.mark.parametrize(
    ("suite", "column", "item"),
    [
        ("helpsteer2-preference", "preference_strength", "response_"),
        ("helpsteer3", "overall_preference", "response"),
    ],
)
def test_a_negative_strength_prefers_the_first_response(rewards, suite, column, item):
    """Pairs of strength 0 are left out, ties are wrong."""
    rows = pd.DataFrame({"id": [1, 2, 3, 4], column: [-3, 1, 0, 2]})
    scores = {
        1: {f"{item}1": 1.0, f"{item}2": 0.0},
        2: {f"{item}1": 0.0, f"{item}2": 1.0},
        3: {f"{item}1": 0.0, f"{item}2": 1.0},
        4: {f"{item}1": 1.0, f"{item}2": 1.0},
    }
    result = score_suite(suite, rows, rewards(scores))
    assert result.overall == pytest.approx(2 / 3)
    assert result.table.loc["strength 2", "score"] == 0.0
    assert "1 pairs of strength 0" in result.notes[0]


def test_strengths_out_of_range_are_refused(rewards):
    """They would be read with the wrong sign or scale."""
    rows = pd.DataFrame({"id": [1], "preference_strength": [7]})
    scores = rewards({1: {"response_1": 1.0, "response_2": 0.0}})
    with pytest.raises(InvalidInputError, match="from -3 to 3"):
        score_suite("helpsteer2-preference", rows, scores)


def test_faireval_agrees_with_the_majority_ties_included(rewards):
    """By label or by votes, with Cohen's kappa."""
    rows = pd.DataFrame(
        {"question_id": [1, 2, 3, 4], "label": ["CHATGPT", "VICUNA13B", "TIE", "TIE"]}
    )
    scores = {
        1: {"answer_1": 8, "answer_2": 7},
        2: {"answer_1": 8, "answer_2": 7},
        3: {"answer_1": 8, "answer_2": 8},
        4: {"answer_1": 7, "answer_2": 8},
    }
    result = score_suite("faireval", rows, rewards(scores))
    assert result.overall == pytest.approx(2 / 4)
    assert result.table.loc["accuracy without ties", "score"] == pytest.approx(1 / 2)
    kappa = cohen_kappa_score([1, -1, 0, 0], [1, 1, 0, -1])
    assert result.table.loc["kappa", "score"] == pytest.approx(kappa)
    rows["votes"] = [[1, 1, 2], [2, "tie", 2], [1, 2, "tie"], ["TIE", "TIE", 1]]
    by_votes = score_suite("faireval", rows.drop(columns="label"), rewards(scores))
    assert by_votes.overall == result.overall


def test_a_row_without_a_label_is_refused(rewards):
    """It cannot be right or wrong."""
    rows = pd.DataFrame({"id": [1], "label": [None]})
    scores = rewards({1: {"output_1": 1.0, "output_2": 0.0}})
    with pytest.raises(InvalidInputError, match="a label in every row"):
        score_suite("llmbar", rows, scores)


@pytest.fixture
def votes():
    """Three experts on one pair, two on another, which one names in reverse."""
    return pd.DataFrame(
        {
            "question_id": [81, 81, 81, 82, 82, 82],
            "model_a": ["gpt", "gpt", "gpt", "gpt", "claude", "gpt"],
            "model_b": ["claude", "claude", "claude", "claude", "gpt", "claude"],
            "winner": ["model_a", "model_a", "tie", "model_b", "model_a", "model_a"],
            "judge": [
                "expert_1",
                "expert_2",
                "expert_3",
                "expert_1",
                "expert_2",
                "author_1",
            ],
            "turn": [1] * 6,
        }
    )


def test_mt_bench_agreement_is_over_the_votes_of_experts(votes):
    """With and without ties; the majority and people among each other beside it."""
    scores = pd.DataFrame(
        {
            "id": [81, 81, 82, 82],
            "item": ["gpt", "claude"] * 2,
            "reward": [2.0, 1.0, 2.0, 1.0],
        }
    )
    table = score_suite("mt-bench-human", votes, scores).table["score"]
    # gpt is said to win both: two of three votes agree, and none of two.
    assert table["turn 1 with ties"] == pytest.approx(2 / 5)
    assert table["turn 1 without ties"] == table["overall"] == pytest.approx(2 / 4)
    assert table["majority with ties"] == pytest.approx(1 / 2)
    # Pairs of votes: (a, a), (a, tie), (a, tie); and both for claude.
    assert table["people, turn 1 with ties"] == pytest.approx(2 / 4)
    assert table["people, turn 1 without ties"] == pytest.approx(2 / 2)


def test_a_judge_that_changes_with_the_order_says_a_tie(votes):
    """It agrees with the one vote for a tie."""
    judged = pd.DataFrame(
        {
            "id": [81, 81, 82, 82],
            "model_a": ["gpt"] * 4,
            "order": [0, 1] * 2,
            "winner": ["model_a", "model_b", "model_b", "model_b"],
        }
    )
    kept = votes[votes["model_a"] == "gpt"]
    table = score_suite("mt-bench-human", kept, judged).table["score"]
    assert table["with ties"] == pytest.approx(2 / 4)
    assert table["without ties"] == pytest.approx(1.0)
