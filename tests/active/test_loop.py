"""Loops keep their budgets and shares, and savings are read off curves rightly."""

import numpy as np
import pandas as pd
import pytest

from embrm import CandidatePool
from embrm.active import (
    LabelBudgetDisplay,
    LabelLoop,
    StoppingRule,
    StrategyDesign,
    draw_on_policy,
    inverse_propensity,
    label_saving,
    simulate_loop,
)
from embrm.active.candidates import pair_keys
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, simulate
from tests.active.conftest import make_pool

HEAD = LinearBradleyTerry(alpha=1.0)


def test_a_loop_labels_as_many_distinct_pairs_as_its_budgets():
    """Round by round, and the same by the same seed."""
    pool, test = make_pool(), make_pool(seed=5)
    options = {"budgets": [20, 30, 45], "warm_start": 10, "head": HEAD}
    one, other = (
        simulate_loop(pool, test, BradleyTerryAnnotator(), random_state=3, **options)
        for _ in range(2)
    )
    assert one.curve["n_labels"].tolist() == [20, 30, 45]
    assert len(np.unique(pair_keys(one.ids, len(pool)))) == 45
    figures = ["n_labels", "order_consistency", "best_of_n", "error_rate", "cost"]
    pd.testing.assert_frame_equal(one.curve[figures], other.curve[figures])
    assert one.stopped is None


def test_one_pair_in_ten_is_random_and_never_fitted_on():
    """Held-out pairs change nothing in the head, whatever their labels."""
    pool = make_pool()
    loops = [LabelLoop(pool, head=HEAD, random_state=0, warm_start=5) for _ in "ab"]
    for loop, label in zip(loops, (0.0, 1.0), strict=True):
        for _ in range(2):
            proposal = loop.propose(20)
            y = np.where(proposal.held_out, label, 1.0)
            loop.add(
                proposal.ids,
                y,
                is_random=proposal.is_random,
                held_out=proposal.held_out,
            )
            loop.refit()
        assert loop.held_out.sum() == 4
    assert loops[0].ids.tolist() == loops[1].ids.tolist()
    assert loops[0].head_.coef_.tolist() == loops[1].head_.coef_.tolist()


def test_random_pairs_have_their_propensity_and_chosen_ones_none():
    """Chance of being drawn among the candidates."""
    loop = LabelLoop(make_pool(), random_state=0, warm_start=0, random_share=0.5)
    proposal = loop.propose(20)
    assert proposal.is_random.sum() == 2 + 9
    assert np.isnan(proposal.propensity[~proposal.is_random]).all()
    n_random = proposal.is_random.sum()
    np.testing.assert_allclose(proposal.propensity[proposal.is_random], n_random / 72)


def test_the_random_share_is_of_the_pairs_that_are_fitted_on():
    """A fifth of them, beside the tenth that is held out."""
    loop = LabelLoop(make_pool(40), random_state=0, warm_start=0)
    proposal = loop.propose(100)
    assert proposal.held_out.sum() == 10
    assert (proposal.is_random & ~proposal.held_out).sum() == 18
    assert proposal.is_random[proposal.held_out].all()


def test_all_pairs_of_the_random_strategy_are_random():
    """Each has its propensity, and parameters are selected on all of them."""
    loop = LabelLoop(make_pool(), strategy="random", random_state=0, warm_start=0)
    proposal = loop.propose(30)
    assert proposal.is_random.all()
    np.testing.assert_allclose(proposal.propensity, 30 / 72)


def test_pending_pairs_are_not_proposed_again():
    """Those on the screens of annotators."""
    loop = LabelLoop(make_pool(3, 3), random_state=0)
    first = loop.propose(5)
    second = loop.propose(9, pending=first.ids)
    assert len(second) == 4
    assert not set(pair_keys(first.ids, 9)) & set(pair_keys(second.ids, 9))


def test_partial_refits_come_near_fits_from_scratch():
    """The posterior is updated by the new labels alone."""
    pool, test = make_pool(30), make_pool(seed=5)
    ends = [
        simulate_loop(
            pool,
            test,
            BradleyTerryAnnotator(),
            budgets=[40, 60, 80],
            head=HEAD,
            strategy="random",
            refit_by=way,
            random_state=1,
        )
        for way in ("scratch", "partial")
    ]
    assert ends[0].y.tolist() == ends[1].y.tolist()
    assert np.corrcoef(ends[0].head.coef_, ends[1].head.coef_)[0, 1] > 0.98


def test_a_rule_stops_a_loop_and_says_why():
    """By change of deltas, or by predicted gain."""
    pool, test = make_pool(), make_pool(seed=5)
    for rule, words in (
        (StoppingRule(change=10), "deltas changed by"),
        (StoppingRule(gain=10), "predicted gain"),
    ):
        result = simulate_loop(
            pool,
            test,
            BradleyTerryAnnotator(),
            budgets=[10, 20, 30],
            head=HEAD,
            stop=rule,
            random_state=0,
        )
        assert words in result.stopped
        assert result.curve["n_labels"].iloc[-1] < 30


def test_on_policy_candidates_are_drawn_by_reward():
    """A small eta leaves the two best of each prompt; a large one all pairs."""
    pool = make_pool()
    greedy = draw_on_policy(pool, pool.gold, 500, eta=1e-3, random_state=0)
    assert len(greedy) == 12
    for one in greedy.ids:
        rows = pool.rows(pool.prompt_ids[one[0]])
        assert set(one) == set(rows[np.argsort(-pool.gold[rows])[:2]])
    assert len(draw_on_policy(pool, pool.gold, 5000, eta=1e6, random_state=0)) == 72
    loop = LabelLoop(pool, on_policy=1.0, random_state=0)
    assert len(loop.propose(10)) == 10


