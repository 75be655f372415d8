"""Best of n, or a policy tilted by the reward?

Both follow the same reward away from the same base policy, one by picking, the other as
reinforcement learning with a price on divergence does in the limit. On a pool of
candidates both can be computed exactly, without a language model. At equal divergence
the tilted policy earns more gold; picking is simpler and needs no training.

Alt: Expected gold against divergence from the base policy in nats, a line with a band
for each of two policies; the tilted policy lies above best of n until both level off.
"""

import numpy as np

from embrm.datasets import make_preferences
from embrm.heads import LinearBradleyTerry
from embrm.policy import PolicyDisplay, best_of_n_sweep, tilt_sweep

data = make_preferences(300, 32, 400, responses_per_prompt=16, random_state=0)
pool = data.pool
reward = LinearBradleyTerry().fit(data.pairs, data.y).reward(pool.items)
of = {"gold": pool.gold}
tilted = tilt_sweep(
    reward, pool.prompt_ids, np.geomspace(4, 0.1, 16), name="tilt", **of
)
picked = best_of_n_sweep(reward, pool.prompt_ids, [1, 2, 3, 4, 6, 8, 12, 16, 32], **of)
for kl in (0.25, 0.5, 1.0):
    print(
        f"gold at {kl:4.2f} nats: tilted {tilted.gold_at(kl):.3f}, "
        f"best of n {picked.gold_at(kl):.3f}"
    )
display = PolicyDisplay([tilted, picked]).plot()
display.ax_.set_ylabel("expected gold (standard deviations)")
display.ax_.figure.savefig("policies.png", dpi=120)
