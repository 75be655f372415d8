"""Comparisons of heads: paired resamples, exact tests, adjusted p values."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from embrm import Pairs
from embrm.evaluate import (
    compare,
    compare_heads,
    group_letters,
    holm,
    mcnemar_exact,
    order_consistency,
    prompt_bootstrap,
)
from embrm.exceptions import InvalidInputError


def shares_right(delta, y):
    """1 where a pair is ordered as its label says, 0 where it is not, 1/2 in ties."""
    return (1 + np.sign(delta) * np.sign(np.asarray(y) - 0.5)) / 2


@pytest.fixture
def heads():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=600)
    deltas = {
        "poor": truth + 4 * rng.normal(size=600),
        "good": truth + 0.5 * rng.normal(size=600),
        "good too": truth + 0.52 * rng.normal(size=600),
    }
    return deltas, (truth > 0).astype(float), np.repeat(np.arange(120), 5)


def test_heads_are_ranked_by_order_consistency(heads):
    """The best comes first and is the reference."""
    deltas, y, groups = heads
    table = compare_heads(deltas, y, groups)
    expected = {name: order_consistency(delta, y) for name, delta in deltas.items()}
    assert table["order_consistency"].to_dict() == pytest.approx(expected)
    assert list(table.index) == sorted(expected, key=expected.get, reverse=True)
    assert table.attrs["reference"] == table.index[0]
    assert table.attrs["n_groups"] == 120


def test_each_head_has_the_interval_of_its_own(heads):
    """The resamples are those of `prompt_bootstrap`."""
    deltas, y, groups = heads
    table = compare_heads(deltas, y, groups)
    own = prompt_bootstrap(shares_right(deltas["poor"], y), groups)
    assert table.loc["poor", ["low", "high"]].tolist() == pytest.approx(
        [own.low, own.high]
    )


def test_a_difference_has_a_paired_interval(heads):
    """It is that of the differences of the pairs' values."""
    deltas, y, groups = heads
    table = compare_heads(deltas, y, groups, reference="poor")
    lead = shares_right(deltas["good"], y) - shares_right(deltas["poor"], y)
    paired = prompt_bootstrap(lead, groups)
    row = table.loc["good"]
    assert row["difference"] == pytest.approx(paired.estimate)
    assert row["difference_low"] == pytest.approx(paired.low)
    assert row["difference_high"] == pytest.approx(paired.high)


def test_a_poor_head_does_not_tie_with_the_best(heads):
    """And one that differs by noise does."""
    deltas, y, groups = heads
    table = compare_heads(deltas, y, groups)
    assert table["ties_with_best"].to_dict() == {
        "good": True,
        "good too": True,
        "poor": False,
    }
    assert table.loc["poor", "p_value"] < 0.01


def test_ties_are_with_the_best_whatever_the_reference(heads):
    """The reference says what differences are to, not who wins."""
    deltas, y, groups = heads
    one = compare_heads(deltas, y, groups)["ties_with_best"]
    other = compare_heads(deltas, y, groups, reference="poor")["ties_with_best"]
    assert one.to_dict() == other.to_dict()


def test_the_reference_has_no_p_value(heads):
    """It is not compared with itself, and not counted by Holm."""
    deltas, y, groups = heads
    table = compare_heads(deltas, y, groups, reference="good")
    others = table.drop(index="good")
    assert np.isnan(table.loc["good", ["p_value", "p_holm"]].astype(float)).all()
    np.testing.assert_allclose(others["p_holm"], holm(others["p_value"]))


def test_discordant_pairs_are_counted_without_ties():
    """A tie of a head is neither right nor wrong; a tied label is left out."""
    table = compare_heads(
        {"a": [1.0, 1.0, 1.0, 0.0, 1.0], "b": [1.0, -1.0, -1.0, -1.0, -1.0]},
        [1, 1, 0, 1, 0.5],
        reference="a",
    )
    row = table.loc["b"]
    assert (row["n_better"], row["n_worse"]) == (1, 1)
    assert row["p_mcnemar"] == 1.0
    assert table.attrs["method"] == "pair bootstrap (prompts unknown)"


