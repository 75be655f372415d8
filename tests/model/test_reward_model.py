"""RewardModel: frames in, rewards out."""

import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from sklearn.base import clone

from embrm import RewardModel, load_model, save_model
from embrm.datasets import read_preferences
from embrm.embed import Fingerprint, make_encoder
from embrm.embed.cache import VectorCache
from embrm.evaluate import compare
from embrm.exceptions import (
    DataError,
    FingerprintMismatchError,
    InvalidInputError,
    LeakageWarning,
)
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


def test_evaluate_gives_intervals_and_the_length_baseline(pairs_frame, model):
    """On new prompts there is no warning; every metric has its interval."""
    new = pairs_frame.assign(prompt=[f"other {n}" for n in range(40)])
    evaluation = model.evaluate(new)
    interval = evaluation.order_consistency
    assert interval.low <= interval.estimate <= interval.high
    assert evaluation.length_baseline is not None
    assert evaluation.n_pairs == 40


def test_evaluating_on_training_prompts_warns(pairs_frame, model):
    """Leaked prompts are counted in a warning, at the line that evaluates."""
    with pytest.warns(LeakageWarning, match="40 of 40 pairs have a prompt") as caught:
        model.evaluate(pairs_frame)
    assert caught[0].filename == __file__


def test_ties_duplicated_labels_and_own_columns_survive(model):
    """best_of_n works by position; a column called rank stays the caller's."""
    frame = pd.DataFrame(
        {
            "prompt": ["p", "q", "p", "q"],
            "response": ["bad reply", "same", "good answer", "same"],
            "rank": ["a", "b", "c", "d"],
        },
        index=[0, 0, 1, 1],
    )
    best = model.best_of_n(frame)
    assert best["rank"].tolist() == ["b", "c"]
    assert best.index.tolist() == [0, 1]
    assert model.rank(frame, overwrite=True)["rank"].tolist() == [2, 1, 1, 1]


def test_an_empty_frame_gives_an_empty_answer(model, items_frame):
    """Nothing in, nothing out, with the right columns and dtypes."""
    empty = items_frame.iloc[:0]
    assert model.reward(empty).dtype == np.float64
    assert model.rank(empty).columns.tolist() == [
        *("prompt", "response", "reward", "rank")
    ]
    assert len(model.best_of_n(empty)) == 0


def test_another_encoder_needs_another_fit(pairs_frame, items_frame):
    """set_params takes effect: scoring is refused, then a fit makes it good."""
    model = RewardModel("hashing:32").fit(pairs_frame)
    before = model.fingerprint_
    model.set_params(encoder="hashing:64")
    with pytest.raises(FingerprintMismatchError, match="or fit again"):
        model.reward(items_frame)
    model.fit(pairs_frame)
    assert (before.dim, model.fingerprint_.dim) == (32, 64)
    assert model.encoder_.dim == 64
    assert model.reward(items_frame).notna().all()


def test_vectors_are_those_of_the_encoder_that_is_set(pairs_frame):
    """embed and fit_pairs do not use an encoder from before set_params."""
    model = RewardModel("hashing:32").fit(pairs_frame)
    model.set_params(encoder="hashing:64")
    preferences = model.read(pairs_frame)
    vectors = model.embed(preferences.texts).vectors
    assert vectors.shape[1] == 64
    model.fit_pairs(preferences, preferences.to_pairs(vectors))
    assert model.fingerprint_.dim == 64


def test_vectors_of_another_length_are_not_fitted_on(pairs_frame):
    """They cannot be this encoder's."""
    model = RewardModel("hashing:32")
    preferences = model.read(pairs_frame)
    pairs = preferences.to_pairs(np.zeros((len(preferences.items), 31)))
    with pytest.raises(InvalidInputError, match="d = 32; got d = 31"):
        model.fit_pairs(preferences, pairs)


def test_another_cache_is_used_from_then_on(pairs_frame, tmp_path):
    """No vector goes to, or comes from, the old directory."""
    model = RewardModel("hashing:32", cache=tmp_path / "a").fit(pairs_frame)
    model.set_params(cache=tmp_path / "b").fit(pairs_frame)
    texts = model.read(pairs_frame).texts
    assert model.embed(texts).n_embedded == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    model.set_params(cache=None)
    assert model.embed(texts).n_hits == 0


