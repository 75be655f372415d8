"""Which pairs should people label next?

Each strategy proposes pairs, a simulated annotator labels them, the head is fitted
again, and so on; curves are means over seeds. The vectors have a few strong directions
and many weak ones, as those of language models do. Designs that choose pairs for what
they tell about all weights (v-optimal, d-optimal) go ahead of random pairs as labels
grow; the largest predicted gaps tell little. The gain depends on the data: [which pairs
to label](../active/README.md) has pools where it is small or none.

Alt: Order consistency with gold against labels from 100 to 800, one line with a band
for each of four strategies.
"""

import numpy as np
import pandas as pd

from embrm import CandidatePool
from embrm.active import LabelBudgetDisplay, label_saving, simulate_loop
from embrm.simulate import BradleyTerryAnnotator

curves = []
for seed in range(3):
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(400 * 6, 48)) / np.sqrt(1 + np.arange(48))
    gold = items @ (rng.normal(size=48) * np.sqrt(1 + np.arange(48)))
    pool = CandidatePool(items, np.repeat(np.arange(400), 6), gold=gold)
    train, test = pool[np.arange(250)], pool[np.arange(250, 400)]
    for strategy in ("random", "v-optimal", "d-optimal", "max-difference"):
        result = simulate_loop(
            train,
            test,
            BradleyTerryAnnotator(beta=2.0),
            budgets=[100, 200, 400, 800],
            strategy=strategy,
            random_state=seed,
        )
        curves.append(result.curve.assign(strategy=strategy, seed=seed))
table = pd.concat(curves)
for strategy in ("v-optimal", "d-optimal"):
    print(f"{strategy}: {label_saving(table, strategy, at=800)}")
LabelBudgetDisplay.from_frame(table).plot().figure_.savefig("label_budget.png", dpi=120)
