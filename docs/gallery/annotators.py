"""How often does each annotator err?

Six annotators label the same kind of pairs, each with a flip rate of its own, from one
label in fifty to four in ten; nobody knows the truth. A Bradley-Terry head with
`noise="estimate"` learns the reward and each one's flip rate together, and counts the
careless for less. Points near the diagonal were estimated right; the bars are 95%
intervals from six repetitions.

Alt: Estimated against true flip rate of six annotators, all close to the diagonal.
"""

import numpy as np
from matplotlib import pyplot as plt

from embrm.datasets import make_preferences
from embrm.evaluate import order_consistency
from embrm.heads import LinearBradleyTerry

rates = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4])
estimates, gains = [], []
for seed in range(6):
    data = make_preferences(4000, 8, 1000, beta=4.0, random_state=seed)
    rng = np.random.default_rng(seed)
    annotator = rng.integers(len(rates), size=len(data.y))
    y = np.where(rng.random(len(data.y)) < rates[annotator], 1 - data.y, data.y)
    blind = LinearBradleyTerry().fit(data.pairs, y)
    aware = LinearBradleyTerry(noise="estimate").fit(data.pairs, y, annotator=annotator)
    estimates.append(aware.flip_rates_)
    test = data.pool.same_prompt_ids()
    gold = data.pool.gold_labels(test)
    gains.append(
        [
            order_consistency(head.decision_function(data.pool.pairs(test)), gold)
            for head in (blind, aware)
        ]
    )

mean, std = np.mean(estimates, axis=0), np.std(estimates, axis=0, ddof=1)
for rate, estimate in zip(rates, mean, strict=True):
    print(f"true {rate:.2f}  estimated {estimate:.3f}")
blind, aware = np.mean(gains, axis=0)
print(f"order consistency with gold: {blind:.3f}, with flip rates {aware:.3f}")

figure, ax = plt.subplots(figsize=(4.8, 4.2), layout="constrained")
ax.plot([0, 0.45], [0, 0.45], color="0.6", linestyle="--", label="estimated right")
ax.errorbar(
    rates, mean, 2.57 * std / np.sqrt(6), fmt="ko", capsize=4, label="annotator"
)
ax.set(
    xlabel="true flip rate (share of labels)",
    ylabel="estimated flip rate (share of labels)",
)
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
figure.savefig("annotators.png", dpi=120)
