"""Grids from YAML: words become objects, mistakes are named by their key path."""

from dataclasses import replace

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.active import StrategyDesign
from embrm.exceptions import InvalidInputError
from embrm.experiment import AtErrorRate, Experiment, read_grid
from embrm.experiment.config import KEYS, grid_from_mapping
from embrm.heads import LinearBradleyTerry
from embrm.simulate import (
    BradleyTerryAnnotator,
    CrossPrompt,
    FlipAnnotator,
    PerfectAnnotator,
)

SMALL = {"annotators": "perfect", "budgets": 10, "heads": "linear"}


@pytest.fixture
def pool():
    """20 prompts with 4 responses each."""
    rng = np.random.default_rng(3)
    ids = np.repeat(np.arange(20), 4)
    return CandidatePool(rng.normal(size=(80, 3)), ids, gold=rng.normal(size=80))


def grid(**changes):
    return grid_from_mapping(SMALL | changes)


def test_the_shortest_grid_has_defaults():
    """Same-prompt pairs, three seeds, a quarter of the prompts held out."""
    made = grid()
    assert list(made.designs) == ["same-prompt"]
    assert made.annotators == {"perfect": PerfectAnnotator()}
    assert (made.budgets, made.seeds) == ((10,), (0, 1, 2))
    assert (made.test_share, made.split_seed) == (0.25, 0)
    assert isinstance(made.heads["linear"], LinearBradleyTerry)


def test_the_documented_example_is_a_grid(tmp_path):
    """What `read_grid` shows can be run."""
    text = read_grid.__doc__.split(".. code-block:: yaml")[1].split("An `error_rate`")[
        0
    ]
    path = tmp_path / "grid.yaml"
    path.write_text("\n".join(line[8:] for line in text.splitlines()))
    made = read_grid(path)
    assert made.describe() == (
        "72 cells: 1 design x 6 annotators x 2 budgets x 2 heads x 3 seeds"
    )
    assert made.heads["lightgbm(num_leaves=15)"].estimator_params == {"num_leaves": 15}
    assert all(f"\n        {key}:" in text for key in KEYS)
    assert made == replace(
        grid(), **{key: getattr(made, key) for key in SMALL}, designs=made.designs
    )


def test_a_labelling_strategy_is_a_design_by_its_name():
    """With the pairing of its candidates; what it does not know is named."""
    made = grid(designs=["same-prompt", {"d-optimal": {"pairing": "cross-prompt"}}])
    assert list(made.designs) == ["same-prompt", "d-optimal(pairing=cross-prompt)"]
    chosen = made.designs["d-optimal(pairing=cross-prompt)"]
    assert chosen == StrategyDesign("d-optimal", CrossPrompt())
    with pytest.raises(InvalidInputError, match=r"'d-optimal': pairing, batch"):
        grid(designs=[{"d-optimal": {"colour": 1}}])


def test_an_error_rate_is_a_target_and_a_list_several():
    """Named by what the tables should show."""
    made = grid(annotators=[{"bradley-terry": {"error_rate": [0.1, 0.325]}}])
    assert made.annotators == {
        "bradley-terry at 10%": AtErrorRate(BradleyTerryAnnotator(), 0.1),
        "bradley-terry at 32.5%": AtErrorRate(BradleyTerryAnnotator(), 0.325),
    }


def test_a_rate_that_is_set_need_not_be_given():
    """`flip` and `lapse` have no default for it."""
    made = grid(
        annotators=[
            {"flip": {"error_rate": 0.2}},
            {"lapse": {"base": "perfect", "error_rate": 0.3}},
        ]
    )
    assert list(made.annotators) == ["flip at 20%", "lapse(base=perfect) at 30%"]
    assert isinstance(made.annotators["flip at 20%"].annotator, FlipAnnotator)


def test_levels_can_have_names_of_their_own():
    """A mapping from names; several error rates keep the name before them."""
    made = grid(
        heads={"plain": "linear", "stiff": {"linear": {"alpha": 100.0}}},
        annotators={"crowd": {"bradley-terry": {"error_rate": [0.1, 0.3]}}},
    )
    assert list(made.heads) == ["plain", "stiff"]
    assert made.heads["stiff"].alpha == 100.0
    assert list(made.annotators) == ["crowd at 10%", "crowd at 30%"]


def test_heads_may_hold_heads():
    """A wrapper's head is a spec, too; lists become tuples."""
    made = grid(
        heads=[
            {"calibrated": {"head": {"linear": {"alpha": 2.0}}}},
            {"siamese": {"hidden_sizes": [8, 4]}},
            {"logistic": {"estimator_params": {"C": 0.5}}},
        ]
    )
    assert list(made.heads) == [
        "calibrated(head=linear(alpha=2.0))",
        "siamese(hidden_sizes=[8, 4])",
        "logistic(estimator_params=C: 0.5)",
    ]
    assert made.heads["calibrated(head=linear(alpha=2.0))"].head.alpha == 2.0
    assert made.heads["siamese(hidden_sizes=[8, 4])"].hidden_sizes == (8, 4)


