"""Standard deviations of the posterior, of what they should be."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry


@pytest.fixture
def fitted(make_preferences):
    """A head, and the pairs it was fitted on."""
    data = make_preferences(d=8, error_rate=0.2)
    return LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y), data.pairs


def test_more_pairs_leave_less_doubt(make_preferences):
    """Ten times the weight, a third of the deviation."""
    data = make_preferences(n_prompts=60, error_rate=0.3)
    one, ten = (
        LinearBradleyTerry(alpha=1e-3)
        .fit(data.pairs, data.y, sample_weight=np.full(len(data.y), weight))
        .decision_function(data.pairs, return_std=True)[1]
        for weight in (1.0, 10.0)
    )
    np.testing.assert_allclose(one / ten, np.sqrt(10), rtol=0.01)


def test_the_preprocessor_is_applied(make_preferences):
    """Deviations are those of the preprocessed items."""
    data = make_preferences(d=8)
    head = LinearBradleyTerry(alpha=1.0, preprocessor=PCA(3)).fit(data.pairs, data.y)
    inner = head.preprocessor_.transform(data.pairs.items)
    inside = LinearBradleyTerry(alpha=1.0)
    inside.fit(Pairs(inner, data.pairs.ids), data.y)
    np.testing.assert_allclose(
        head.reward(data.pairs.items, return_std=True)[1],
        inside.reward(inner, return_std=True)[1],
    )


def test_half_precision_items_have_deviations(fitted):
    """They are computed with in single precision."""
    head, pairs = fitted
    half = pairs.items.astype(np.float16)
    _, wanted = head.reward(half.astype(np.float32), return_std=True)
    np.testing.assert_array_equal(head.reward(half, return_std=True)[1], wanted)


def test_a_head_without_posterior_says_so(make_preferences):
    """And how to get one."""
    data = make_preferences()
    head = LinearBradleyTerry(posterior=False).fit(data.pairs, data.y)
    with pytest.raises(InvalidInputError, match="posterior=True on at most 4,096"):
        head.reward(data.pairs.items, return_std=True)
