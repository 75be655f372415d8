"""grid: which cells there are, and what their digests hang on."""

import cloudpickle
import numpy as np
import pytest
from joblib import delayed
from sklearn.decomposition import PCA

from embrm import CandidatePool
from embrm.experiment import AtErrorRate
from embrm.experiment._cell import run_cell
from embrm.experiment._storage import PoolFiles
from embrm.experiment.evaluator import EvaluationSettings
from embrm.experiment.factors import digest_of
from embrm.experiment.grid import Factors, Grid, RunPaths, with_seed
from embrm.heads import LinearBradleyTerry, RewardEnsemble, SiameseBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, CrossPrompt, SamePrompt

AT = Factors("design", "annotator", 30, "head", 0)


def make_grid(train, test, **changes):
    levels = {
        "designs": {"design": SamePrompt()},
        "annotators": {"annotator": BradleyTerryAnnotator()},
        "budgets": (30,),
        "heads": {"head": LinearBradleyTerry(alpha=1.0)},
        "seeds": (0,),
        "settings": EvaluationSettings((2, 4), 0.95, 100),
    }
    return Grid((train, test), **levels | changes)


def test_heads_are_innermost(train, test):
    """Cells that share their pairs come one after another."""
    heads = {"a": LinearBradleyTerry(), "b": SiameseBradleyTerry()}
    grid = make_grid(train, test, heads=heads, seeds=(0, 1), budgets=(30, 40))
    cells = [(at.budget, at.seed, at.head) for at in grid]
    assert cells[:3] == [(30, 0, "a"), (30, 0, "b"), (30, 1, "a")]
    assert len(cells) == len(grid) == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"designs": {"design": CrossPrompt()}},
        {"designs": {"design": SamePrompt(replacement=True)}},
        {"annotators": {"annotator": BradleyTerryAnnotator(2.0)}},
        {"annotators": {"annotator": AtErrorRate(BradleyTerryAnnotator(), 0.3)}},
        {"heads": {"head": LinearBradleyTerry(alpha=2.0)}},
        {"heads": {"head": LinearBradleyTerry(alpha=1.0, preprocessor=PCA(2))}},
        {"settings": EvaluationSettings((2,), 0.95, 100)},
        {"settings": EvaluationSettings((2, 4), 0.9, 100)},
        {"settings": EvaluationSettings((2, 4), 0.95, 200)},
    ],
)
def test_any_change_of_a_parameter_is_another_cell(train, test, changes):
    """Nothing that decides the numbers is left out of the digest."""
    one, other = make_grid(train, test), make_grid(train, test, **changes)
    assert digest_of(one.content(AT)) != digest_of(other.content(AT))


def test_budget_and_seed_are_part_of_the_digest(train, test):
    """For every pair of levels."""
    grid = make_grid(train, test, budgets=(30, 40), seeds=(0, 1))
    assert len({digest_of(grid.content(at)) for at in grid}) == 4


@pytest.mark.parametrize("which", [0, 1])
def test_the_pools_are_part_of_the_digest(train, test, which):
    """Another gold of one item is another cell."""
    pools = [train, test]
    gold = pools[which].gold.copy()
    gold[0] += 1
    changed = list(pools)
    changed[which] = CandidatePool(
        pools[which].items, pools[which].prompt_ids, gold=gold
    )
    one, other = make_grid(*pools), make_grid(*changed)
    assert digest_of(one.content(AT)) != digest_of(other.content(AT))


def test_names_are_not_part_of_the_digest(train, test):
    """A level that is renamed is not computed again."""
    other = make_grid(train, test, designs={"same": SamePrompt()})
    renamed = Factors("same", "annotator", 30, "head", 0)
    assert other.content(renamed) == make_grid(train, test).content(AT)


def test_a_task_holds_no_vector():
    """It is a few kilobytes, for pools of megabytes."""
    rng = np.random.default_rng(0)
    pools = [
        CandidatePool(
            rng.normal(size=(4000, 200)),
            np.arange(4000) // 4 + shift,
            gold=rng.normal(size=4000),
        )
        for shift in (0, 1000)
    ]
    cell = make_grid(*pools).cell(
        AT, RunPaths(PoolFiles("a", "b"), PoolFiles("c", "d"), "e")
    )
    task = delayed(run_cell)(cell, raise_errors=False)
    assert len(cloudpickle.dumps(task)) < 10_000
    assert pools[0].items.nbytes > 6_000_000


def test_every_random_state_in_a_head_is_the_seed():
    """However deep, and whatever it was; the head itself stays as it is."""
    head = RewardEnsemble(
        SiameseBradleyTerry(preprocessor=PCA(random_state=5)), random_state=7
    )
    params = with_seed(head, 3).get_params(deep=True)
    random = [name for name in params if name.endswith("random_state")]
    assert len(random) == 3
    assert {params[name] for name in random} == {3}
    assert head.random_state == 7
