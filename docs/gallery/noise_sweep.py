"""How much noise can a reward stand?

Annotators err, and more often the more alike two answers are. Here a simulated
annotator is set to a given error rate, from 5% to 45% of labels, and a linear head is
fitted on 600 labelled pairs, of the same prompt or across prompts. Up to a quarter of
wrong labels costs little; then quality falls fast. At the same error rate, pairs within
prompts tell a little more here about order within prompts, which is what is asked; the
case for pairs across prompts is that the same annotator errs less on them (arXiv
2411.04991).

Alt: Order consistency with gold against the realised error rate, one line for pairs of
the same prompt and one for pairs across prompts, both falling as errors grow.
"""

import numpy as np

from embrm.datasets import make_preferences
from embrm.evaluate import ExperimentDisplay
from embrm.experiment import AtErrorRate, Experiment
from embrm.simulate import BradleyTerryAnnotator, CrossPrompt, SamePrompt

pool = make_preferences(1, 32, 400, responses_per_prompt=6, random_state=0).pool
table = Experiment(
    pool[np.arange(250)],
    pool[np.arange(250, 400)],
    designs={"same prompt": SamePrompt(), "cross prompt": CrossPrompt()},
    annotators={
        f"{rate:.0%}": AtErrorRate(BradleyTerryAnnotator(), rate)
        for rate in (0.05, 0.15, 0.25, 0.35, 0.45)
    },
    budgets=[600],
    heads=["linear"],
    seeds=range(5),
).run()
print(
    table.pivot_table(index="annotator", columns="design", values="order_consistency")
    .round(3)
    .sort_index(key=lambda rates: rates.str.rstrip("%").astype(int))
)
display = ExperimentDisplay.from_frame(table, "error_rate", line="design")
display.plot().figure_.savefig("noise_sweep.png", dpi=120)
