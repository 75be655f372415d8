"""What a reward is worth when it picks the best of n

The most common use of a reward model: ask a language model n times, keep the answer
with the highest reward. The curves are exact expectations over all draws of n from the
four graded answers to each held-out prompt, not a simulation. The grey lines are the
bounds: a pick at random, and a pick by the grades themselves.

Alt: Expected grade of the pick against n from 1 to 4. The line of words and style rises
from 1.5, that of length alone falls a little; the curve of the grades themselves is
above.
"""

import numpy as np

from embrm.datasets import read_pairs
from embrm.embed import make_encoder
from embrm.evaluate import BestOfNDisplay
from embrm.heads import make_head
from embrm.report import cross_fit, quickstart_path

preferences = read_pairs(quickstart_path())
items = preferences.items
rewards = {}
for name in ("hashing+style", "hashing"):
    pairs = preferences.to_pairs(make_encoder(name).encode(preferences.texts))
    # Rewards of each prompt by a head that was fitted on others.
    fit = cross_fit(make_head("linear"), pairs, preferences.y)
    rewards[name] = fit.reward
rewards["length alone"] = items["response"].str.len().to_numpy(np.float64)

display = BestOfNDisplay.from_predictions(
    items["score"], rewards, items["prompt_id"], label="grade (0 to 3)"
)
for name, curve in display.curves.items():
    print(f"{name:<14} best of 4: {curve.mean[-1]:.2f}, of 1: {curve.mean[0]:.2f}")
display.plot().figure_.savefig("best_of_n.png", dpi=120)
