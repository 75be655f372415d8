"""LightGBM's text is checked before LightGBM sees it."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.exceptions import IntegrityError
from embrm.persist._lightgbm_text import (
    check_children,
    check_indices,
    check_lightgbm_text,
    integer,
)


def fitted_text(**params) -> bytes:
    """Fit a small LightGBM classifier and write it as text."""
    import lightgbm

    rng = np.random.default_rng(0)
    items = rng.normal(size=(200, 4))
    won = (items[:, 0] + rng.normal(size=200) > 0).astype(int)
    estimator = lightgbm.LGBMClassifier(n_estimators=5, verbosity=-1, **params)
    return estimator.fit(items, won).booster_.model_to_string().encode()


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"num_leaves": 40, "min_child_samples": 1},
        {"min_child_samples": 1000},
        {"boosting_type": "dart"},
        {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1},
        {"objective": "cross_entropy"},
        {"extra_trees": True},
        {"monotone_constraints": [1, 0, -1, 0]},
    ],
    ids=str,
)
def test_what_lightgbm_writes_passes(params):
    """Every booster whose trees are plain."""
    check_lightgbm_text(fitted_text(**params))


def test_the_golden_text_passes(lightgbm_text):
    """The fixture of the tests below."""
    check_lightgbm_text(lightgbm_text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"num_class=1", "num_class=2", "num_class=1"),
        (r"max_feature_idx=15", "max_feature_idx=3", "4 feature_names"),
        (r"max_feature_idx=15", "max_feature_idx=" + "9" * 12, "an integer"),
        (r"tree_sizes=\d+", "tree_sizes=1", "tree 0 whole"),
        (r"tree_sizes=\d+", "tree_sizes=-5", "tree 0 whole"),
        (r"tree_sizes=.*", "tree_sizes=", "trailer"),
        (r"Tree=1", "Tree=7", "Tree=1"),
        (r"num_leaves=\d", "num_leaves=9", "values of"),
        (r"num_leaves=\d", "num_leaves=0", "a leaf in each tree"),
        (r"num_cat=0", "num_cat=1", "no categorical split"),
        (r"is_linear=0", "is_linear=1", "constant leaves"),
        (r"decision_type=2", "decision_type=1", "numerical decisions"),
        (r"left_child=-1", "left_child=99", "out of range"),
        (r"left_child=-1", "left_child=-99", "'leaf' in"),
        (r"left_child=-1", "left_child= 0", "numbers in 'left_child'"),
        (r"right_child=1", "right_child=0", "after their parents"),
        (r"split_feature=\d", "split_feature=99", "'split_feature' in"),
        (r"leaf_value=", "leaf_value=x", "numbers in 'leaf_value'"),
        (r"leaf_value=", "leaf_vague=", "values of 'leaf_value'"),
        (r"leaf_value=", "leaf_value\r=", "plain text"),
        (r"num_cat=0", "num_cat 0", "lines of key=value"),
        (r"is_linear=0", "shrinkage=0", "each key once"),
        (r"shrinkage=0.05", "shrinkage=nan?", "a shrinkage"),
        (r"end of trees", "end of tests", "trailer"),
        (r"\[num_leaves: ", "[num_leaves? ", "trailer"),
        (r"pandas_categorical:null", "pandas_categorical:", "trailer"),
    ],
)
def test_what_would_end_the_process_is_refused(lightgbm_text, old, new, message):
    """Each of these kills or hangs LightGBM, or might."""
    text = re.sub(old, new, lightgbm_text.decode(), count=1)
    with pytest.raises(IntegrityError, match=message):
        check_lightgbm_text(text.encode())


@given(end=st.integers(0, 5000))
@settings(max_examples=60)
def test_every_cut_is_refused(lightgbm_text, end):
    """A text that ends early is the commonest damage, and the deadliest."""
    with pytest.raises(IntegrityError):
        check_lightgbm_text(lightgbm_text[: min(end, len(lightgbm_text) - 1)])


@given(data=st.data())
@settings(max_examples=150)
def test_changed_bytes_give_an_integrity_error_or_pass(lightgbm_text, data):
    """Never another error."""
    content = bytearray(lightgbm_text)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    try:
        check_lightgbm_text(bytes(content))
    except IntegrityError:
        return
    assert len(content) == len(lightgbm_text)


def test_a_tree_passes():
    """A root, two children, and two of the first child's."""
    check_children(np.array([0, 0, 1, 1]), np.array([1, 2, 3, 4]), 5)


@pytest.mark.parametrize(
    ("parents", "children", "message"),
    [
        ([0, 1], [1, 0], "children after their parents"),
        ([0], [0], "children after their parents"),
        ([0], [5], "children after their parents"),
        ([0], [-7], "children after their parents"),
        ([0, 0], [1, 1], "one parent for each node"),
    ],
)
def test_loops_and_ways_out_are_refused(parents, children, message):
    """A walk through the nodes always ends, and inside."""
    with pytest.raises(IntegrityError, match=message):
        check_children(np.array(parents), np.array(children), 5)


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_indices_stay_inside(index):
    """In [0, size)."""
    with pytest.raises(IntegrityError, match=r"'leaf' in \[0, 3\)"):
        check_indices(np.array([0, index]), 3, "leaf")


@pytest.mark.parametrize("text", [None, "", "x", "1.0", "1e9", "1" * 10, 3])
def test_integers_are_short_and_plain(text):
    """No float, no exponent, none that overflows."""
    with pytest.raises(IntegrityError, match="an integer 'n'"):
        integer({"n": text}, "n")
