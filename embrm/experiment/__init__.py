"""Experiments: grids of designs, annotators, budgets, heads and seeds.

table = Experiment(train_pool, test_pool, designs=..., annotators=..., ...).run("dir")
"""

from embrm.experiment.config import GridConfig, read_grid
from embrm.experiment.engine import SECONDS, Experiment
from embrm.experiment.factors import AtErrorRate

__all__ = ["SECONDS", "AtErrorRate", "Experiment", "GridConfig", "read_grid"]