def test_a_fit_that_fails_changes_nothing(pairs_frame, items_frame):
    """A fitted model stays what it was."""
    model = RewardModel("hashing:32").fit(pairs_frame)
    before = model.reward(items_frame)
    model.set_params(head="no such head", encoder="hashing:64")
    with pytest.raises(InvalidInputError, match="unknown head"):
        model.fit(pairs_frame)
    model.set_params(encoder="hashing:32")
    pd.testing.assert_series_equal(model.reward(items_frame), before)


@pytest.mark.parametrize("kind", ["none", "path", "object"])
def test_a_model_travels_to_other_processes(kind, pairs_frame, items_frame, tmp_path):
    """Pickled by joblib, with a cache or without, it scores the same."""
    path = tmp_path / "vectors"
    cache = {"none": None, "path": path, "object": VectorCache(path)}[kind]
    model = RewardModel("hashing:32", cache=cache).fit(pairs_frame)
    copy = pickle.loads(pickle.dumps(model))
    pd.testing.assert_series_equal(copy.reward(items_frame), model.reward(items_frame))


def test_two_processes_score_with_one_model(pairs_frame, items_frame, tmp_path):
    """joblib takes the bound method; both use the cache."""
    model = RewardModel("hashing:32", cache=tmp_path / "v").fit(pairs_frame)
    results = Parallel(n_jobs=2)(delayed(model.reward)(items_frame) for _ in range(2))
    for result in results:
        pd.testing.assert_series_equal(result, model.reward(items_frame))


def test_clones_share_the_encoder_and_the_cache(tmp_path):
    """Neither is copied: encoders never change, and a cache holds locks."""
    model = RewardModel(
        make_encoder("hashing:32"),
        LinearBradleyTerry(alpha=2.0),
        VectorCache(tmp_path / "v"),
    )
    copy = clone(model)
    assert copy.encoder is model.encoder
    assert copy.cache is model.cache
    assert copy.head is not model.head
    assert copy.head.alpha == 2.0


def test_parameters_of_the_head_can_be_set():
    """As grid searches do."""
    model = RewardModel("hashing", LinearBradleyTerry()).set_params(head__alpha=3.0)
    assert model.get_params()["head__alpha"] == 3.0


def test_the_representation_is_short(model, tmp_path):
    """It shows parameters, and no vectors."""
    model = RewardModel(make_encoder("hashing"), cache=VectorCache(tmp_path))
    assert len(repr(model)) < 500


@pytest.mark.parametrize(
    "names",
    [
        {"prompt": "question", "chosen": "won", "rejected": "lost"},
        {"prompt": "question", "response": "answer", "score": "stars"},
    ],
    ids=["pairs", "ratings"],
)
def test_every_column_may_have_another_name(names, pairs_frame, items_frame):
    """chosen, rejected, response and score, too."""
    columns = {"response": "answer", **names}
    rated = items_frame.assign(score=[0, 1, 2, 3, 4])
    frame = pairs_frame if "chosen" in names else rated
    renamed = frame.rename(columns=columns)
    fitted = RewardModel("hashing", columns=columns).fit(renamed)
    ranked = fitted.rank(items_frame.rename(columns=columns))
    expected = RewardModel("hashing").fit(frame).rank(items_frame)
    assert ranked["rank"].tolist() == expected["rank"].tolist()
    assert fitted.score(renamed) == RewardModel("hashing").fit(frame).score(frame)


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
    assert fitted.read_report_.n_kept == 39
    with pytest.raises(DataError, match="row 4"):
        RewardModel("hashing").fit(holed)


def test_an_encoder_may_recognise_the_fingerprint_of_the_fit(pairs_frame, items_frame):
    """A server whose answers are noisy is the same encoder after it is asked anew."""

    class Drifting:
        """Hashing, with a fingerprint that differs in each object."""

        def __init__(self, noise):
            self._hashing = make_encoder("hashing:16")
            fields = {**self._hashing.fingerprint.fields, "noise": noise}
            self.fingerprint = Fingerprint(
                fields, self._hashing.fingerprint.dim, self._hashing.fingerprint.dtype
            )

        def encode(self, texts, *, on_batch=None):
            return self._hashing.encode(texts, on_batch=on_batch)

        def recognise(self, known):
            self.fingerprint = next(iter(known), self.fingerprint)
            return True

    model = RewardModel(encoder=Drifting(0.1)).fit(pairs_frame)
    expected = model.reward(items_frame)
    model.encoder = Drifting(0.2)
    pd.testing.assert_series_equal(model.reward(items_frame), expected)


