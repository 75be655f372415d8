"""Splits by prompt leak nothing and work inside scikit-learn."""

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_val_score,
)

from embrm import Pairs
from embrm.evaluate import (
    PromptGroupKFold,
    leakage_report,
    prompt_train_test_split,
)
from embrm.exceptions import InvalidInputError
from embrm.heads import HeadState, LinearBradleyTerry, RewardHead


class MeanDifference(RewardHead):
    """Reward along the mean difference of winner and loser, shrunk towards zero."""

    def __init__(self, *, shrink=0.0, preprocessor=None):
        super().__init__(preprocessor=preprocessor)
        self.shrink = shrink

    def _fit(self, comparisons):
        difference = comparisons.items[comparisons.winner]
        difference = difference - comparisons.items[comparisons.loser]
        self.weights_ = comparisons.weight @ difference / (1 + self.shrink)

    def _reward(self, items):
        return items @ self.weights_

    def _get_state(self):
        return HeadState(arrays={"weights": self.weights_})

    def _set_state(self, state):
        self.weights_ = state.arrays["weights"]


def make_pairs(n_prompts=12, n_items=72, n_pairs=240, cross=True, seed=0):
    """Draw pairs whose labels follow the first column of the items."""
    rng = np.random.default_rng(seed)
    items, prompts = rng.normal(size=(n_items, 3)), np.arange(n_items) % n_prompts
    first = rng.integers(n_items, size=n_pairs)
    if cross:
        second = (first + rng.integers(1, n_items, size=n_pairs)) % n_items
    else:
        steps = rng.integers(1, n_items // n_prompts, size=n_pairs)
        second = (first + n_prompts * steps) % n_items
    pairs = Pairs(items, np.column_stack([first, second]), prompts)
    difference = items[first, 0] - items[second, 0] + 0.3 * rng.normal(size=n_pairs)
    return pairs, (difference > 0).astype(int)


GROUPS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=30, max_size=60
)


@given(groups=GROUPS, test=st.sampled_from(["both", "any"]), shuffle=st.booleans())
@settings(max_examples=60)
def test_no_end_of_a_training_pair_is_in_a_held_out_prompt(groups, test, shuffle):
    """The two sides share no prompt by which a head could know the test pairs."""
    # A pair within every prompt, so that no fold is empty.
    groups = np.array(groups + [(p, p) for p in range(10)])
    cv = PromptGroupKFold(3, test=test, shuffle=shuffle, random_state=0)
    for train, tested in cv.split(groups, groups=groups):
        assert not set(train) & set(tested)
        if test == "both":
            assert leakage_report(groups[train], groups[tested]).n_shared_prompts == 0
        else:
            assert len(train) + len(tested) == len(groups)


@given(prompts=st.lists(st.integers(0, 7), min_size=20, max_size=60))
@settings(max_examples=40)
def test_folds_part_the_pairs_within_prompts(prompts):
    """Every pair is tested once, and trained on otherwise."""
    groups = np.array(prompts + list(range(8)))
    folds = list(PromptGroupKFold(4).split(groups, groups=groups))
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(len(groups)))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(groups)))


def test_folds_are_equally_full():
    """Greedy dealing keeps very unequal prompts balanced."""
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    sizes = [len(test) for _, test in PromptGroupKFold(5).split(groups, groups=groups)]
    assert max(sizes) - min(sizes) <= 2


def test_folds_do_not_depend_on_the_order_of_pairs():
    """The same pairs are tested together, however they are passed."""
    rng = np.random.default_rng(0)
    groups = rng.integers(15, size=(90, 2))
    order = rng.permutation(90)
    one = [set(test) for _, test in PromptGroupKFold(3).split(groups, groups=groups)]
    other = PromptGroupKFold(3).split(groups, groups=groups[order])
    assert [set(order[test]) for _, test in other] == one


def test_both_columns_may_name_prompts_as_strings():
    """Prompt ids are integers or strings."""
    groups = np.random.default_rng(1).integers(9, size=(60, 2))
    named = np.char.mod("prompt %d", groups)
    one, other = (
        [test.tolist() for _, test in PromptGroupKFold(3).split(g, groups=g)]
        for g in (groups, named)
    )
    assert one == other


def test_shuffling_is_fixed_by_its_seed():
    """And differs from no shuffling."""
    groups = np.repeat(np.arange(20), 2)

    def folds(**options):
        cv = PromptGroupKFold(4, **options)
        return [test.tolist() for _, test in cv.split(groups, groups=groups)]

    shuffled = folds(shuffle=True, random_state=3)
    assert shuffled == folds(shuffle=True, random_state=3)
    assert shuffled != folds()


