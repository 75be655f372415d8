"""From rewards to data and policies, exactly, on candidate pools.

`docs/policy.md` maps the field's systems to the functions of this room.
"""

from embrm.policy.contrastive import ContrastiveReward, fit_contrastive, info_nce
from embrm.policy.direct import DirectAlignment, SoftmaxPolicy
from embrm.policy.displays import AlignmentDisplay, ParetoDisplay, PolicyDisplay
from embrm.policy.label_sources import (
    Augmentation,
    augment_by_permutation,
    implicit_labels,
    weak_to_strong,
)
from embrm.policy.likelihood import response_logprob
from embrm.policy.loops import CASES, AlignmentCase, AlignmentRun, run_case
from embrm.policy.mining import Mined, MiningRule, Scored, mine, mining_card
from embrm.policy.nash import (
    CycleReport,
    NashPolicy,
    cycle_report,
    head_preference,
    nash_by_linear_program,
    nash_policy,
    payoff_of,
    preference_matrices,
    regularised_exploitability,
    top_cycle,
)
from embrm.policy.objectives import (
    ParetoFront,
    RobustPolicy,
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
from embrm.policy.preference_files import TRAINING_FORMATS
from embrm.policy.selection import (
    Candidates,
    SelectedPairs,
    acceptance_rate,
    select_items,
    select_pairs,
)
from embrm.policy.self_training import SelfTrained, pseudo_label, self_rewarding, spin
from embrm.policy.sweeps import PolicySweep, best_of_n_sweep, sweep_policies, tilt_sweep
from embrm.policy.users import SharedDirections, low_rank_users, principal_directions

__all__ = [
    "CASES",
    "TRAINING_FORMATS",
    "AlignmentCase",
    "AlignmentDisplay",
    "AlignmentRun",
    "Augmentation",
    "Candidates",
    "ContrastiveReward",
    "CycleReport",
    "DirectAlignment",
    "Mined",
    "MiningRule",
    "NashPolicy",
    "ParetoDisplay",
    "ParetoFront",
    "PolicyDisplay",
    "PolicySweep",
    "RobustPolicy",
    "Scored",
    "SelectedPairs",
    "SelfTrained",
    "SharedDirections",
    "SoftmaxPolicy",
    "acceptance_rate",
    "augment_by_permutation",
    "best_of_n_policy",
    "best_of_n_sweep",
    "bradley_terry",
    "conditioned_policy",
    "coverage",
    "cycle_report",
    "fit_contrastive",
    "head_preference",
    "implicit_labels",
    "implicit_reward",
    "info_nce",
    "low_rank_users",
    "mine",
    "mining_card",
    "nash_by_linear_program",
    "nash_policy",
    "pareto_front",
    "payoff_of",
    "policy_gradient_path",
    "policy_soup",
    "preference_matrices",
    "principal_directions",
    "pseudo_label",
    "psi_policy",
    "regularised_exploitability",
    "rejection_fine_tuned",
    "response_logprob",
    "run_case",
    "select_items",
    "select_pairs",
    "self_rewarding",
    "spin",
    "sweep_policies",
    "tilt_sweep",
    "tilted_policy",
    "top_cycle",
    "weak_to_strong",
    "winning_shares",
    "worst_group_policy",
]
