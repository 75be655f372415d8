"""Every head by its name, on whatever data can be turned into what it learns from."""

import numpy as np
import pandas as pd
import pytest

from embrm import RewardModel, load_model, save_model
from embrm.datasets import read_preferences
from embrm.embed import HashingEncoder
from embrm.exceptions import DataError, InvalidInputError
from embrm.heads import (
    CalibratedReward,
    KTOReward,
    LinearBradleyTerry,
    MultiObjectiveReward,
    PlackettLuce,
    RegressionReward,
    TwoStageReward,
    known_heads,
    make_head,
)
from embrm.model import heads_that_fit, training_data
from embrm.report import cross_fit, evaluate_fit, make_leaderboard

NAMES = list(known_heads())
OF_RATINGS = ["regression", "multi-objective"]
WORDS = ["good", "fair", "poor", "bad"]
N = 30
SMALL = {
    "siamese": {"hidden_sizes": (4,), "linear_start": False, "max_epochs": 3},
    "ensemble": {"n_members": 2},
    "length-debiased": {"cv": None},
}


class CountingEncoder:
    """Knows how many texts it was given."""

    def __init__(self) -> None:
        self.hashing = HashingEncoder(32)
        self.fingerprint = self.hashing.fingerprint
        self.n_texts = 0

    def encode(self, texts):
        self.n_texts += len(texts)
        return self.hashing.encode(texts)


def make(name: str):
    """Make a head by name, with little to do and no chance."""
    return make_head(name, random_state=0, **SMALL.get(name, {}))


def response(n: int, word: str) -> str:
    return f"{word} answer number {n * 7 % 31}"


