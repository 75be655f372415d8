"""Annotators who like long answers

Labels here come from annotators who prefer the longer response in part, and a reward
learns that from the vectors. `LengthDebiased` gives the head the lengths when it is
fitted and leaves them out when it scores, so that what length explains is not credited
to anything else. A reward without length bias is a flat line; what it loses in
agreement with the annotators it wins in agreement with gold.

Alt: Reward against relative length of the response. The line of the plain head rises
steeply with length, those of the debiased head and of gold are nearly flat.
"""

import numpy as np

from embrm import CandidatePool
from embrm.evaluate import LengthBiasDisplay, order_consistency
from embrm.heads import LengthDebiased, LinearBradleyTerry

rng = np.random.default_rng(0)
prompts = np.repeat(np.arange(500), 4)
lengths = np.exp(rng.normal(5.0, 0.5, len(prompts))).round()
# Vectors that carry quality and, as those of every encoder, length.
items = rng.normal(size=(len(prompts), 24))
gold = items[:, :8].sum(axis=1) / np.sqrt(8)
items[:, 8:12] += 2 * (np.log(lengths) - 5)[:, None]
pool = CandidatePool(items, prompts, gold=gold)

ids = pool.same_prompt_ids()
train, test = ids[prompts[ids[:, 0]] < 350], ids[prompts[ids[:, 0]] >= 350]
liking = 2 * gold + 2 * np.log(lengths)
delta = liking[ids[:, 0]] - liking[ids[:, 1]]
y = (delta + rng.logistic(size=len(ids)) > 0).astype(float)
y_train, y_test = y[prompts[ids[:, 0]] < 350], y[prompts[ids[:, 0]] >= 350]

plain = LinearBradleyTerry().fit(pool.pairs(train), y_train)
debiased = LengthDebiased(LinearBradleyTerry(), cv=None).fit(
    pool.pairs(train), y_train, lengths=lengths
)
for name, head in {"plain": plain, "debiased": debiased}.items():
    predicted = head.decision_function(pool.pairs(test))
    told = order_consistency(predicted, y_test)
    true = order_consistency(predicted, pool.gold_labels(test))
    print(
        f"{name:<9} order consistency with annotators {told:.3f}, with gold {true:.3f}"
    )

held = prompts >= 350
display = LengthBiasDisplay.from_predictions(
    {
        "plain": plain.reward(items[held]),
        "debiased": debiased.reward(items[held]),
        "gold": gold[held],
    },
    lengths[held],
    prompts[held],
)
display.plot().figure_.savefig("length_bias.png", dpi=100)
