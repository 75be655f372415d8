"""Each check of equivalence fails for a head to which the difference matters."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.testing import head_checks


class Linear(LinearBradleyTerry):
    """A linear head whose `change` may spoil what is fitted, and `stretch` the fit."""

    def fit(self, pairs, y=None, *, sample_weight=None, margin=None):
        given = self.change(pairs, y, sample_weight)
        super().fit(given[0], given[1], sample_weight=given[2], margin=margin)
        self.coef_ = self.coef_ * self.stretch(pairs, y)
        return self

    def change(self, pairs, y, weight):
        return pairs, y, weight

    def stretch(self, pairs, y):
        return 1.0


class ReadsTheFirstTwoPairs(Linear):
    def change(self, pairs, y, weight):
        return pairs[:2], y[:2], weight[:2]


class LooksAtRowNumbers(Linear):
    def stretch(self, pairs, y):
        return 1 + pairs.ids[0, 0]


class LooksAtPromptNames(Linear):
    def stretch(self, pairs, y):
        return len(str(pairs.prompt_ids[0]))


class LikesPairsBetter(Linear):
    def stretch(self, pairs, y):
        return 2.0 if isinstance(pairs, Pairs) else 1.0


class DislikesMemoryMaps(Linear):
    def stretch(self, pairs, y):
        return 0.0 if isinstance(pairs.items, np.memmap) else 1.0


class OverflowsInHalfPrecision(Linear):
    def stretch(self, pairs, y):
        return -1.0 if pairs.items.dtype == np.float16 else 1.0


class CountsRows(Linear):
    def stretch(self, pairs, y):
        return len(pairs.items)


class IgnoresWeights(Linear):
    def change(self, pairs, y, weight):
        return pairs, y, None


class FillsWeights(Linear):
    def change(self, pairs, y, weight):
        return pairs, y, np.maximum(weight, 1)


class RoundsLabels(Linear):
    def change(self, pairs, y, weight):
        return pairs, np.round(y), weight


class LikesOnes(Linear):
    def stretch(self, pairs, y):
        return 1 + np.mean(y)


class TakesNoneAsZero(Linear):
    def change(self, pairs, y, weight):
        return pairs, np.zeros(len(pairs)) if y is None else y, weight


BROKEN = {
    "the_order_of_pairs_does_not_matter": ReadsTheFirstTwoPairs,
    "the_order_of_items_does_not_matter": LooksAtRowNumbers,
    "the_names_of_prompts_do_not_matter": LooksAtPromptNames,
    "pairs_and_dense_arrays_are_the_same": LikesPairsBetter,
    "memory_maps_are_arrays": DislikesMemoryMaps,
    "float16_and_float32_items_are_taken": OverflowsInHalfPrecision,
    "equal_vectors_are_one_item": CountsRows,
    "weight_k_is_k_copies": IgnoresWeights,
    "weight_zero_is_removal": FillsWeights,
    "a_soft_label_is_two_weighted_rows": RoundsLabels,
    "a_flipped_label_is_a_swapped_pair": LikesOnes,
    "no_labels_mean_first_is_preferred": TakesNoneAsZero,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_head_fails_the_check(name, assert_fails):
    """And the sound head that it was made from passes."""
    dict(head_checks())[name](Linear(alpha=1.0))
    assert_fails(BROKEN[name](alpha=1.0), name)
