"""Same-, cross- and mixed-prompt designs are uniform over the pairs they may draw."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.stats import chisquare

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import CrossPrompt, MixedPrompt, SamePrompt
from embrm.simulate import pairing as pairing_module

TINY = CandidatePool(np.ones((7, 1)), ["a", "b", "a", "c", "a", "b", "d"])


def possible(pool, *, cross):
    """Enumerate the unordered pairs of a kind."""
    return [
        (i, j)
        for i, j in itertools.combinations(range(len(pool)), 2)
        if (pool.prompt_ids[i] != pool.prompt_ids[j]) == cross
    ]


def is_cross(pool, ids):
    return pool.prompt_ids[ids[:, 0]] != pool.prompt_ids[ids[:, 1]]


@pytest.mark.parametrize(("design", "cross"), [(SamePrompt(), 0), (CrossPrompt(), 1)])
def test_the_pairs_are_those_of_an_enumeration(design, cross, ragged):
    """All of them, and no others."""
    ids = design.draw(ragged, design.max_pairs(ragged), random_state=0)
    assert sorted(map(tuple, np.sort(ids, axis=1))) == possible(ragged, cross=cross)


@pytest.mark.parametrize(("design", "cross"), [(SamePrompt, 0), (CrossPrompt, 1)])
@pytest.mark.parametrize("replacement", [False, True])
def test_every_ordered_pair_is_equally_likely(design, cross, replacement):
    """By a chi-square test, in the first and the last pair of a draw of two."""
    pairs = possible(TINY, cross=cross)
    number = {pair: i for i, pair in enumerate(pairs + [p[::-1] for p in pairs])}
    rng, drawn = np.random.default_rng(2), design(replacement)
    draws = [drawn.draw(TINY, 2, rng) for _ in range(4000)]
    for place in (0, 1):
        counts = np.bincount(
            [number[tuple(ids[place])] for ids in draws], minlength=len(number)
        )
        assert chisquare(counts).pvalue > 0.001


def test_every_set_of_pairs_is_equally_likely():
    """Without replacement, three of the four same-prompt pairs of a pool."""
    rng = np.random.default_rng(3)
    pairs = possible(TINY, cross=0)
    left_out = [
        pairs.index(*(set(pairs) - set(map(tuple, np.sort(ids, axis=1)))))
        for ids in (SamePrompt().draw(TINY, 3, rng) for _ in range(2000))
    ]
    assert chisquare(np.bincount(left_out, minlength=4)).pvalue > 0.001


def test_pairs_are_in_random_order(large):
    """A prefix of a draw is spread over the whole pool."""
    first = SamePrompt().draw(large, 50_000, random_state=0)[:500]
    assert large.prompt_ids[first].mean() == pytest.approx(20_000, rel=0.06)


@pytest.mark.parametrize("design", [SamePrompt(), CrossPrompt()], ids=repr)
@pytest.mark.parametrize("n_responses", [10, 500])
def test_drawing_takes_memory_for_the_pairs_alone(design, n_responses):
    """However many pairs are possible: up to 499 million here."""
    n_prompts = 400_000 // n_responses
    pool = CandidatePool(
        np.broadcast_to(np.float16(0), (400_000, 4)),
        np.repeat(np.arange(n_prompts), n_responses),
    )
    tracemalloc.start()
    ids = design.draw(pool, 300_000, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids.nbytes == 16 * 300_000
    assert peak < 100 * 300_000


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_share_of_cross_prompt_pairs_is_exact(pool, share):
    """And same- and cross-prompt pairs are mixed."""
    ids = MixedPrompt(share).draw(pool, 200, random_state=0)
    assert is_cross(pool, ids).sum() == 200 * share
    assert is_cross(pool, ids[:100]).mean() == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.93, 1.0])
def test_the_budget_of_a_mixture_ends_with_its_scarcer_half(ragged, share):
    """One more pair would need a same- or a cross-prompt pair that is not there."""
    design = MixedPrompt(share)
    same, cross = SamePrompt().max_pairs(ragged), CrossPrompt().max_pairs(ragged)

    def fits(n):
        n_cross = int(share * n + 0.5)
        return n_cross <= cross and n - n_cross <= same

    most = design.max_pairs(ragged)
    assert fits(most)
    assert not any(fits(n) for n in range(most + 1, same + cross + 2))


def test_a_mixture_of_what_a_pool_lacks_is_an_error():
    """One prompt has no cross-prompt pair, with replacement neither."""
    pool = CandidatePool(np.ones((4, 1)), [0, 0, 0, 0])
    with pytest.raises(InvalidInputError, match=r"CrossPrompt\(replacement=True\) can"):
        MixedPrompt(0.4, replacement=True).draw(pool, 10)


@pytest.mark.parametrize("share", [-0.1, 1.5, "half", float("nan"), True])
def test_a_share_beyond_zero_and_one_is_an_error(share):
    """It is the share of cross-prompt pairs."""
    with pytest.raises(InvalidInputError, match=r"share of cross-prompt pairs in \[0"):
        MixedPrompt(share)


def test_the_module_names_every_design():
    """`embrm.simulate.pairing` holds all that can be drawn by."""
    assert all(hasattr(pairing_module, name) for name in pairing_module.__all__)
    assert {"KWise", "RankWindow", "Tournament"} < set(pairing_module.__all__)
