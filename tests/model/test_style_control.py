"""A reward can be stated net of style, and reports say what of it is style."""

import numpy as np
import pandas as pd
import pytest

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.embed import StyleEncoder
from embrm.exceptions import InvalidInputError
from embrm.model.style_control import StyleControl
from embrm.persist import load_model, save_model
from embrm.report import compare_with_style


@pytest.fixture(scope="module")
def frame():
    """Longer responses win, and so do those with a good word."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(120):
        long, short = " blah" * int(rng.integers(20, 60)), " blah" * 5
        good, poor = rng.permutation(["fine", "awful"]) if n % 3 else ["fine", "awful"]
        rows.append(
            {
                "prompt": f"question {n}",
                "chosen": f"A {good} answer{long}.",
                "rejected": f"A {poor} answer{short}.",
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def model(frame):
    return RewardModel(encoder="hashing:64+style").fit(frame)


def items_of(frame):
    return pd.concat(
        [
            frame.rename(columns={end: "response"})[["prompt", "response"]]
            for end in ("chosen", "rejected")
        ],
        ignore_index=True,
    )


def test_the_net_reward_owes_nothing_to_style(frame, model):
    """Within prompts no feature goes with it over the training items."""
    items = items_of(frame)
    texts = list(items.itertuples(index=False, name=None))
    style = pd.DataFrame(StyleEncoder().encode(texts).astype(float))
    net = model.reward(items, control="style")
    centred = style - style.groupby(items["prompt"]).transform("mean")
    rest = net - net.groupby(items["prompt"]).transform("mean")
    whole = model.reward(items)
    scale = centred.std().to_numpy() * whole.std() * len(items)
    owed = centred.to_numpy().T @ rest.to_numpy() / np.where(scale > 0, scale, 1)
    assert np.abs(owed).max() < 1e-3
    assert np.corrcoef(centred[0], whole)[0, 1] > 0.5


def test_the_whole_reward_is_the_default(frame, model):
    """Style is taken out on demand only."""
    items = items_of(frame)
    assert not np.allclose(model.reward(items), model.reward(items, control="style"))
    pd.testing.assert_series_equal(
        model.reward(items), model.reward(items, control=None)
    )


def test_another_control_is_refused(frame, model):
    """The error says what there is."""
    with pytest.raises(InvalidInputError, match="'style'"):
        model.reward(items_of(frame), control="length")


def test_a_saved_model_keeps_what_it_owes_to_style(frame, model, tmp_path):
    """To the last bit."""
    save_model(model, tmp_path / "model")
    loaded, items = load_model(tmp_path / "model"), items_of(frame)
    expected = model.reward(items, control="style")
    pd.testing.assert_series_equal(loaded.reward(items, control="style"), expected)


def test_a_model_from_before_style_control_says_so(frame, model):
    """Its reward is given; net of style it is not known."""
    old = RewardModel(encoder="hashing:64").fit(frame)
    del old.training_["style"]
    old.reward(items_of(frame))
    with pytest.raises(InvalidInputError, match="fit it again"):
        old.reward(items_of(frame), control="style")


def test_any_model_of_texts_can_be_controlled(frame):
    """Vectors alone carry style, too: what they carry is taken out."""
    vectors = RewardModel(encoder="hashing:64").fit(frame)
    preferences = vectors.read(frame)
    lines = vectors.evaluate_style(preferences)
    assert list(lines) == ["style alone", "net of style", "reward"]
    share = {name: each.order_consistency.estimate for name, each in lines.items()}
    assert share["style alone"] > 0.95
    assert share["net of style"] < share["reward"]


def test_prompts_with_one_response_each_are_compared_with_all():
    """There is no mean of a prompt to compare with."""
    rows = [
        {"prompt": f"question {n}", "response": "a" * (n + 1), "score": 1.0}
        for n in range(40)
    ]
    preferences = read_preferences(rows)
    length = StyleEncoder().encode(preferences.texts)[:, 0].astype(float)
    slopes = StyleControl.of(preferences, 2.0 * length, np.arange(40)).coef
    assert slopes[0] == pytest.approx(2.0)
    assert not slopes[1:].any()


def test_what_is_stored_is_plain():
    """Lists and names, as JSON holds them."""
    control = StyleControl(np.zeros(16), np.arange(16.0))
    again = StyleControl.from_json(control.to_json())
    np.testing.assert_array_equal(again.coef, control.coef)
    assert again.alone is None


@pytest.mark.parametrize("encoder", ["hashing:64", "hashing:64+style"])
def test_three_lines_say_what_style_buys(frame, encoder):
    """The same three, whether or not the model has a block of style."""
    model = RewardModel(encoder=encoder)
    preferences = model.read(frame)
    pairs = model.to_pairs(preferences, model.embed(preferences.texts).vectors)
    from embrm.heads import make_head

    lines = compare_with_style(make_head("linear"), preferences, pairs, n_splits=3)
    assert list(lines.evaluations) == ["style alone", "vectors", "vectors + style"]
    shares = {k: v["estimate"] for k, v in lines.to_json().items()}
    assert shares["style alone"] > 0.95
    assert shares["vectors + style"] > 0.95
    assert str(lines).count("\n") == 2
