"""Helpful and short: a trade-off made visible

Two rewards of the same answers, one for being helpful and one for being short, pull
apart. Each point of the line is the policy of a user who weighs them differently; none
of them is best in both. The square is the policy whose worse-off user fares best, when
nobody knows how a user weighs them.

Alt: A falling curve of expected brevity against expected helpfulness with one marker
for each weighting, and a square on it for the robust policy.
"""

import numpy as np

from embrm.policy import ParetoDisplay, pareto_front, worst_group_policy

rng = np.random.default_rng(0)
prompts = np.repeat(np.arange(200), 8)
words = rng.uniform(20, 200, len(prompts))
helpful = np.log(words / 20) + rng.normal(0, 0.7, len(prompts))
short = -words / 60
rewards = np.column_stack([helpful - helpful.mean(), short - short.mean()])

share = np.linspace(0, 1, 11)
front = pareto_front(rewards, prompts, np.column_stack([share, 1 - share]), eta=0.3)
robust = worst_group_policy(rewards, prompts, eta=0.3)
print(front.to_frame().iloc[::5].round(2).to_string(index=False))
print("robust weights", robust.nu.round(2), "values", robust.value.round(2))
display = ParetoDisplay(
    front,
    {"best for the worse off": tuple(robust.value)},
    labels=("expected reward for helpfulness (nats)", "for brevity (nats)"),
)
display.plot().ax_.figure.savefig("pareto.png", dpi=120)
