"""Near-duplicate prompts make a reward model look too good

A third of the prompts come a second time, in other words and with the same responses,
as they do in files merged from several sources. `diagnose` finds them without embedding
anything. Splits by exact prompt then judge a head on answers that it was fitted on;
splits with `near_duplicate_prompt_ids` do not (`group_near_duplicates=True` in
`RewardModel` and `--group-near-duplicates` of `embrm fit` are the same).

Alt: Two intervals of order consistency. Splits by exact prompt give the higher one,
splits that keep near-duplicates together the lower one.
"""

import pandas as pd

from embrm import Pairs
from embrm.datasets import diagnose, near_duplicate_prompt_ids, read_pairs
from embrm.embed import make_encoder
from embrm.evaluate import LeaderboardDisplay, evaluate_deltas
from embrm.heads import make_head
from embrm.report import cross_fit, quickstart_path

items = pd.read_json(quickstart_path(), lines=True).drop(columns="prompt_id")
again = items[items["prompt"].str.len().between(60, 95)]
again = again.assign(prompt="Please: " + again["prompt"].str.lower())
preferences = read_pairs(pd.concat([items, again]))
for finding in diagnose(preferences).findings:
    print(f"{finding.kind}: {finding.message}")

vectors = make_encoder("hashing").encode(preferences.texts)
exact = preferences.to_pairs(vectors)
grouped = Pairs(vectors, exact.ids, near_duplicate_prompt_ids(preferences))
intervals = {}
for name, pairs in {
    "by exact prompt": exact,
    "near-duplicates as one": grouped,
}.items():
    delta = cross_fit(make_head("linear"), pairs, preferences.y).delta
    judged = evaluate_deltas(delta, preferences.y, groups=grouped.groups)
    intervals[name] = judged.order_consistency
    print(f"{name:<24} {judged.order_consistency}")
LeaderboardDisplay.from_intervals(intervals).plot().figure_.savefig(
    "diagnosis.png", dpi=120
)