def test_equal_heads_differ_by_nothing(heads):
    """The p value is one."""
    deltas, y, groups = heads
    table = compare_heads({"one": deltas["good"], "two": deltas["good"]}, y, groups)
    assert table["p_value"].dropna().tolist() == [1.0]
    assert table["ties_with_best"].all()


def test_one_head_alone_is_ranked():
    """There is nobody to compare it with."""
    table = compare_heads({"only": [1.0, -1.0]}, [1, 1], ["a", "b"])
    assert table["p_holm"].isna().all()
    assert table["ties_with_best"].tolist() == [True]


def test_one_pair_tells_no_heads_apart():
    """There is nothing to resample: no p value, and no head is called worse."""
    table = compare_heads({"right": [1.0], "wrong": [-1.0]})
    assert table["p_value"].isna().all()
    assert table["ties_with_best"].all()


def test_p_values_of_equal_heads_are_uniform():
    """Below 0.1 about one time in ten, pairs of a prompt being alike."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 5)
    rejected = 0
    for seed in range(150):
        one, other = (
            rng.normal(size=60)[groups] + rng.normal(size=300) + 0.5 for _ in range(2)
        )
        table = compare_heads(
            {"one": one, "other": other},
            groups=groups,
            reference="one",
            n_resamples=300,
            random_state=seed,
        )
        rejected += table.loc["other", "p_value"] < 0.1
    assert 5 <= rejected <= 27


@given(better=st.integers(0, 60), worse=st.integers(0, 60))
@settings(max_examples=60)
def test_mcnemar_agrees_with_the_binomial_test(better, worse):
    """The exact test of a fair coin."""
    expected = 1.0
    if better + worse:
        expected = binomtest(better, better + worse, 0.5).pvalue
    assert mcnemar_exact(better, worse) == pytest.approx(expected)


def test_mcnemar_takes_counts():
    """A negative count is refused."""
    with pytest.raises(InvalidInputError, match="an integer n_worse >= 0"):
        mcnemar_exact(3, -1)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60)
def test_holm_agrees_with_its_definition(p):
    """The k-th smallest is multiplied by what is left, and never falls."""
    adjusted = holm(p)
    for k, position in enumerate(np.argsort(p, kind="stable")):
        steps = [sorted(p)[j] * (len(p) - j) for j in range(k + 1)]
        assert adjusted[position] == pytest.approx(min(1.0, max(steps)))


def test_an_unknown_reference_is_refused():
    """The message lists the heads."""
    with pytest.raises(InvalidInputError, match="reference one of a; got 'b'"):
        compare_heads({"a": [1.0]}, reference="b")


def test_heads_must_judge_the_same_pairs():
    """Lengths must agree."""
    with pytest.raises(InvalidInputError, match="lengths 1, 2"):
        compare_heads({"a": [1.0], "b": [1.0, 2.0]})


def test_no_head_is_refused():
    """There is nothing to compare."""
    with pytest.raises(InvalidInputError, match="at least one head"):
        compare_heads({})


@pytest.mark.parametrize("n_heads", [2, 4, 10])
def test_equal_heads_are_told_apart_in_one_of_twenty_data_sets(n_heads):
    """Though the best of them is chosen on the same data."""
    flagged, n_sets = 0, 300
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        prompt = 0.5 + 0.5 * np.repeat(rng.normal(size=(80, 1)), 4, axis=0)
        deltas = prompt + rng.normal(size=(320, n_heads))
        table = compare_heads(
            {str(head): delta for head, delta in enumerate(deltas.T)},
            groups=np.repeat(np.arange(80), 4),
            n_resamples=300,
            random_state=seed,
        )
        flagged += (~table["ties_with_best"]).any()
    # 6%, and two standard errors of 300 data sets.
    assert flagged / n_sets <= 0.06 + 2 * np.sqrt(0.06 * 0.94 / n_sets)


def test_heads_share_a_letter_unless_they_differ(heads):
    """The poor one has a letter of its own."""
    deltas, y, groups = heads
    table = compare_heads(deltas, y, groups)
    assert table["group"].to_dict() == {"good": "a", "good too": "a", "poor": "b"}


def test_a_head_between_two_that_differ_shares_with_both():
    """Letters say all of what differs."""
    differ = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], bool)
    assert group_letters(np.array([0.9, 0.8, 0.7]), differ) == ["a", "ab", "b"]


def test_flipping_signs_of_prompts_is_exact(heads):
    """Its p value is that of all 2^n flips, up to resampling."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.4, 1, size=(2, 20))
    groups = np.repeat(np.arange(10), 2)
    table = compare_heads(
        {"one": one, "other": other}, groups=groups, reference="one", n_resamples=20_000
    )
    difference = shares_right(other, np.ones(20)) - shares_right(one, np.ones(20))
    sums = difference.reshape(10, 2).sum(axis=1)
    flips = np.array(list(product([-1, 1], repeat=10))) @ sums
    exact = (np.abs(flips) >= abs(sums.sum()) - 1e-9).mean()
    assert table.loc["other", "p_permutation"] == pytest.approx(exact, abs=0.015)
    assert np.isnan(table.loc["one", "p_permutation"])