def test_grouping_on_the_first_prompt_would_leak():
    """The defect that this splitter is for: most test pairs share a prompt."""
    pairs, _ = make_pairs()
    first = pairs.groups.ends[:, 0]
    train, test = next(GroupKFold(5).split(first, groups=first))
    report = leakage_report(pairs.groups[train], pairs.groups[test])
    assert report.n_leaking_pairs > 0.5 * report.n_test_pairs


def test_any_tests_the_pairs_that_both_leaves_out():
    """With one end in the fold they are new in part."""
    groups = np.array([["a", "b"], ["a", "a"], ["b", "b"], ["c", "c"]])
    both, any_end = (
        [
            test.tolist()
            for _, test in PromptGroupKFold(3, test=t).split(groups, None, groups)
        ]
        for t in ("both", "any")
    )
    assert both == [[1], [2], [3]]
    assert any_end == [[0, 1], [0, 2], [3]]


def test_pairs_bring_their_own_groups():
    """`groups` may be left out where prompts are known."""
    pairs, _ = make_pairs()
    cv = PromptGroupKFold(3)
    own = [test.tolist() for _, test in cv.split(pairs)]
    assert own == [test.tolist() for _, test in cv.split(pairs, groups=pairs.groups)]


def test_unknown_prompts_are_refused():
    """Without groups there is nothing to hold out."""
    with pytest.raises(InvalidInputError, match="groups, the prompt ids of the pairs"):
        next(PromptGroupKFold(2).split(np.zeros((4, 2, 1))))


def test_pairs_without_prompts_are_refused():
    """The fix is to pass prompt_ids."""
    with pytest.raises(InvalidInputError, match="Pairs made with prompt_ids"):
        next(PromptGroupKFold(2).split(Pairs(np.eye(2), [[0, 1]])))


def test_more_folds_than_prompts_are_refused():
    """A fold needs a prompt."""
    with pytest.raises(InvalidInputError, match="each of 3 folds; got 2 prompts"):
        next(PromptGroupKFold(3).split(np.zeros(4), groups=[1, 1, 2, 2]))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([["a", "b"], ["b", "a"]], "0 training and 0 test pairs"),
        ([["a", "b"], ["a", "a"]], "0 training and 1 test pairs"),
    ],
)
def test_a_split_without_pairs_on_a_side_is_refused(groups, words):
    """An empty fold would fail much later, with another message."""
    with pytest.raises(InvalidInputError, match=words):
        list(PromptGroupKFold(2).split(np.zeros(2), groups=groups))


@pytest.mark.parametrize("n_splits", [1, 2.0])
def test_one_fold_is_refused(n_splits):
    """As scikit-learn does, when the splitter is made."""
    with pytest.raises(InvalidInputError, match="an integer n_splits >= 2"):
        PromptGroupKFold(n_splits)


def test_an_unknown_rule_for_test_pairs_is_refused():
    """The message lists the known ones."""
    with pytest.raises(InvalidInputError, match="test one of both, any"):
        PromptGroupKFold(test="either")


def test_the_splitter_shows_its_parameters():
    """As scikit-learn's splitters do."""
    assert repr(PromptGroupKFold(4)).startswith("PromptGroupKFold(n_splits=4")
    assert PromptGroupKFold(4).get_n_splits() == 4


@pytest.mark.parametrize("cross", [True, False])
def test_cross_val_score_equals_a_loop_over_folds(cross):
    """scikit-learn passes pairs and two-column groups through."""
    pairs, y = make_pairs(cross=cross)
    cv = PromptGroupKFold(4)
    scores = cross_val_score(MeanDifference(), pairs, y, groups=pairs.groups, cv=cv)
    by_hand = [
        MeanDifference().fit(pairs[train], y[train]).score(pairs[test], y[test])
        for train, test in cv.split(pairs, y, pairs.groups)
    ]
    np.testing.assert_allclose(scores, by_hand)
    assert scores.min() > 0.7


def test_cross_val_predict_works_for_pairs_within_prompts():
    """Their folds part the pairs, so each gets one held-out delta."""
    pairs, y = make_pairs(cross=False)
    delta = cross_val_predict(
        MeanDifference(),
        pairs,
        y,
        groups=pairs.groups,
        cv=PromptGroupKFold(4),
        method="decision_function",
    )
    assert np.mean((delta > 0) == y) > 0.8


def test_cross_val_predict_is_refused_for_pairs_across_prompts():
    """scikit-learn asks for a partition, which they do not have."""
    pairs, y = make_pairs()
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict(MeanDifference(), pairs, y, cv=PromptGroupKFold(4))


