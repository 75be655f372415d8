"""The bias audit finds biases that were put in, and none where there are none."""

import json

import numpy as np
import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.evaluate.bias import audit_bias, style_frame
from embrm.exceptions import InvalidInputError


def preferences(n=300, seed=0, lengths=True):
    """Pairs of responses, rated by quality alone; lengths are random."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "prompt": f"question {p}",
            "response": "word " * int(rng.integers(3, 60)) + f"{p} {k}",
            "score": float(rng.normal()),
        }
        for p in range(n)
        for k in range(3)
    ]
    return read_preferences(rows).prefer_by_score("score")


@pytest.fixture(scope="module")
def rated():
    data = preferences()
    length = data.items["response"].str.len().to_numpy(float)
    return data, data.items["score"].to_numpy(), (length - length.mean()) / length.std()


def test_a_reward_of_quality_alone_has_no_alarm(rated):
    """It is as accurate at equal length, and style explains none of it."""
    data, gold, _ = rated
    audit = audit_bias(
        data, gold + 0.5 * np.random.default_rng(1).normal(size=len(gold))
    )
    assert audit.alarms == ()
    assert audit.length_controlled.low < audit.accuracy.estimate
    assert audit.length_controlled.high > audit.accuracy.estimate
    assert audit.style_share < 0.02
    assert audit.style_only.low < 0.5 < audit.style_only.high


def test_a_reward_of_length_alone_is_found(rated):
    """At equal length it knows nothing, and style explains it all."""
    data, _, length = rated
    audit = audit_bias(data, length)
    assert audit.length_controlled.estimate == pytest.approx(0.5, abs=0.1)
    assert audit.features.loc["length", "reward"] == pytest.approx(1.0)
    assert audit.style_share > 0.85
    assert "Longer responses get more reward" in audit.alarms[0]


def test_accuracy_that_length_makes_is_told_apart(rated):
    """Labels that like length, and a reward that knows little else."""
    data, gold, length = rated
    liked = read_preferences(
        data.items.assign(score=gold + 2 * length)[["prompt", "response", "score"]]
    ).prefer_by_score("score")
    audit = audit_bias(liked, 0.1 * gold + 2 * length)
    assert audit.accuracy.estimate > 0.8
    assert audit.length_controlled.estimate < audit.accuracy.estimate - 0.1
    assert any("length makes the difference" in alarm for alarm in audit.alarms)
    assert audit.style_only.estimate > 0.8
    assert "at equal length" in str(audit)
    assert json.loads(json.dumps(audit.to_json()))["alarms"] == list(audit.alarms)


def test_a_feature_that_varies_in_few_prompts_has_no_interval(rated):
    """Of two prompts that agree, resamples would make one without width."""
    data, gold, _ = rated
    responses = data.items["response"].copy()
    responses.iloc[[0, 3]] += "!"
    marked = read_preferences(
        data.items.assign(response=responses)[["prompt", "response", "score"]]
    ).prefer_by_score("score")
    reward = np.zeros(len(gold))
    reward[[0, 3]] = 1.0
    row = audit_bias(marked, reward).features.loc["exclamation marks"]
    assert row["reward"] == pytest.approx(1.0)
    assert np.isnan([row["low"], row["high"]]).all()


def test_correlation_at_equal_quality_is_partial(rated):
    """Length that only stands for quality is no bias."""
    data, gold, _ = rated
    rng = np.random.default_rng(0)
    longer = np.argsort(np.argsort(gold + 0.3 * rng.normal(size=len(gold)))) + 1
    items = data.items.assign(response=["w" * n for n in longer])
    stands_for = type(data)(items, data.pairs, data.read_report)
    partial = audit_bias(stands_for, gold).features.loc["length", "partial"]
    assert abs(partial) < 1e-6 or np.isnan(partial)
    biased = audit_bias(stands_for, gold + np.log1p(longer)).features
    assert biased.loc["length", "partial"] == pytest.approx(1.0)


def test_the_heat_map_shows_where_length_pays(rated):
    """Rewards rise from left to right for a reward of length."""
    data, _, length = rated
    table = audit_bias(data, length).heat_map
    assert table.shape == (4, 5)
    assert (np.diff(table.to_numpy(), axis=1) > 0).all()


def test_domains_have_offsets(rated):
    """Which comparisons within prompts never see."""
    data, gold, _ = rated
    domain = np.where(data.items["prompt_id"] % 2 == 0, "code", "chat")
    items = data.items.assign(domain=domain)
    shifted = gold + np.where(domain == "code", 3.0, 0.0)
    moved = type(data)(items, data.pairs, data.read_report)
    domains = audit_bias(moved, shifted, domain="domain").domains
    assert domains.loc["code", "low"] > domains.loc["chat", "high"] + 2
    with pytest.raises(InvalidInputError, match="a column planet"):
        audit_bias(moved, shifted, domain="planet")


def test_rewards_are_one_for_each_item(rated):
    """Others are refused."""
    data, gold, _ = rated
    with pytest.raises(InvalidInputError, match="reward of shape"):
        audit_bias(data, gold[:-1])


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("- one\n- two", "list items"),
        ("1. one\n2) two", "list items"),
        ("# Title", "headings"),
        ("so **bold** it is", "bold"),
        ("```\ncode\n```", "code"),
        ("yes \U0001f680", "emoji"),
        ("What a great question! Yes.", "pleasing opening"),
        ("I\u2019m sorry, but no.", "refusal"),
        ("As an AI, I cannot.", "refusal"),
    ],
)
def test_style_is_counted(text, column):
    """And not where there is none."""
    frame = style_frame([text, "plain words"])
    assert frame.loc[0, column] > 0
    assert frame.loc[1, column] == 0
    pd.testing.assert_frame_equal(frame, style_frame([text, "plain words"]))
