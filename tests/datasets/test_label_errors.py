"""Labels that look wrong: found where labels were turned, for either order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_predict

from embrm.datasets import find_label_errors, make_preferences
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry


def test_turned_labels_are_found_among_held_out_probabilities():
    """Of 5% labels turned on purpose, most; and most of what is found was turned."""
    data = make_preferences(3000, n_features=6, noise="none", random_state=0)
    turned = np.zeros(3000, dtype=bool)
    turned[np.random.default_rng(0).choice(3000, 150, replace=False)] = True
    y = np.where(turned, 1 - data.y, data.y)
    probability = cross_val_predict(
        LinearBradleyTerry(alpha=1.0), data.pairs, y, method="predict_proba"
    )[:, 1]
    found = find_label_errors(y, probability).pairs
    assert turned[found].mean() > 0.6
    assert turned[found].sum() > 0.6 * 150
    assert turned[found[:50]].mean() > 0.95


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.floats(0, 1)), min_size=1
    ),
    st.data(),
)
def test_it_does_not_matter_which_item_is_first(rows, data):
    """Turning any pairs, with label and probability, changes nothing."""
    y, p = np.array(rows).T
    turned = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(y), max_size=len(y)))
    )
    plain = find_label_errors(y, p)
    other = find_label_errors(np.where(turned, 1 - y, y), np.where(turned, 1 - p, p))
    assert other.threshold == pytest.approx(plain.threshold)
    sure = np.abs(plain.probability - (1 - plain.threshold)) > 1e-9
    assert set(plain.pairs[sure]) <= set(other.pairs)


def test_ties_and_unknown_probabilities_are_not_judged():
    """They are counted out."""
    found = find_label_errors([0.5, 1, 1, 1], [0.0, np.nan, 0.9, 0.1])
    assert found.n_judged == 2
    assert found.pairs.tolist() == [3]
    assert len(find_label_errors([0.5], [0.1])) == 0


def test_probabilities_out_of_range_are_refused():
    """Deltas are no probabilities."""
    with pytest.raises(InvalidInputError, match=r"expected probabilities in \[0, 1\]"):
        find_label_errors([1, 0], [0.4, 1.7])
