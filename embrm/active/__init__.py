"""Active labelling: which pairs to label next, and what that saves.

posterior = RewardPosterior.from_head(head, pool.items)
candidates = draw_candidates(pool, 100_000, past=labelled)
ids = DOptimal().propose(candidates, posterior, 64, random_state=0)
"""

from embrm.active.candidates import Candidates, draw_candidates, draw_on_policy
from embrm.active.duels import DoubleThompson, MaxMinLCB, ReversedThompson
from embrm.active.loop import LabelLoop, Proposal, inverse_propensity
from embrm.active.optimal import BatchBALD, DOptimal, VOptimal
from embrm.active.posterior import RewardPosterior
from embrm.active.prompt_entropy import PromptEntropy
from embrm.active.registry import DEFAULT_STRATEGY, known_strategies, make_strategy
from embrm.active.savings import LabelBudgetDisplay, LabelSaving, label_saving
from embrm.active.simulation import (
    LoopResult,
    StoppingRule,
    StrategyDesign,
    simulate_loop,
)
from embrm.active.strategy import Strategy, ValueStrategy
from embrm.active.values import (
    Coreset,
    DeltaUCB,
    Entropy,
    ExplorationPair,
    InfoMax,
    MaxDifference,
    NoisyLevelSet,
    RandomPairs,
)

__all__ = [
    "DEFAULT_STRATEGY",
    "BatchBALD",
    "Candidates",
    "Coreset",
    "DOptimal",
    "DeltaUCB",
    "DoubleThompson",
    "Entropy",
    "ExplorationPair",
    "InfoMax",
    "LabelBudgetDisplay",
    "LabelLoop",
    "LabelSaving",
    "LoopResult",
    "MaxDifference",
    "MaxMinLCB",
    "NoisyLevelSet",
    "PromptEntropy",
    "Proposal",
    "RandomPairs",
    "ReversedThompson",
    "RewardPosterior",
    "StoppingRule",
    "Strategy",
    "StrategyDesign",
    "VOptimal",
    "ValueStrategy",
    "draw_candidates",
    "draw_on_policy",
    "inverse_propensity",
    "known_strategies",
    "label_saving",
    "make_strategy",
    "simulate_loop",
]