def test_grid_search_over_a_head_takes_groups():
    """In two worker processes."""
    pairs, y = make_pairs()
    grid = {"alpha": [0.01, 1.0]}
    search = GridSearchCV(LinearBradleyTerry(), grid, cv=PromptGroupKFold(3), n_jobs=2)
    search.fit(pairs, y, groups=pairs.groups)
    assert search.best_score_ > 0.8


def test_groups_are_routed_as_metadata():
    """The splitter requests groups by itself."""
    pairs, y = make_pairs()
    cv = PromptGroupKFold(3)
    plain = cross_val_score(MeanDifference(), pairs, y, groups=pairs.groups, cv=cv)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(
            MeanDifference(), pairs, y, params={"groups": pairs.groups}, cv=cv
        )
    np.testing.assert_array_equal(plain, routed)


SPLITTERS = [
    GroupKFold(4),
    StratifiedGroupKFold(4),
    GroupShuffleSplit(4, random_state=0),
    LeaveOneGroupOut(),
    LeavePGroupsOut(2),
]


@pytest.mark.parametrize("cv", SPLITTERS[:4], ids=lambda cv: type(cv).__name__)
def test_splitters_of_scikit_learn_take_groups_of_pairs_within_prompts(cv):
    """Scores, a search in two processes, and no prompt on both sides."""
    pairs, y = make_pairs(cross=False)
    groups = pairs.groups
    scores = cross_val_score(MeanDifference(), pairs, y, groups=groups, cv=cv)
    assert np.nanmean(scores) > 0.7
    for train, test in cv.split(pairs, y, groups):
        assert set(groups[train]).isdisjoint(groups[test])
    grid = {"alpha": [0.01, 1.0]}
    search = GridSearchCV(LinearBradleyTerry(), grid, cv=cv, n_jobs=2)
    assert search.fit(pairs, y, groups=groups).best_score_ > 0.8


@pytest.mark.parametrize("cv", SPLITTERS, ids=lambda cv: type(cv).__name__)
def test_splitters_of_one_group_refuse_pairs_across_prompts(cv):
    """They name the splitter that holds out the prompts of both ends."""
    pairs, y = make_pairs()
    with pytest.raises(InvalidInputError, match=r"cross-prompt.*PromptGroupKFold"):
        next(cv.split(pairs, y, pairs.groups))
    with pytest.raises(InvalidInputError, match=r"cross-prompt.*PromptGroupKFold"):
        cross_val_score(MeanDifference(), pairs, y, groups=pairs.groups, cv=cv)


def test_plain_splitters_take_pairs():
    """Of both kinds; they know no groups."""
    for cross in (True, False):
        pairs, y = make_pairs(cross=cross)
        scores = cross_val_score(MeanDifference(), pairs, y, cv=KFold(4))
        assert scores.min() > 0.7


def test_the_head_of_these_tests_is_a_proper_estimator():
    """It clones, and its state can be stored."""
    pairs, y = make_pairs()
    head = MeanDifference(shrink=1.0).fit(pairs, y)
    again = clone(head).set_state(head.get_state())
    np.testing.assert_array_equal(again.reward(pairs.items), head.reward(pairs.items))


def test_a_fifth_of_the_prompts_is_tested():
    """The share is of prompts, not of pairs."""
    groups = np.repeat(np.arange(20), 3)
    train, test = prompt_train_test_split(groups, random_state=0)
    assert len(np.unique(groups[test])) == 4
    assert sorted([*train, *test]) == list(range(60))


@pytest.mark.parametrize("as_pairs", [True, False])
def test_one_split_follows_the_rule_of_the_folds(as_pairs):
    """Both ends of every pair on the same side."""
    pairs, _ = make_pairs()
    given_pairs = pairs if as_pairs else pairs.groups
    train, test = prompt_train_test_split(given_pairs, test_size=0.4, random_state=1)
    report = leakage_report(pairs.groups[train], pairs.groups[test])
    assert report.n_shared_prompts == 0
    assert report.n_leaking_pairs == 0


@pytest.mark.parametrize("test_size", [0, 1, 20])
def test_the_size_of_the_test_set_is_a_share(test_size):
    """A number of prompts is refused."""
    with pytest.raises(InvalidInputError, match=r"test_size in \(0, 1\)"):
        prompt_train_test_split([1, 2, 3], test_size=test_size)


def test_a_leak_is_counted_at_either_end():
    """A test pair leaks if one of its prompts was trained on."""
    report = leakage_report([["a", "b"]], [["b", "c"], ["d", "a"], ["c", "d"]])
    assert (report.n_train_prompts, report.n_test_prompts) == (2, 4)
    assert (report.n_shared_prompts, report.n_leaking_pairs) == (2, 2)
    assert str(report).endswith("2 of 3 test pairs leak")