def test_costs_add_up_on_the_curve():
    """Each label costs the reading of its two items."""
    pool = make_pool()
    lengths = np.arange(1.0, len(pool) + 1)
    result = simulate_loop(
        pool,
        make_pool(seed=5),
        BradleyTerryAnnotator(),
        budgets=[15],
        head=HEAD,
        item_cost=lengths,
        random_state=0,
    )
    assert result.curve["cost"].item() == lengths[result.ids].sum()


def curves(**lines):
    return pd.DataFrame(
        {"strategy": name, "seed": seed, "n_labels": n, "order_consistency": y}
        for name, line in lines.items()
        for seed in range(3)
        for n, y in zip((100, 200, 400), line, strict=True)
    )


def test_savings_are_read_between_budgets_and_off_monotone_curves():
    """A dip is averaged with what came before; what is not reached is infinite."""
    frame = curves(random=[0.6, 0.7, 0.8], fast=[0.7, 0.9, 0.9], slow=[0.5, 0.6, 0.7])
    saving = label_saving(frame, "fast", at=400)
    assert (saving.target, saving.labels) == (pytest.approx(0.8), pytest.approx(150))
    assert saving.low == saving.high == saving.share
    assert label_saving(frame, "random", at=400).share == pytest.approx(1.0)
    assert label_saving(frame, "slow", at=400).labels == float("inf")
    dip = curves(random=[0.6, 0.7, 0.8], dips=[0.9, 0.6, 0.9])
    assert label_saving(dip, "dips", at=400).labels == pytest.approx(240, rel=0.2)
    with pytest.raises(InvalidInputError, match="that reach 1000 labels"):
        label_saving(frame, "fast", at=1000)
    with pytest.raises(InvalidInputError, match="a whole curve of 'none'"):
        label_saving(frame, "none", at=400)


def test_budget_curves_are_drawn_by_strategy():
    """One line each, with what is measured against labels."""
    frame = curves(random=[0.6, 0.7, 0.8], fast=[0.7, 0.9, 0.9])
    display = LabelBudgetDisplay.from_frame(frame)
    assert [line.name for line in display.lines.lines] == ["random", "fast"]
    assert display.plot().ax_.get_xlabel() == "labels"


def test_weights_are_refused_where_a_strategy_chose():
    """Greedy choices have no chance to weigh by."""
    np.testing.assert_allclose(inverse_propensity([0.5, 0.5]), 1.0)
    with pytest.raises(InvalidInputError, match="1 of 2 chosen greedily"):
        inverse_propensity([0.5, np.nan])


def test_budgets_that_do_not_ascend_are_refused():
    """And pools without gold."""
    pool = make_pool()
    with pytest.raises(InvalidInputError, match="budgets that ascend"):
        simulate_loop(pool, pool, BradleyTerryAnnotator(), budgets=[5, 5])
    blind = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(InvalidInputError, match="which simulate_loop needs"):
        simulate_loop(blind, pool, BradleyTerryAnnotator(scale=1.0), budgets=[5])


def test_parameters_are_selected_on_the_random_pairs_alone():
    """Chosen pairs are no sample: labels of theirs leave the penalty as it is."""
    pool = make_pool(40)
    ids = pool.same_prompt_ids()[::2]
    y = pool.gold_labels(ids)
    is_random = np.arange(len(ids)) < 60
    heads = []
    for chosen in (y, 1 - y):
        loop = LabelLoop(pool, random_state=0)
        loop.add(ids, np.where(is_random, y, chosen), is_random=is_random)
        heads.append(loop.refit().head_)
    alone = LinearBradleyTerry().fit(pool.pairs(ids[:60]), y[:60])
    assert heads[0].alpha_ == heads[1].alpha_ == alone.alpha_
    assert heads[0].coef_.tolist() != heads[1].coef_.tolist()


def test_a_strategy_is_a_level_of_an_experiment(tmp_path):
    """Beside random pairs: as many labels, no pair twice, and the same table again."""
    from embrm.experiment import AtErrorRate, Experiment

    rng = np.random.default_rng(0)
    items = rng.normal(size=(400, 8)) / np.sqrt(1 + np.arange(8))
    gold = items @ rng.normal(size=8)
    pool = CandidatePool(items, np.repeat(np.arange(100), 4), gold)
    designs = {"random": SamePrompt(), "chosen": StrategyDesign("v-optimal", batch=25)}
    grid = Experiment(
        pool[np.arange(70)],
        pool[np.arange(70, 100)],
        designs=designs,
        annotators={"hasty": AtErrorRate(BradleyTerryAnnotator(), 0.25)},
        budgets=[60, 120],
        heads={"fixed": HEAD},
        seeds=[0, 1, 2],
        n_resamples=10,
    )
    table = grid.run(tmp_path)
    assert not table["error"].any()
    assert table["n_pairs"].tolist() == table["budget"].tolist()
    drawn = simulate(pool, designs["chosen"], BradleyTerryAnnotator(), 120, 3).pairs
    assert len(np.unique(pair_keys(drawn.ids, len(pool)))) == 120
    by_design = table.set_index("design")["mean_abs_delta"]
    assert (by_design["chosen"].to_numpy() != by_design["random"].to_numpy()).all()
    again = grid.run(tmp_path / "again")
    figures = [name for name in table if not name.endswith("seconds")]
    pd.testing.assert_frame_equal(table[figures], again[figures])