def test_vectors_of_another_length_are_refused(pairs_frame):
    """Before the head is fitted: they are not those of this encoder."""
    preferences = read_preferences(pairs_frame)
    vectors = np.zeros((len(preferences.items), 5))
    with pytest.raises(InvalidInputError, match=r"d = 256; got d = 5.*this model's"):
        RewardModel("hashing").fit_pairs(preferences, preferences.to_pairs(vectors))


def test_rewards_of_vectors_can_be_net_of_style():
    """What servers give of a model with a block of style equals reward(control=)."""
    rows = [
        {
            "prompt": f"p{n}",
            "chosen": f"good answer {n} " * (1 + n % 3),
            "rejected": "no",
        }
        for n in range(20)
    ]
    model = RewardModel(encoder=["hashing:64", "style"]).fit(rows)
    items = pd.DataFrame({"prompt": ["p1", "p1"], "response": ["good " * 9, "good"]})
    vectors = model.embed(list(items.itertuples(index=False, name=None))).vectors
    net, _ = model.reward_vectors(vectors, with_std=False, control=model.net_of)
    np.testing.assert_allclose(net, model.reward(items, control="style"), atol=1e-6)
    assert not np.allclose(net, model.reward(items))
    plain = RewardModel(encoder="hashing:64").fit(rows)
    assert plain.net_of is None
    with pytest.raises(InvalidInputError, match="vectors with a block 'style'"):
        plain.reward_vectors(vectors[:, :64], control="style")


def test_fit_and_evaluate_take_what_a_column_means():
    """A frame with low scores for good answers needs no detour over Preferences."""
    rows = [
        {"prompt": f"p{n}", "response": f"{word} {n}", "score": rank}
        for n in range(20)
        for rank, word in enumerate(["good answer", "bad reply"], start=1)
    ]
    df = pd.DataFrame(rows)
    model = RewardModel(encoder="hashing:64").fit(df, lower_is_better=True)
    rewards = model.reward(df).to_numpy().reshape(-1, 2)
    assert (rewards[:, 0] > rewards[:, 1]).all()
    with pytest.warns(LeakageWarning):
        right = model.evaluate(df, lower_is_better=True)
    with pytest.warns(LeakageWarning):
        wrong = model.evaluate(df)
    assert right.order_consistency.estimate == 1.0
    assert wrong.order_consistency.estimate == 0.0


def test_a_stored_model_keeps_what_the_columns_are_called(tmp_path):
    """Fitted on a frame with names of its own, it rewards such frames once loaded."""
    rows = [
        {"ticket": f"t{n}", "reply": f"{word} {n}", "grade": grade}
        for n in range(8)
        for grade, word in enumerate(["bad reply", "good answer"])
    ]
    named = {"prompt": "ticket", "response": "reply", "score": "grade"}
    model = RewardModel(encoder="hashing:64", columns=named).fit(rows)
    again = load_model(save_model(model, tmp_path / "model"))
    items = pd.DataFrame(rows).drop(columns="grade")
    assert (again.reward(items) == model.reward(items)).all()
    with pytest.warns(LeakageWarning):
        assert again.evaluate(rows).order_consistency.estimate == 1.0
    table = compare({"one": model, "two": again}, rows)
    assert table["order_consistency"].tolist() == [1.0, 1.0]


def test_columns_the_wrong_way_round_are_said_to_be(tmp_path):
    """With the mapping that was meant."""
    with pytest.raises(
        InvalidInputError, match=r"turn it round: columns=\{'prompt': 'ticket'"
    ):
        RewardModel(columns={"ticket": "prompt"}).fit([{"ticket": "a"}])


def test_grades_under_other_names_are_told_what_is_lacking():
    """Not the columns of another format."""
    with pytest.raises(DataError, match="the prompt of 'reply', and what says how"):
        RewardModel("hashing").fit([{"ticket": "a", "reply": "b", "grade": 3}])
