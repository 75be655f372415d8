"""RewardModel: frames in, rewards out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from embrm import RewardModel
from embrm.embed.cache import VectorCache
from embrm.exceptions import DataError, InvalidInputError, LeakageWarning
from embrm.heads import LinearBradleyTerry


@pytest.fixture(scope="module")
def pairs_frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "prompt": f"question {n}",
            "chosen": f"good answer {rng.integers(99)}",
            "rejected": f"bad reply {rng.integers(99)}",
        }
        for n in range(40)
    ]
    return pd.DataFrame(rows, index=[f"row{n}" for n in range(40)])


@pytest.fixture(scope="module")
def items_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "prompt": ["new a", "new b", "new a", "new b", "new a"],
            "response": ["bad reply", "good answer", "good answer", "bad", "so so"],
        },
        index=[10, 20, 30, 40, 50],
    )


@pytest.fixture(scope="module")
def model(pairs_frame) -> RewardModel:
    """Fitted; do not refit."""
    return RewardModel(encoder="hashing").fit(pairs_frame)


def test_reward_keeps_the_index(model, items_frame):
    """A Series named reward comes back with the frame's index."""
    reward = model.reward(items_frame)
    assert reward.name == "reward"
    assert reward.index.equals(items_frame.index)
    assert reward.dtype == np.float64


def test_better_answers_get_higher_rewards(model, items_frame):
    """The planted difference is found."""
    reward = model.reward(items_frame)
    assert reward[30] > reward[10]
    assert reward[20] > reward[40]


def test_rank_is_within_each_prompt(model, items_frame):
    """rank 1 is the best response of its prompt; columns and order stay."""
    ranked = model.rank(items_frame)
    assert ranked.index.equals(items_frame.index)
    assert sorted(ranked.loc[[10, 30, 50], "rank"]) == [1, 2, 3]
    assert ranked.loc[30, "rank"] == ranked.loc[20, "rank"] == 1


def test_equal_responses_share_the_better_rank(model):
    """Ties have the same rank, and best_of_n keeps the first of them."""
    twice = pd.DataFrame({"prompt": ["p"] * 2, "response": ["same"] * 2})
    assert model.rank(twice)["rank"].tolist() == [1, 1]
    assert model.best_of_n(twice).index.tolist() == [0]


def test_best_of_n_keeps_one_row_per_prompt(model, items_frame):
    """The row with the highest reward stays, in the frame's order."""
    best = model.best_of_n(items_frame)
    assert best.index.tolist() == [20, 30]
    assert "rank" not in best


def test_the_callers_frame_is_left_alone(model, items_frame):
    """rank and best_of_n add columns to a copy."""
    before = items_frame.copy()
    model.best_of_n(items_frame)
    pd.testing.assert_frame_equal(items_frame, before)


def test_predictions_on_pair_frames_are_those_of_the_head(model, pairs_frame):
    """predict, predict_proba and decision_function agree with one another."""
    delta = model.decision_function(pairs_frame)
    proba = model.predict_proba(pairs_frame)
    assert delta.shape == (40,)
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-delta)))
    np.testing.assert_array_equal(model.predict(pairs_frame), delta > 0)
    assert model.score(pairs_frame) == np.mean(delta > 0)


def test_swapping_columns_negates_delta_exactly(model, pairs_frame):
    """First is chosen: exchanging chosen and rejected swaps every pair."""
    swapped = pairs_frame.rename(columns={"chosen": "rejected", "rejected": "chosen"})
    np.testing.assert_array_equal(
        model.decision_function(swapped), -model.decision_function(pairs_frame)
    )


def test_rated_responses_are_compared_within_their_prompt():
    """prompt, response, score becomes all same-prompt pairs of different scores."""
    df = pd.DataFrame(
        {
            "prompt": ["a"] * 3 + ["b"] * 2,
            "response": ["x", "y", "z", "x", "y"],
            "score": [2.0, 1.0, 0.0, 1.0, 1.0],
        }
    )
    fitted = RewardModel(encoder="hashing").fit(df)
    assert fitted.training_["n_pairs"] == 3


