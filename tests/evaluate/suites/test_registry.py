"""What every suite refuses, labels and promises."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.evaluate.suites import known_suites, score_suite, suite_items
from embrm.exceptions import InvalidInputError

ROWS = pd.DataFrame({"id": [1, 2, 3], "label": [1, 2, 1]})
SCORES = pd.DataFrame(
    {
        "id": [1, 1, 2, 2, 3, 3],
        "item": ["output_1", "output_2"] * 3,
        "reward": [1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
    }
)


def test_an_unknown_suite_is_refused_with_those_known():
    """They are named."""
    with pytest.raises(InvalidInputError, match="rewardbench, rewardbench2, rm-bench"):
        score_suite("mmlu", ROWS, SCORES)


@pytest.mark.parametrize(
    ("rows", "scores", "words"),
    [
        (ROWS.iloc[[0, 0, 1]], SCORES, "each id once in the rows"),
        (ROWS.assign(id=[1, None, 3]), SCORES, "an id in every row of the rows"),
        (ROWS, pd.concat([SCORES, SCORES.iloc[[2]]]), "each item scored once.*id '2'"),
        (ROWS, SCORES.assign(reward="high"), "rewards that are numbers.*str"),
        (ROWS, SCORES.assign(reward=[True] * 6), "rewards that are numbers"),
        (ROWS, SCORES.assign(id=SCORES["id"] + 90), "none among 6 scores"),
        (
            ROWS,
            SCORES.replace("output_2", "output_9"),
            "items among output_1, output_2",
        ),
        (ROWS, SCORES.drop(columns="item"), "scores with columns id, item, reward; or"),
        (ROWS, SCORES.iloc[:0], "at least one row"),
        (ROWS, SCORES.assign(reward=np.nan), "at least one row with all of its scores"),
        (ROWS.drop(columns="label"), SCORES, "a column label in the rows"),
        ([1, 2], SCORES, "rows as a DataFrame"),
    ],
)
def test_bad_input_is_refused(rows, scores, words):
    """Each with a message of three parts."""
    with pytest.raises(InvalidInputError, match=words) as caught:
        score_suite("llmbar", rows, scores)
    assert "Fix:" in str(caught.value)


@pytest.mark.parametrize(
    "scores",
    [SCORES.iloc[:-1], SCORES.iloc[:-2], SCORES.assign(reward=[1, 0, 0, 1, 0, np.nan])],
    ids=["one side", "no side", "NaN"],
)
def test_a_row_that_is_not_scored_in_full_makes_it_partial(scores):
    """It counts neither as right nor as wrong, and no number looks official."""
    result = score_suite("llmbar", ROWS, scores)
    assert math.isnan(result.overall)
    assert result.coverage == pytest.approx(2 / 3)
    assert str(result.coverage) == "2 of 3 rows"
    assert result.coverage.missing == (2,)
    assert result.partial == ("2 of 3 rows are scored",)
    assert result.table.loc["overall (partial)", "score"] == 1.0
    assert "overall" not in result.table.index
    assert json.loads(json.dumps(result.to_json()))["overall"] is None


def test_scores_of_other_rows_are_counted():
    """They change nothing."""
    more = pd.DataFrame({"id": [77], "item": ["output_1"], "reward": [5.0]})
    result = score_suite("llmbar", ROWS, pd.concat([SCORES, more]))
    assert result.overall == score_suite("llmbar", ROWS, SCORES).overall
    assert result.coverage.n_unknown == 1
    assert "1 scores belong to none" in result.notes[0]


def test_ids_may_repeat_over_subsets_that_the_scores_name():
    """RM-Bench's ids repeat over domains."""
    rows = pd.DataFrame({"id": [1, 1], "subset": ["a", "b"], "label": [1, 1]})
    scores = SCORES.iloc[:4].assign(id=1, subset=["a", "a", "b", "b"])
    table = score_suite("llmbar", rows, scores).table["score"]
    assert table[["a", "b"]].tolist() == [1.0, 0.0]
    with pytest.raises(InvalidInputError, match="put that column into the scores"):
        score_suite("llmbar", rows, scores.drop(columns="subset"))


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=6), st.floats(0.1, 10))
@settings(max_examples=30)
def test_only_the_order_of_rewards_matters(values, factor):
    """Any increasing map of the rewards gives the same scores."""
    one = SCORES.assign(reward=np.array(values, float))
    other = one.assign(reward=np.exp(one["reward"] * factor) - 5)
    left, right = (score_suite("llmbar", ROWS, s).table for s in (one, other))
    pd.testing.assert_frame_equal(left, right)


