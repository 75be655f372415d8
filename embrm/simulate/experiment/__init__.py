"""Experiments: grids of designs, annotators, budgets, heads and seeds.

table = Experiment(train_pool, test_pool, designs=..., annotators=..., ...).run("dir")
"""

from embrm.simulate.experiment.config import GridConfig, read_grid
from embrm.simulate.experiment.engine import Experiment
from embrm.simulate.experiment.factors import AtErrorRate
from embrm.simulate.experiment.table import SECONDS

__all__ = ["SECONDS", "AtErrorRate", "Experiment", "GridConfig", "read_grid"]
