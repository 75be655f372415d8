"""Probabilities before and after calibration

A head with too weak a penalty (here on purpose) follows the noise of the labels that it
is fitted on: where it says 95%, far fewer pairs of other prompts are ordered right.
`CalibratedReward` learns the scale of the deltas on prompts that the head was not
fitted on, and leaves the order as it is. A calibrated head lies on the diagonal; the
area of a marker is the share of the pairs.

Alt: Reliability diagram of accuracy against confidence on held-out prompts. The markers
of the plain head lie far below the diagonal, those of the calibrated head on it.
"""

from embrm.datasets import make_preferences
from embrm.evaluate import ReliabilityDisplay, evaluate_head, prompt_train_test_split
from embrm.heads import CalibratedReward, LinearBradleyTerry

data = make_preferences(4000, 192, 1000, beta=1.5, random_state=0)
pairs, y = data.pairs, data.y
train, test = prompt_train_test_split(pairs, test_size=0.5, random_state=0)

plain = LinearBradleyTerry(alpha=1e-3)
heads = {"plain": plain, "calibrated": CalibratedReward(plain, cv=20)}
ax = None
for name, head in heads.items():
    fitted = head.fit(pairs[train], y[train])
    judged = evaluate_head(fitted, pairs[test], y[test])
    print(f"{name:<11} order consistency {judged.order_consistency}")
    print(f"{'':<11} log loss {judged.log_loss}")
    display = ReliabilityDisplay.from_estimator(fitted, pairs[test], y[test], name=name)
    ax = display.plot(ax).ax_
ax.figure.savefig("calibration.png", dpi=120)