def test_infinite_rewards_are_ordered():
    """Some judges give minus infinity to what they cannot read."""
    rewards = [np.inf, 0, -np.inf, 1, -np.inf, -np.inf]
    result = score_suite("llmbar", ROWS, SCORES.assign(reward=rewards))
    assert result.overall == pytest.approx(2.5 / 3)


def test_items_name_what_is_to_be_rewarded():
    """Lists with their index, and which of them are good."""
    rows = pd.DataFrame(
        [
            {
                "id": 8,
                "domain": "chat",
                "prompt": "Q",
                "chosen": ["a", "b", "c"],
                "rejected": ["d", "e", "f"],
            }
        ]
    )
    items = suite_items("rm-bench", rows)
    assert items["item"].tolist() == [
        f"{side}[{k}]" for side in ("chosen", "rejected") for k in range(3)
    ]
    assert items["good"].tolist() == [1.0] * 3 + [0.0] * 3
    assert items["domain"].tolist() == ["chat"] * 6
    scored = items.assign(reward=items["good"])
    assert score_suite("rm-bench", rows, scored).table.loc["chat", "score"] == 1.0


def test_rows_without_texts_have_no_items():
    """There is nothing to reward."""
    with pytest.raises(InvalidInputError, match="columns input and output_1"):
        suite_items("llmbar", ROWS)


def test_every_suite_of_the_field_is_known():
    """Names are fixed for callers."""
    assert set(known_suites()) >= {
        "rewardbench",
        "rewardbench2",
        "rm-bench",
        "judgebench",
        "llmbar",
        "rewardmath",
        "rmb",
        "ppe",
        "helpsteer2-preference",
        "helpsteer3",
        "mt-bench-human",
        "faireval",
        "alpacaeval",
    }


def test_published_scores_name_scores_of_the_table_and_their_source():
    """As shares, with where and when."""
    from embrm.evaluate.suites import published_scores

    frame = published_scores("rm-bench")
    assert frame["score"].between(0, 1).all()
    assert set(frame["name"]) == {"chat", "math", "code", "safety", "overall"}
    assert frame["source"].str.contains("20[0-9]{2}-").all()
    headline = frame[frame["name"] == "overall"].set_index("model")["score"]
    parts = frame[frame["name"] != "overall"].groupby("model")["score"].mean()
    pd.testing.assert_series_equal(
        headline.sort_index(), parts, atol=0.001, check_names=False
    )
    assert published_scores("ppe").empty


def test_a_result_shows_as_a_table_in_notebooks():
    """Headline first; a partial one says so."""
    shown = score_suite("llmbar", ROWS, SCORES.iloc[:-1])._repr_html_()
    assert shown.index("PARTIAL") < shown.index("<table")


def test_items_of_rmb_have_one_id_and_plain_messages():
    """Its two sets name ids differently, and its turns hold a language, too."""
    turn = {"role": "user", "content": "Hi", "language": "English"}
    answer = {"llm_name": "a", "answer": "Hello"}
    rows = pd.DataFrame(
        [
            {
                "pair_uid": "1",
                "category_path": "Pairwise_set/Harmlessness/S1",
                "conversation_input": [turn],
                "chosen": answer,
                "reject": answer,
            },
            {
                "bon_uid": "1",
                "category_path": "BoN_set/Harmlessness/S1",
                "conversation_input": [turn],
                "bon_best": answer,
                "loser_list": [answer, answer],
            },
        ]
    )
    items = suite_items("rmb", rows)
    assert items["item"].tolist() == [
        *("chosen", "reject", "bon_best"),
        *("loser_list[0]", "loser_list[1]"),
    ]
    assert items["prompt"].tolist() == [[{"role": "user", "content": "Hi"}]] * 5
    assert items["response"].tolist() == ["Hello"] * 5
    scored = score_suite("rmb", rows, items.assign(reward=items["good"]))
    assert scored.table.loc["Harmlessness/BoN", "score"] == 1.0


def test_items_of_rewardmath_may_be_rows():
    """With the steps of a solution in a list."""
    rows = pd.DataFrame(
        [
            {"id": n, "problem_id": 0, "problem": "2+2?", "solution_type": kind}
            | {"eval_solution": ["Add.", f"It is {n}."]}
            for n, kind in enumerate(("chosen", "rejected", "rejected"))
        ]
    )
    items = suite_items("rewardmath", rows)
    assert items["response"][0] == "Add.\nIt is 0."
    assert items["good"].tolist() == [1.0, 0.0, 0.0]
    scores = items.assign(reward=items["good"])
    assert score_suite("rewardmath", rows, scores).overall == 1.0
