"""Tests of what all heads do with their preprocessor and their state."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads.preprocessed_head import PreprocessedHead
from embrm.heads.state import HeadState

ITEMS = np.random.default_rng(0).normal(size=(30, 4))


class FirstColumn(PreprocessedHead, BaseEstimator):
    """The smallest head there is."""

    def fit(self, X):
        self.n_features_in_ = X.shape[1]
        self.preprocessor_, items = self._fit_preprocessor(X)
        self.shift_ = float(items[:, 0].mean())
        return self

    def reward(self, X):
        return self._preprocessed(X)[:, 0] - self.shift_

    def _get_state(self):
        return HeadState(values={"shift": self.shift_})

    def _set_state(self, state):
        self.shift_ = state.value("shift", float)


@pytest.mark.parametrize("preprocessor", [None, PCA(2)])
def test_a_restored_head_scores_the_same_bits(preprocessor):
    """With the preprocessor or without one, which is not fitted itself."""
    head = FirstColumn(preprocessor=preprocessor).fit(ITEMS)
    again = FirstColumn(preprocessor=preprocessor).set_state(head.get_state())
    np.testing.assert_array_equal(again.reward(ITEMS), head.reward(ITEMS))
    assert again.n_features_in_ == 4
    assert not hasattr(preprocessor, "components_")


def test_half_precision_is_computed_in_float32():
    """float16 is what caches store."""
    head = FirstColumn().fit(ITEMS)
    stored = ITEMS.astype(np.float16)
    assert head._preprocessed(stored).dtype == np.float32
    np.testing.assert_array_equal(
        head.reward(stored), head.reward(stored.astype(np.float32))
    )


def test_no_items_have_no_rewards():
    """A transformer of scikit-learn would refuse them."""
    assert FirstColumn(preprocessor=PCA(2)).fit(ITEMS).reward(ITEMS[:0]).shape == (0,)


def test_what_is_wrong_is_said():
    """Not fitted, another d, a state with something missing."""
    head = FirstColumn(preprocessor=PCA(2))
    with pytest.raises(NotFittedError):
        head.reward(ITEMS)
    with pytest.raises(NotFittedError):
        head.get_state()
    with pytest.raises(InvalidInputError, match="d = 4, as in fit"):
        head.fit(ITEMS).reward(ITEMS[:, :3])
    state = head.get_state()
    for name in ("n_features_in", "shift"):
        values = {key: v for key, v in state.values.items() if key != name}
        with pytest.raises(IntegrityError, match=f"'{name}'"):
            FirstColumn().set_state(HeadState(state.arrays, values))