def test_ranked_lists_are_accepted():
    """prompt, responses, ranking: rank 0 is the best."""
    df = pd.DataFrame(
        {
            "prompt": ["a"],
            "responses": [["good", "bad", "ugly"]],
            "ranking": [[0, 1, 2]],
        }
    )
    fitted = RewardModel(encoder="hashing").fit(df)
    ordered = fitted.rank(pd.DataFrame({"prompt": "a", "response": ["ugly", "good"]}))
    assert ordered["rank"].tolist() == [2, 1]


def test_columns_may_have_other_names(pairs_frame, items_frame, model):
    """`columns` maps embrm's names to the frame's, in fit and in reward."""
    renamed = RewardModel("hashing", columns={"prompt": "question"}).fit(
        pairs_frame.rename(columns={"prompt": "question"})
    )
    got = renamed.reward(items_frame.rename(columns={"prompt": "question"}))
    np.testing.assert_array_equal(got, model.reward(items_frame))


def test_conversations_are_prompts_too(pairs_frame, items_frame, model):
    """A single user turn gives the same reward as its text."""
    turns = [[{"role": "user", "content": text}] for text in items_frame["prompt"]]
    reward = model.reward(items_frame.assign(prompt=turns))
    np.testing.assert_array_equal(reward, model.reward(items_frame))


def test_a_second_run_embeds_nothing(pairs_frame, tmp_path):
    """With a cache, the same texts are never embedded twice."""
    cache = VectorCache(tmp_path / "vectors")
    fitted = RewardModel("hashing", cache=cache).fit(pairs_frame)
    texts = fitted.read(pairs_frame).texts
    assert fitted.embed(texts).n_embedded == 0
    again = RewardModel("hashing", cache=tmp_path / "vectors").embed(texts)
    assert (again.n_embedded, again.n_hits) == (0, again.n_unique)


def test_evaluate_gives_intervals_and_the_length_ruler(pairs_frame, model):
    """On new prompts there is no warning; every metric has its interval."""
    new = pairs_frame.assign(prompt=[f"other {n}" for n in range(40)])
    evaluation = model.evaluate(new)
    interval = evaluation.order_consistency
    assert interval.low <= interval.estimate <= interval.high
    assert evaluation.length_ruler is not None
    assert evaluation.n_pairs == 40


def test_evaluating_on_training_prompts_warns(pairs_frame, model):
    """Leaked prompts are counted in a warning."""
    with pytest.warns(LeakageWarning, match="40 of 40 pairs have a prompt"):
        model.evaluate(pairs_frame)


def test_a_head_instance_is_cloned_not_fitted(pairs_frame):
    """The caller's head stays unfitted, and its parameters count."""
    head = LinearBradleyTerry(alpha=100.0)
    fitted = RewardModel("hashing", head).fit(pairs_frame)
    assert not hasattr(head, "coef_")
    assert fitted.head_.alpha == 100.0


def test_parameters_are_stored_as_given_and_can_be_cloned():
    """The scikit-learn contract: clone gives an equal, unfitted model."""
    model = RewardModel("hashing", "linear", columns={"prompt": "q"})
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"prompt": ["a"], "response": ["b"], "score": [1.0]}, "1 items and no pair"),
        (
            {"prompt": ["a"] * 2, "response": ["b", "c"], "score": [1.0, 1.0]},
            "2 items and no pair",
        ),
        ({"prompt": ["a"], "chosen": ["b"], "rejected": ["b"]}, "same response twice"),
        ({"this": ["a"], "that": ["b"]}, "that"),
    ],
)
def test_frames_that_hold_no_preference_are_refused(data, message):
    """The error says what there was instead."""
    with pytest.raises(DataError, match=message):
        RewardModel("hashing").fit(pd.DataFrame(data))


def test_an_unknown_head_lists_the_known_ones(pairs_frame):
    """Words that name no head give the list of those that do."""
    with pytest.raises(InvalidInputError, match="unknown head 'bt'; known: linear"):
        RewardModel("hashing", head="bt").fit(pairs_frame)


def test_bad_rows_can_be_left_out_and_are_counted(pairs_frame):
    """on_error="skip" keeps the rest; the account and a warning say what went."""
    holed = pairs_frame.copy()
    holed.loc["row3", "chosen"] = None
    with pytest.warns(UserWarning, match="1 left out"):
        fitted = RewardModel("hashing").fit(holed, on_error="skip")
    assert fitted.account_.n_kept == 39
    with pytest.raises(DataError, match="row 4"):
        RewardModel("hashing").fit(holed)
