"""How far to optimise a reward before gold falls

The reward of this pool was learned from few labels by people who like an odd feature
that gold dislikes in the extreme. Following it a little helps; the further the policy
moves from where it started, the more it finds responses that the reward overrates. The
fitted form (Gao et al., arXiv 2210.10760) says at which divergence gold is highest.

Alt: Gain in gold and in the reward against divergence in nats. The reward rises
throughout, gold rises, peaks near one nat and falls; a star marks the fitted peak.
"""

import numpy as np

from embrm.evaluate import (
    OveroptimisationDisplay,
    fit_overoptimisation,
    overoptimisation_curve,
)

rng = np.random.default_rng(0)
prompts = np.repeat(np.arange(200), 64)
quality, oddity = rng.normal(size=(2, len(prompts)))
reward = quality + oddity
gold = quality - 0.5 * np.maximum(oddity, 0) ** 2

curve = overoptimisation_curve(gold, reward, prompts)
fit = fit_overoptimisation(curve)
print(f"gold is highest at {fit.peak_kl.estimate:.2f} nats")
print(f"95% interval {fit.peak_kl.low:.2f} to {fit.peak_kl.high:.2f}")
best = int(np.argmax(curve.gold.mean))
print(f"best of n: n = {curve.strength[best]:.0f} is best of those up to 64")
display = OveroptimisationDisplay(curve, fit)
display.plot().figure_.savefig("overoptimisation.png", dpi=120)
