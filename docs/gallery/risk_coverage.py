"""When to ask a person instead

A reward model may decide only the pairs that it is surest of, and leave the others to
people. The curve is the error rate among the pairs decided; the more it falls to the
left, the more its confidence is worth. Here the head decides pairs of prompts that it
was not fitted on.

Alt: Error rate against the share of pairs decided, most confident first; the curve
rises from near zero on the left to the error rate of deciding all pairs on the right.
"""

from embrm.datasets import read_pairs
from embrm.embed import make_encoder
from embrm.evaluate import RiskCoverageDisplay
from embrm.heads import make_head
from embrm.report import cross_fit, quickstart_path

preferences = read_pairs(quickstart_path())
pairs = preferences.to_pairs(make_encoder("hashing").encode(preferences.texts))
fit = cross_fit(make_head("linear"), pairs, preferences.y)
display = RiskCoverageDisplay.from_predictions(fit.delta, preferences.y)
for share in (0.25, 0.5, 1.0):
    decided = round(share * len(pairs)) - 1
    print(f"deciding {share:4.0%}: {display.curve.risk[decided]:.1%} wrong")
display.plot().figure_.savefig("risk_coverage.png", dpi=120)
