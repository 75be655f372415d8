"""Blocks get priors of their own, by what the wins say about them."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from embrm import Pairs
from embrm.heads import LinearBradleyTerry, make_head
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.differences import Differences
from embrm.heads.linear.posterior import evidence_penalties
from embrm.heads.win_loss import LogisticLoss


def make(widths, ruling, *, n=1500, seed=0, noise=1.0):
    """Draw wins that the columns of one block decide."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(2 * n, sum(widths)))
    edges = np.cumsum([0, *widths])
    part = slice(edges[ruling], edges[ruling + 1])
    gold = items[:, part] @ rng.normal(size=widths[ruling])
    ids = np.arange(2 * n).reshape(-1, 2)
    y = gold[::2] - gold[1::2] + noise * rng.logistic(size=n) > 0
    blocks = {f"b{k}": slice(*edges[k : k + 2]) for k in range(len(widths))}
    return Pairs(items, ids, np.arange(2 * n) // 2, blocks), y.astype(float), gold


def test_a_block_that_decides_nothing_gets_a_far_stronger_penalty():
    """The evidence for its weights is evidence for zero."""
    pairs, y, _ = make([8, 30], 0)
    wins = make_comparisons(pairs, y)
    differences = Differences.of(wins, None)
    parts = list(pairs.blocks.values())
    found = evidence_penalties(differences, LogisticLoss(), wins.margin, parts)
    assert found[1] > 20 * found[0]


def test_equal_blocks_get_equal_penalties():
    """Twice the same columns: there is nothing to tell them apart."""
    pairs, y, _ = make([10], 0)
    wins = make_comparisons(Pairs(np.tile(pairs.items, 2), pairs.ids), y)
    parts = [slice(0, 10), slice(10, 20)]
    differences = Differences.of(wins, None)
    one, other = evidence_penalties(differences, LogisticLoss(), wins.margin, parts)
    assert one == pytest.approx(other, rel=0.01)


def score_of(pairs, y, gold, blocks):
    head = LinearBradleyTerry(posterior=False).fit(
        pairs[:400].with_blocks(blocks), y[:400]
    )
    return head.score(pairs[400:], (gold[800::2] > gold[801::2]).astype(float))


def test_a_few_good_columns_count_beside_many_useless_ones():
    """One prior for all loses what a prior for each finds."""
    pairs, y, gold = make([4, 200], 0, noise=2.0)
    one = score_of(pairs, y, gold, None)
    each = score_of(pairs, y, gold, pairs.blocks)
    assert each > one + 0.05


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_unit_of_a_block_does_not_matter(factor):
    """Blocks are made alike before they are told apart."""
    pairs, y, gold = make([4, 40], 0)
    scaled = pairs.items.copy()
    scaled[:, 4:] *= factor
    other = Pairs(scaled, pairs.ids, pairs.prompt_ids, pairs.blocks)
    here = score_of(pairs, y, gold, pairs.blocks)
    assert score_of(other, y, gold, pairs.blocks) == pytest.approx(here, abs=0.005)


def test_one_block_is_no_block():
    """The whole matrix with a name is the matrix."""
    pairs, y, _ = make([6], 0, n=200)
    named = LinearBradleyTerry().fit(pairs, y)
    plain = LinearBradleyTerry().fit(pairs.with_blocks(None), y)
    np.testing.assert_allclose(named.coef_, plain.coef_, rtol=1e-6)


def test_a_preprocessor_takes_the_blocks_away():
    """Its columns are others."""
    pairs, y, _ = make([4, 6], 0, n=200)
    pca = PCA(5, random_state=0)
    with_blocks = LinearBradleyTerry(preprocessor=pca).fit(pairs, y)
    without = LinearBradleyTerry(preprocessor=pca).fit(pairs.with_blocks(None), y)
    np.testing.assert_array_equal(with_blocks.coef_, without.coef_)


@pytest.mark.parametrize("name", ["boosted", "siamese"])
def test_heads_with_a_linear_start_take_blocks_through_it(name):
    """What the linear head makes of them is where they start from."""
    pairs, y, gold = make([4, 200], 0, noise=2.0)
    train, right = pairs[:400], (gold[800::2] > gold[801::2]).astype(float)

    def score(blocks):
        head = make_head(name, random_state=0)
        return head.fit(train.with_blocks(blocks), y[:400]).score(pairs[400:], right)

    assert score(pairs.blocks) > score(None) + 0.03