def test_pairs_across_prompts_have_no_signs_to_flip(heads):
    """A pair belongs to two prompts."""
    deltas, y, groups = heads
    ends = np.column_stack([groups, np.roll(groups, 7)])
    table = compare_heads(deltas, y, ends)
    assert table["p_permutation"].isna().all()
    assert not table.loc["poor", "ties_with_best"]


class Scorer:
    """Orders pairs by one column of their items."""

    def __init__(self, column):
        self.column = column

    def decision_function(self, pairs):
        values = np.asarray(pairs.items)[:, self.column]
        return values[pairs.first] - values[pairs.second]


def test_models_and_deltas_are_compared_on_the_same_pairs():
    """With what they cost, and the time that scoring took."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(200, 2))
    pairs = Pairs(items, np.arange(200).reshape(100, 2), prompt_ids=np.arange(200) // 2)
    y = (items[::2, 0] > items[1::2, 0]).astype(float)
    table = compare(
        {
            "truth": Scorer(0),
            "noise": Scorer(1),
            "given": np.where(y > 0, 1.0, -1.0),
            "rewards": pd.Series(items[:, 0], name="reward"),
        },
        pairs,
        y,
        costs={"truth": {"bytes": 10.0}},
    )
    right = ["truth", "given", "rewards"]
    assert table.loc[right, "order_consistency"].tolist() == [1.0] * 3
    assert table.loc["noise", "group"] == "b"
    assert table.loc["truth", "bytes"] == 10.0
    assert table.loc["truth", "score_seconds"] > 0
    assert np.isnan(table.loc["given", "score_seconds"])
    assert table.attrs["n_groups"] == 100


def test_frames_give_labels_and_prompts():
    """Any preference format; each prompt counts once."""
    rows = [
        {"prompt": f"q{n // 2}", "chosen": f"good {n}", "rejected": f"bad {n}"}
        for n in range(10)
    ]
    table = compare({"right": np.ones(10), "wrong": -np.ones(10)}, pd.DataFrame(rows))
    assert table["order_consistency"].to_dict() == {"right": 1.0, "wrong": 0.0}
    assert table.attrs["n_groups"] == 5


def test_ratings_of_items_become_pairs_of_a_prompt():
    """So a frame that a model fits is one that models are compared on."""
    rows = [
        {"prompt": f"q{n // 3}", "response": f"answer {n}", "score": float(n % 3)}
        for n in range(12)
    ]
    rewards = pd.Series([float(n % 3) for n in range(12)], name="reward")
    table = compare({"right": rewards, "wrong": -rewards}, pd.DataFrame(rows))
    assert table["order_consistency"].to_dict() == {"right": 1.0, "wrong": 0.0}
    assert table.attrs["n_groups"] == 4


def test_a_model_needs_data():
    """It has nothing to score."""
    with pytest.raises(InvalidInputError, match="'one' is a model"):
        compare({"one": Scorer(0)})
