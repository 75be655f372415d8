"""Krippendorff's alpha against published values, an independent one and its limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import krippendorff_alpha
from embrm.exceptions import InvalidInputError

NAN = np.nan
# Krippendorff (2011), section C: four observers, twelve units, values missing.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


def alpha_of(table, level):
    """Alpha of a table of observers by units."""
    units = np.broadcast_to(np.arange(table.shape[1]), table.shape)
    return krippendorff_alpha(units.ravel(), table.ravel(), level)


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("interval", 0.849)])
def test_the_published_example_comes_out(level, value):
    """Both values are in the paper, to three places."""
    assert alpha_of(OBSERVERS, level) == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize(
    ("level", "value"),
    [("nominal", 0.743421052631579), ("interval", 0.8491071428571428)],
)
def test_all_digits_are_those_of_the_package_krippendorff(level, value):
    """Version 0.9.0, on the same table."""
    assert alpha_of(OBSERVERS, level) == pytest.approx(value, abs=1e-12)


def by_definition(units, values, distance):
    """Compare all ordered pairs of judgements one by one."""
    pairs = [(u, v) for u, v in zip(units, values, strict=True) if units.count(u) > 1]
    n = len(pairs)
    sizes = {u: sum(unit == u for unit, _ in pairs) for u, _ in pairs}
    observed = sum(
        distance(v, w) / (sizes[u] - 1)
        for i, (u, v) in enumerate(pairs)
        for j, (x, w) in enumerate(pairs)
        if u == x and i != j
    )
    expected = sum(distance(v, w) for _, v in pairs for _, w in pairs) / max(n - 1, 1)
    return 1 - observed / expected if expected else NAN


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=25),
    st.sampled_from(["nominal", "interval"]),
)
def test_alpha_is_what_the_definition_says(judgements, level):
    """By sums over all pairs of judgements."""
    units = [unit for unit, _ in judgements]
    values = [float(value) for _, value in judgements]
    distances = {"nominal": lambda a, b: a != b, "interval": lambda a, b: (a - b) ** 2}
    expected = by_definition(units, values, distances[level])
    found = krippendorff_alpha(units, values, level)
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_full_agreement_is_1_and_nothing_to_compare_is_nan():
    """One judgement each, or one value everywhere, says nothing."""
    assert krippendorff_alpha([0, 0, 1, 1], [1, 1, 0, 0]) == 1
    assert np.isnan(krippendorff_alpha([0, 1, 2], [1, 0, 1]))
    assert np.isnan(krippendorff_alpha([0, 0], [1, 1]))


def test_ratings_far_from_zero_do_not_cancel():
    """A constant added to all ratings changes nothing."""
    units, values = [0, 0, 1, 1, 2, 2], np.array([1.0, 2.0, 3.0, 3.0, 5.0, 4.0])
    plain = krippendorff_alpha(units, values, "interval")
    shifted = krippendorff_alpha(units, values + 1e8, "interval")
    assert shifted == pytest.approx(plain, abs=1e-7)


def test_shapes_and_levels_are_checked():
    """Both errors name what was expected."""
    with pytest.raises(InvalidInputError, match="units and values of one length"):
        krippendorff_alpha([0, 1], [1.0])
    with pytest.raises(InvalidInputError, match="level one of nominal, interval"):
        krippendorff_alpha([0, 0], [1, 2], "ordinal")
