"""PlainAttributes: standardised predictions without length, on new items too."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from embrm.exceptions import InvalidInputError
from embrm.heads.rated.plain_attributes import (
    PlainAttributes,
    mean_and_scale,
    with_lengths,
)
from embrm.heads.rated.rated_items import make_rated_items


@pytest.fixture
def data():
    """Items, ratings that rise with length, and the length."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(4000, 6))
    ratings = items[:, :2] + items[:, [2]] + 0.5 * rng.normal(size=(4000, 2))
    return items, ratings, np.exp(items[:, 2] + 0.3 * rng.normal(size=4000))


def fitted(items, ratings, lengths):
    """Fit as the head does."""
    rated = make_rated_items(items, with_lengths(ratings, lengths))
    return PlainAttributes.fit(
        rated, alpha=None, has_length=lengths is not None, max_correlation=0.03
    )


def test_length_stays_out_of_new_items(data):
    """Penalties found on some items hold on others."""
    items, ratings, lengths = data
    with_it = fitted(items[:2000], ratings[:2000], None)
    without = fitted(items[:2000], ratings[:2000], lengths[:2000])
    for j in range(2):
        before = spearmanr(with_it(items[2000:])[:, j], lengths[2000:]).statistic
        after = spearmanr(without(items[2000:])[:, j], lengths[2000:]).statistic
        assert abs(after) < 0.1 < 0.5 < before
    assert np.abs(without.length.after).max() <= 0.03


def test_attributes_have_unit_spread(data):
    """Whatever the scale of the ratings."""
    items, ratings, _ = data
    plain = fitted(items, ratings * [1, 100], None)
    np.testing.assert_allclose(plain(items).std(axis=0), 1.0)
    assert np.isnan(plain.length.before).all()


def test_unknown_lengths_are_left_out(data):
    """NaN where unknown; the rest decides."""
    items, ratings, lengths = data
    lengths = np.where(np.arange(4000) % 3 == 0, np.nan, lengths)
    assert np.abs(fitted(items, ratings, lengths).length.after).max() <= 0.03


def test_stored_attributes_are_the_same_bits(data):
    """State and back."""
    plain = fitted(*data)
    again = PlainAttributes.from_state(plain.get_state())
    np.testing.assert_array_equal(again(data[0]), plain(data[0]))


def test_lengths_of_another_number_are_refused():
    """One per rated item."""
    with pytest.raises(InvalidInputError, match=r"lengths of shape \(2,\)"):
        with_lengths([1.0, 2.0], [1.0])


def test_a_constant_column_has_scale_one():
    """Also far from zero, where it has a deviation of rounding errors."""
    mean, scale = mean_and_scale(np.column_stack([np.full(7, 0.1), np.arange(7.0)]))
    assert scale[0] == 1.0
    assert mean[0] == pytest.approx(0.1)