def test_long_names_are_cut():
    """Tables stay tables."""
    members = [{"bradley-terry": {"beta": float(n)}} for n in range(1, 9)]
    name = next(iter(grid(annotators=[{"panel": {"annotators": members}}]).annotators))
    assert len(name) == 60
    assert name.startswith("panel(annotators=[bradley-terry(beta=1.0), ")
    assert name.endswith("...")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": "mlp"}, "^head: expected keys designs, annotators, budgets, heads, "),
        ({"heads": "bt"}, r"^heads\[0\]: .*unknown head 'bt'; known: linear, siamese"),
        ({"heads": [{"linear": {"alfa": 1}}]}, r"^heads\[0\]: .*'linear': alpha, "),
        ({"designs": ["same-prompt", "both"]}, r"^designs\[1\]: .*known: same-prompt"),
        (
            {"designs": {"mixed-prompt": {"share": 0.5}}},
            "^designs.mixed-prompt: .*NAME",
        ),
        (
            {"designs": []},
            "^designs: expected a list, or a mapping from names; got a l",
        ),
        ({"annotators": 3}, "^annotators: expected a list, or a mapping .*; got 3"),
        ({"annotators": [3]}, r"^annotators\[0\]: expected an annotator as a name"),
        (
            {"annotators": ["perfect", {"bradley-terry": {"error_rate": 0.7}}]},
            r"^annotators\[1\].bradley-terry.error_rate: expected error_rate in ",
        ),
        (
            {"annotators": [{"bradley-terry": {"error_rate": "low"}}]},
            r"^annotators\[0\].bradley-terry.error_rate: .*got 'low'",
        ),
        (
            {"annotators": [{"bradley-terry": {"error_rate": []}}]},
            r"^annotators\[0\].bradley-terry.error_rate: expected one error rate",
        ),
        (
            {"annotators": [{"perfect": {"error_rate": 0.1}}]},
            r"^annotators\[0\]: expected an annotator whose noise error_rate can set",
        ),
        (
            {"annotators": [{"flip": {"rate": 0.1, "error_rate": 0.1}}]},
            r"^annotators\[0\]: expected either error_rate or rate, .*; got both",
        ),
        (
            {"heads": ["linear", "linear"]},
            r"^heads\[1\]: .*'linear' twice. .*NAME: SPEC",
        ),
        ({"budgets": "many"}, "^budgets: expected an integer >= 1; got 'many'"),
        ({"budgets": [10, -1]}, r"^budgets\[1\]: expected an integer >= 1; got -1"),
        ({"seeds": 0}, "^seeds: expected an integer >= 1; got 0"),
        ({"seeds": [1, 1]}, "^seeds: expected one or more different seeds"),
        (
            {"test_share": 1.0},
            "^test_share: expected a number between 0 and 1; got 1.0",
        ),
        ({"split_seed": "a"}, "^split_seed: expected an integer >= 0; got 'a'"),
    ],
)
def test_a_mistake_is_named_by_its_key_path(changes, words):
    """With what is accepted there."""
    with pytest.raises(InvalidInputError, match=words):
        grid(**changes)


@pytest.mark.parametrize("key", ["annotators", "budgets", "heads"])
def test_what_has_no_default_is_needed(key):
    """The key is named."""
    given = {name: value for name, value in SMALL.items() if name != key}
    with pytest.raises(InvalidInputError, match=f"^{key}: expected a value; got none"):
        grid_from_mapping(given)


def test_the_file_is_named_before_the_key(tmp_path):
    """So that nobody looks in another one."""
    path = tmp_path / "grid.yaml"
    path.write_text("annotators: perfect\nbudgets: 5\nheads: [linear, bt]\n")
    with pytest.raises(InvalidInputError, match=r"^grid.yaml: heads\[1\]: expected"):
        read_grid(path)


def test_prompts_are_split_and_never_shared(pool):
    """A quarter of the prompts for testing; the seed says which."""
    train, test = grid().split(pool.prompt_ids)
    assert len(train) == 60
    assert len(set(pool.prompt_ids[test])) == 5
    assert set(pool.prompt_ids[train]).isdisjoint(pool.prompt_ids[test])
    again = grid(split_seed=1).split(pool.prompt_ids)[1]
    assert set(again) != set(test)


def test_a_grid_is_what_an_experiment_takes(pool):
    """The options fit its signature; settings arrive."""
    made = grid(best_of_n=2, n_resamples=50, seeds=2)
    train, test = (pool.take(rows) for rows in made.split(pool.prompt_ids))
    experiment = Experiment(train, test, **made.options)
    assert len(experiment) == made.n_cells == 2
    table = experiment.run()
    assert table["error"].tolist() == ["", ""]
    assert "best_of_2" in table
    assert "best_of_4" not in table


def test_lengths_reach_annotators_with_a_target_and_without():
    """For pools that know lengths and no texts."""
    biased = {"base": "bradley-terry", "covariate": "length", "strength": 1.0}
    named = {
        "free": {"biased": biased},
        "set": {"biased": {**biased, "error_rate": 0.3}},
    }
    made = grid(annotators=named).with_lengths(np.array([1.0, 2.0]))
    assert made.annotators["free"].covariate.tolist() == [1.0, 2.0]
    assert made.annotators["set"].annotator.covariate.tolist() == [1.0, 2.0]
    assert made.annotators["set"].error_rate == 0.3


def test_budgets_that_cannot_be_met_are_refused_before_the_run(pool):
    """Budget and design are named; with replacement any budget can be met."""
    with pytest.raises(
        InvalidInputError,
        match=r"^budgets\[1\]: expected at most 120 pairs, all that 'same-prompt' has",
    ):
        grid(budgets=[10, 121]).check_budgets(pool)
    grid(budgets=[10, 120]).check_budgets(pool)
    again = [{"same-prompt": {"replacement": True}}]
    grid(budgets=[121], designs=again).check_budgets(pool)
    with pytest.raises(InvalidInputError, match="at most 0 pairs"):
        grid(designs=[{"k-wise": {"k": 9, "replacement": True}}]).check_budgets(pool)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "3 cells: 1 design x 1 annotator x 1 budget x 1 head x 3 seeds"),
        ({"seeds": [7]}, "1 cell: 1 design x 1 annotator x 1 budget x 1 head x 1 seed"),
    ],
)
def test_the_size_of_a_grid_is_said_in_one_line(changes, words):
    """Before hours are spent on it."""
    assert grid(**changes).describe() == words
