"""From rewards to data and policies, exactly, on candidate pools.

`docs/policy.md` maps the field's systems to the functions of this room.
"""

from embrm.policy.direct import DirectAlignment, SoftmaxPolicy
from embrm.policy.loops import CASES, AlignmentCase, AlignmentRun, run_case
from embrm.policy.mining import MiningRule, Scored, mine
from embrm.policy.nash import (
    cycle_report,
    head_preference,
    nash_by_linear_program,
    nash_policy,
)
from embrm.policy.objectives import (
    conditioned_policy,
    pareto_front,
    policy_soup,
    worst_group_policy,
)
from embrm.policy.policies import (
    best_of_n_policy,
    bradley_terry,
    coverage,
    implicit_reward,
    policy_gradient_path,
    psi_policy,
    rejection_fine_tuned,
    tilted_policy,
    winning_shares,
)
from embrm.policy.selection import Candidates, select_items, select_pairs
from embrm.policy.sweeps import PolicySweep, best_of_n_sweep, sweep_policies, tilt_sweep

__all__ = [
    "CASES",
    "AlignmentCase",
    "AlignmentRun",
    "Candidates",
    "DirectAlignment",
    "MiningRule",
    "PolicySweep",
    "Scored",
    "SoftmaxPolicy",
    "best_of_n_policy",
    "best_of_n_sweep",
    "bradley_terry",
    "conditioned_policy",
    "coverage",
    "cycle_report",
    "head_preference",
    "implicit_reward",
    "mine",
    "nash_by_linear_program",
    "nash_policy",
    "pareto_front",
    "policy_gradient_path",
    "policy_soup",
    "psi_policy",
    "rejection_fine_tuned",
    "run_case",
    "select_items",
    "select_pairs",
    "sweep_policies",
    "tilt_sweep",
    "tilted_policy",
    "winning_shares",
    "worst_group_policy",
]
