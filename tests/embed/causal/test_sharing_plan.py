"""Plans: every text once, within the budget, and the cheaper for sharing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.causal.sharing_plan import (
    KVStep,
    Machine,
    PrefixGroup,
    plan_kv,
    plan_padded,
    plan_tree,
    prefix_groups,
)
from embrm.embed.truncation import FittedTokens

CPU = Machine(start=16, floor=0, dim=512)
GPU = Machine(start=128, floor=1024, dim=2048, tree_columns=10**9, is_sparse=True)


def texts_of(n_prompts: int, n_prompt: int, own: list[int]) -> list[FittedTokens]:
    """Prompts of one length, each with responses of the given lengths."""
    texts = []
    for prompt in range(n_prompts):
        for number, n in enumerate(own):
            ids = np.full(n_prompt + n, prompt, dtype=np.int32)
            ids[n_prompt:] = 1000 + number
            texts.append(FittedTokens(ids, 0, n_prompt, len(ids) - 1))
    return texts


def costs(texts: list[FittedTokens], machine: Machine, budget: int = 8192):
    groups = prefix_groups(texts)
    return {
        "off": sum(
            s.cost for s in plan_padded(texts, range(len(texts)), budget, machine)
        ),
        "kv": sum(s.cost for s in plan_kv(texts, groups, budget, machine)),
        "tree": sum(s.cost for s in plan_tree(texts, groups, budget, machine)),
    }


group_texts = st.builds(
    texts_of,
    st.integers(1, 4),
    st.integers(1, 30),
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
)


@settings(max_examples=60)
@given(
    texts=group_texts, budget=st.integers(1, 300), machine=st.sampled_from([CPU, GPU])
)
@pytest.mark.parametrize("plan", [plan_kv, plan_tree])
def test_every_text_is_in_one_step(plan, texts, budget, machine):
    """Whatever the lengths and the budget."""
    steps = plan(texts, prefix_groups(texts, min_shared=1), budget, machine)
    rows = [row for step in steps for row in step.rows]
    assert sorted(rows) == list(range(len(texts)))


@settings(max_examples=60)
@given(
    texts=group_texts, budget=st.integers(1, 300), machine=st.sampled_from([CPU, GPU])
)
def test_passes_over_continuations_are_within_the_budget(texts, budget, machine):
    """Computed tokens within it, copied ones within four times it."""
    for step in plan_kv(texts, prefix_groups(texts, min_shared=1), budget, machine):
        if not isinstance(step, KVStep):
            continue
        shared = [g.n_shared for g in step.groups for _ in g.rows]
        own = [len(texts[r]) - n for r, n in zip(step.rows, shared, strict=True)]
        assert sorted(n for batch in step.passes for n in batch) == list(
            range(len(step.rows))
        )
        for batch in step.passes:
            width = max(own[n] for n in batch)
            assert len(batch) == 1 or len(batch) * width <= budget
            assert len(batch) == 1 or len(batch) * (width + max(shared)) <= 4 * budget


@settings(max_examples=60)
@given(texts=group_texts, budget=st.integers(1, 300))
def test_tree_rows_are_no_longer_than_the_limit(texts, budget):
    """A dense mask has the square of it; one text alone may be longer."""
    machine = Machine(start=16, floor=0, dim=64, tree_columns=40)
    groups = prefix_groups(texts, min_shared=1)
    for step in plan_tree(texts, groups, budget, machine):
        for line in step.lines:
            rows = [row for group in line for row in group.rows]
            own = [len(texts[r]) - g.n_shared for g in line for r in g.rows]
            width = sum(own) + sum(group.n_shared for group in line)
            assert width <= 40 or len(rows) == 1
            assert width <= step.n_columns


def test_a_group_too_long_for_a_row_computes_its_beginning_again():
    """Each part is whole by itself."""
    texts = texts_of(1, 10, [5] * 6)
    machine = Machine(start=0, floor=0, dim=64, tree_columns=20)
    steps = plan_tree(texts, prefix_groups(texts), 20, machine)
    parts = [group for step in steps for line in step.lines for group in line]
    assert {(group.n_shared, len(group.rows)) for group in parts} == {(10, 2)}


def test_fed_tokens_count_shared_ones_once():
    """200 shared and 16 x 60 own ones are fed, not 16 x 260."""
    texts = texts_of(1, 200, [60] * 16)
    groups = prefix_groups(texts)
    for plan in (plan_kv, plan_tree):
        (step,) = plan(texts, groups, 8192, CPU)
        assert step.n_processed == 200 + 16 * 60


@pytest.mark.parametrize("machine", [CPU, GPU])
def test_sharing_is_cheaper_where_much_is_shared(machine):
    """P + K R instead of K (P + R)."""
    found = costs(texts_of(20, 300, [100] * 10), machine)
    assert max(found["kv"], found["tree"]) < 0.5 * found["off"]


def test_keys_and_values_are_cheaper_than_a_long_dense_mask():
    """On a CPU, with continuations of one length."""
    found = costs(texts_of(1, 200, [60] * 16), CPU)
    assert found["kv"] < found["tree"]


def test_the_tree_is_cheaper_for_many_short_uneven_groups_on_a_gpu():
    """One pass without padding, where masked blocks are skipped."""
    found = costs(texts_of(60, 40, [5, 60, 20, 150]), GPU)
    assert found["tree"] < found["kv"]


def test_texts_of_different_length_go_into_different_passes():
    """Padding that costs more than another pass is not computed."""
    texts = texts_of(1, 50, [10] * 8 + [200] * 2)
    (step,) = plan_kv(texts, prefix_groups(texts), 8192, CPU)
    assert [len(batch) for batch in step.passes] == [2, 8]


def test_small_passes_are_not_cut_on_a_gpu():
    """Below its floor a pass gets no faster."""
    texts = texts_of(1, 50, [5] * 4 + [20] * 2)
    (step,) = plan_kv(texts, prefix_groups(texts), 8192, GPU)
    assert len(step.passes) == 1


def test_texts_that_share_nothing_are_padded():
    """They take the plain way within the same plan."""
    texts = texts_of(1, 10, [1, 2])
    groups = [PrefixGroup((0,), 0), PrefixGroup((1,), 0)]
    (step,) = plan_kv(texts, groups, 100, CPU)
    assert not isinstance(step, KVStep)


def texts_with_ids(*sequences: list[int]) -> list[FittedTokens]:
    return [
        FittedTokens(np.array(ids, dtype=np.int32), 0, 0, len(ids) - 1)
        for ids in sequences
    ]


@settings(max_examples=150)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), max_size=12))
def test_groups_are_a_partition_with_really_common_beginnings(sequences):
    """Each text in one group, and with a token of its own behind the beginning."""
    groups = prefix_groups(texts_with_ids(*sequences), min_shared=1)
    rows = [row for group in groups for row in group.rows]
    assert sorted(rows) == list(range(len(sequences)))
    for group in groups:
        prefixes = {tuple(sequences[row][: group.n_shared]) for row in group.rows}
        assert len(prefixes) == 1
        assert all(len(sequences[row]) > group.n_shared for row in group.rows)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=8), max_size=8))
def test_more_is_saved_than_by_one_group_of_all(sequences):
    """The tree of prefixes is cut where it pays."""
    groups = prefix_groups(texts_with_ids(*sequences), min_shared=1)
    saved = sum(group.n_shared * (len(group.rows) - 1) for group in groups)
    common = min((len(ids) - 1 for ids in sequences), default=0)
    while len({tuple(ids[:common]) for ids in sequences}) > 1:
        common -= 1
    assert saved >= common * (len(sequences) - 1)


def test_the_longest_prefixes_are_shared_not_the_one_of_all():
    """Prompts share BOS and the template; their responses share the prompt."""
    prompts = [[1, 9, n, n, n] for n in (2, 3)]
    texts = texts_with_ids(*([*prompt, 5, n] for prompt in prompts for n in (6, 7)))
    assert prefix_groups(texts, min_shared=2) == [
        PrefixGroup((0, 1), 6),
        PrefixGroup((2, 3), 6),
    ]


def test_texts_outside_the_deep_groups_share_what_they_can():
    """A deep group does not keep the others from sharing less."""
    texts = texts_with_ids([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7], [1, 2, 8], [1, 2, 9])
    assert prefix_groups(texts, min_shared=2) == [
        PrefixGroup((0, 1), 5),
        PrefixGroup((2, 3), 2),
    ]


def test_a_token_that_merges_over_the_boundary_is_not_shared():
    """Trap: the prompt's own ids are not the ids of the full text's beginning."""
    merged = texts_with_ids([1, 2, 3, 40, 6], [1, 2, 3, 4, 6], [1, 2, 3, 4, 7])
    groups = prefix_groups(merged, min_shared=1)
    assert groups == [PrefixGroup((0,), 0), PrefixGroup((1, 2), 4)] or groups == [
        PrefixGroup((0, 1, 2), 3)
    ]


def test_equal_texts_keep_a_token_each():
    """There must be something left to run."""
    assert prefix_groups(texts_with_ids([1, 2, 3], [1, 2, 3]), min_shared=1) == [
        PrefixGroup((0, 1), 2)
    ]


def test_short_prefixes_are_not_shared():
    """They cost more than they save."""
    groups = prefix_groups(texts_with_ids([1, 2, 3], [1, 2, 4]), min_shared=3)
    assert [group.n_shared for group in groups] == [0, 0]


def test_no_texts_make_no_groups():
    """Nothing to do is no error."""
    assert prefix_groups([]) == []