@pytest.fixture(scope="module")
def ratings() -> pd.DataFrame:
    """Prompts with four responses each, which earn 3, 2, 1 and 0."""
    rows = [
        {"prompt": f"question {n}", "response": response(n, word), "score": 3.0 - rank}
        for n in range(N)
        for rank, word in enumerate(WORDS)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def rankings() -> pd.DataFrame:
    """The same, as lists with ranks."""
    rows = [
        {
            "prompt": f"question {n}",
            "responses": [response(n, word) for word in WORDS],
            "ranking": [0, 1, 2, 3],
        }
        for n in range(N)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def labels() -> pd.DataFrame:
    """The same, each response good or bad by itself."""
    rows = [
        {"prompt": f"question {n}", "response": response(n, word), "label": rank < 2}
        for n in range(N)
        for rank, word in enumerate(WORDS)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    """The same, the best against the worst and the two between."""
    rows = [
        {
            "prompt": f"question {n}",
            "chosen": response(n, better),
            "rejected": response(n, worse),
        }
        for n in range(N)
        for better, worse in (("good", "bad"), ("fair", "poor"))
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def frames(ratings, rankings, labels, pairs) -> dict[str, pd.DataFrame]:
    return {"ratings": ratings, "rankings": rankings, "labels": labels, "pairs": pairs}


@pytest.mark.parametrize("name", NAMES)
def test_every_head_goes_the_whole_way_by_its_name(name, ratings, tmp_path):
    """From a frame of ratings: fitted, cross-fitted, evaluated, saved, loaded."""
    model = RewardModel("hashing:32", make(name)).fit(ratings)
    preferences = model.read(ratings)
    vectors = preferences.to_pairs(model.embed(preferences.texts).vectors)
    head = make(name)
    data = training_data(head, preferences)
    fitted = cross_fit(head, vectors, preferences.y, data=data, n_splits=2)
    held_out = evaluate_fit(fitted, preferences, vectors).order_consistency
    assert held_out.estimate > 0.65
    loaded = load_model(save_model(model, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.reward(ratings), model.reward(ratings))
    assert loaded.score(ratings) == model.score(ratings) > 0.75
    assert loaded.training_["learns_from"] == head.learns_from


@pytest.mark.parametrize("kind", ["rankings", "labels", "pairs"])
def test_all_but_regressions_are_fed_by_all_data(kind, frames):
    """Rankings, labels and pairs become each other as far as that is sound."""
    fitting = heads_that_fit(RewardModel().read(frames[kind]))
    assert fitting == [name for name in NAMES if name not in OF_RATINGS]
    for name in ("linear", "two-stage", "kto", "plackett-luce"):
        model = RewardModel("hashing:32", name).fit(frames[kind])
        assert model.score(frames["ratings"]) > 0.6


@pytest.mark.parametrize("kind", ["rankings", "labels", "pairs"])
@pytest.mark.parametrize("name", OF_RATINGS)
def test_pairs_never_become_ratings(name, kind, frames):
    """What would fit is named, and no text was embedded."""
    encoder = CountingEncoder()
    message = r"with a score.*learns from ratings.*can feed: linear, siamese, .*kto"
    with pytest.raises(DataError, match=message) as refusal:
        RewardModel(encoder, name).fit(frames[kind])
    assert "regression" not in str(refusal.value)
    assert encoder.n_texts == 0


def test_a_head_object_is_refused_as_its_name_is(pairs):
    """Before the vectors, not by their shape."""
    with pytest.raises(DataError, match="RegressionReward learns from ratings"):
        RewardModel("hashing:32", RegressionReward()).fit(pairs)


def test_a_regression_head_object_is_fitted_on_scores(ratings):
    """Its parameters are those of a fit by hand, groups included."""
    model = RewardModel("hashing:32", RegressionReward()).fit(ratings)
    preferences = read_preferences(ratings)
    by_hand = RegressionReward().fit(
        model.embed(preferences.texts).vectors,
        ratings["score"],
        groups=preferences.items["prompt_id"],
    )
    np.testing.assert_array_equal(model.head_.coef_, by_hand.coef_)


def test_a_two_stage_head_gets_the_ratings(ratings):
    """Its first stage has a penalty; without ratings that is infinite."""
    head = RewardModel("hashing:32", "two-stage").fit(ratings).head_
    assert np.isfinite(head.rating_alpha_)
    assert head.start_.any()


def test_a_fold_does_not_know_the_ratings_of_held_out_prompts(ratings):
    """Held-out deltas are those of a head that never saw the prompts' ratings."""
    preferences = RewardModel("hashing:32").read(ratings)
    vectors = preferences.to_pairs(HashingEncoder(32).encode(preferences.texts))
    train, test = np.arange(90), np.arange(90, 6 * N)
    fold = (train, test)
    known = np.arange(len(ratings)) < 60
    two_stage = TwoStageReward(alpha=1.0, extrapolation=1.0)
    fitted = training_data(two_stage, preferences).fit(two_stage, vectors, fold)
    rated = np.where(known, ratings["score"], np.nan)
    by_hand = TwoStageReward(alpha=1.0, extrapolation=1.0).fit(
        vectors[train], preferences.y[train], ratings=rated
    )
    np.testing.assert_array_equal(fitted.coef_, by_hand.coef_)
    ridge = training_data(RegressionReward(), preferences).fit(
        RegressionReward(alpha=1.0), vectors, fold
    )
    alone = RegressionReward(alpha=1.0).fit(
        vectors.items[known], ratings["score"][known]
    )
    np.testing.assert_array_equal(ridge.coef_, alone.coef_)


def test_labels_need_no_pairs():
    """One response for each prompt, good or bad: no pair, and yet a KTO head."""
    frame = pd.DataFrame(
        {
            "prompt": [f"question {n}" for n in range(N)],
            "response": [response(n, "good" if n % 2 else "bad") for n in range(N)],
            "label": [bool(n % 2) for n in range(N)],
        }
    )
    reward = RewardModel("hashing:32", "kto").fit(frame).reward(frame)
    assert reward[frame["label"]].mean() > reward[~frame["label"]].mean() + 0.5
    with pytest.raises(DataError, match=r"one pair.*can feed: kto\."):
        RewardModel("hashing:32", "linear").fit(frame)


def test_scores_need_no_pairs_for_regression():
    """One response for each prompt, with a score: regression alone can use it."""
    frame = pd.DataFrame(
        {
            "prompt": [f"question {n}" for n in range(N)],
            "response": [response(n, WORDS[n % 4]) for n in range(N)],
            "score": [3.0 - n % 4 for n in range(N)],
        }
    )
    model = RewardModel("hashing:32", "regression").fit(frame)
    assert np.corrcoef(model.reward(frame), frame["score"])[0, 1] > 0.9
    assert heads_that_fit(read_preferences(frame)) == ["regression"]
    with pytest.raises(DataError, match=r"different scores.*can feed: regression\."):
        RewardModel("hashing:32", "multi-objective").fit(frame)


def test_scores_become_labels_by_the_mean_of_their_prompt():
    """Above is good, below is bad, at it is left out; each prompt has its own mean."""
    scores = {"a": [1.0, 2.0, 3.0], "b": [7.0, 9.0], "c": [0.1, 0.1, 0.1]}
    rows = [
        {"prompt": prompt, "response": f"{prompt} {n}", "score": score}
        for prompt, given in scores.items()
        for n, score in enumerate(given)
    ]
    data = training_data(KTOReward(), RewardModel().read(pd.DataFrame(rows)))
    assert data.rows.tolist() == [0, 2, 3, 4]
    assert data.values.tolist() == [0.0, 1.0, 0.0, 1.0]


def test_pairs_become_labels_of_both_sides():
    """With their weights; soft labels stay soft, and a tie says nothing."""
    rows = [
        {"prompt": "p", "chosen": "a", "rejected": "b", "y": 1.0, "weight": 2.0},
        {"prompt": "p", "chosen": "c", "rejected": "d", "y": 0.75, "weight": 1.0},
        {"prompt": "p", "chosen": "a", "rejected": "c", "y": 0.5, "weight": 1.0},
    ]
    data = training_data(KTOReward(), read_preferences(rows))
    assert data.rows.tolist() == [0, 2, 1, 3]
    assert data.values.tolist() == [1.0, 0.75, 0.0, 0.25]
    assert data.told["sample_weight"].tolist() == [2.0, 1.0, 2.0, 1.0]


def test_one_label_alone_is_refused():
    """It orders nothing; the fix is responses of the other."""
    rows = [{"prompt": "p", "response": r, "label": True} for r in "ab"]
    with pytest.raises(DataError, match=r"good and others that are bad.*the other lab"):
        RewardModel("hashing:32", "kto").fit(pd.DataFrame(rows))


def test_scores_become_one_ranking_of_each_prompt(ratings):
    """Best first."""
    data = training_data(PlackettLuce(), RewardModel().read(ratings))
    assert len(data) == N
    assert data.rankings[1].tolist() == [4, 5, 6, 7]


def test_equal_scores_say_nothing_about_each_other():
    """Of 2, 2, 1 each of the best is chosen out of itself and the worst."""
    rows = [
        {"prompt": "p", "response": r, "score": s}
        for r, s in zip("abc", [2.0, 2.0, 1.0], strict=True)
    ]
    data = training_data(PlackettLuce(), RewardModel().read(pd.DataFrame(rows)))
    assert [rows.tolist() for rows in data.rankings] == [[0, 2], [1, 2]]
    assert data.n_ranked.tolist() == [1, 1]


def test_choices_of_the_best_are_a_ranking_without_ties(ratings):
    """The likelihood of a ranking is that of the choices it is made of."""
    preferences = RewardModel().read(ratings)
    vectors = preferences.to_pairs(HashingEncoder(32).encode(preferences.texts))
    head = PlackettLuce(alpha=1.0)
    whole = training_data(head, preferences).fit(head, vectors)
    choices = [range(4 * n + i, 4 * n + 4) for n in range(N) for i in range(3)]
    by_hand = PlackettLuce(alpha=1.0).fit(
        vectors.items, [np.array(rows) for rows in choices], n_ranked=1
    )
    np.testing.assert_allclose(whole.coef_, by_hand.coef_, atol=1e-6)


def test_ranked_rows_are_rankings(rankings):
    """Each row of the source is one."""
    data = training_data(PlackettLuce(), read_preferences(rankings))
    assert len(data) == N
    assert data.facts["longest_ranking"] == 4


def test_pairs_are_rankings_of_two(pairs):
    """And the head is then the linear one."""
    soft = pairs.assign(y=np.where(pairs.index % 3 == 0, 0.75, 1.0), weight=2.0)
    ranked = RewardModel("hashing:32", PlackettLuce(alpha=1.0)).fit(soft)
    linear = RewardModel("hashing:32", LinearBradleyTerry(alpha=1.0)).fit(soft)
    np.testing.assert_allclose(ranked.head_.coef_, linear.head_.coef_, atol=1e-5)


def test_several_ratings_are_all_predicted(ratings):
    """A column that repeats another counts once, and lengths are taken out."""
    rated = ratings.assign(
        helpfulness=ratings["score"], brevity=-ratings["response"].str.len() * 1.0
    )
    model = RewardModel("hashing:32", MultiObjectiveReward()).fit(rated)
    assert model.training_["ratings"] == ["score", "brevity"]
    assert model.head_.attributes_.n_attributes == 2
    assert np.isfinite(model.head_.spearman_before_).all()


def test_a_margin_is_refused_before_anything_is_embedded(pairs):
    """By heads that cannot represent one; those that can are named."""
    encoder = CountingEncoder()
    wide = pairs.assign(margin=0.5)
    for name in ("logistic", "kto", "plackett-luce"):
        with pytest.raises(InvalidInputError, match=r"no margin: .*head that can: lin"):
            RewardModel(encoder, name).fit(wide)
    assert encoder.n_texts == 0


def test_a_head_in_a_head_has_to_learn_from_pairs(ratings):
    """A wrapper hands comparisons on, and nothing else."""
    encoder = CountingEncoder()
    for inner in ("regression", KTOReward()):
        with pytest.raises(InvalidInputError, match=r"learns from pairs, inside.*from"):
            RewardModel(encoder, CalibratedReward(inner)).fit(ratings)
    assert encoder.n_texts == 0


def test_a_leaderboard_compares_heads_of_all_kinds(ratings):
    """On the same folds; a head that cannot be fed stops it before the first fit."""
    preferences = RewardModel().read(ratings)
    vectors = preferences.to_pairs(HashingEncoder(32).encode(preferences.texts))
    heads = {name: make(name) for name in ("linear", "regression", "kto")}
    board = make_leaderboard(preferences, vectors, heads, n_splits=2)
    assert set(board.fits) == set(heads)
    assert all(fit.held_out.all() for fit in board.fits.values())


def test_cross_fitting_without_the_data_says_what_is_missing(ratings):
    """Pairs alone feed only pair heads."""
    preferences = RewardModel().read(ratings)
    vectors = preferences.to_pairs(HashingEncoder(32).encode(preferences.texts))
    with pytest.raises(InvalidInputError, match=r"data=training_data.*from labels"):
        cross_fit(KTOReward(), vectors, preferences.y)
