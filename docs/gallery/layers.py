"""Where in the language model to look

One pass through SmolLM2-135M gives the vectors of several layers; a linear head is
fitted on each, in the same folds by prompt. What can be told from 60 prompts, which is
what a minute allows? Each line has the difference to the best setting on the same
pairs, with its interval, which allows for nothing else; "=" marks what ties with the
best once it is allowed for that the best was chosen among eight. All eight tie: the
intervals reach five points to either side, and more. The differences that count are of
that size. On all prompts, and on two other data sets, the mean over the response at
two thirds of the depth is three to seven points above the last token of the last layer
(see [which encoder](../encoders.md#what-was-measured)). So compare layers on hundreds
of prompts, which `embrm layers` does on a file of yours, or keep the default. (The
first run converts the model's weights, for half a minute.)

Alt: Order consistency by layer, one line for the mean over the response and one for the
last token, with error bars that overlap, and the length baseline as a dotted horizontal
line below them.
"""

import pandas as pd

from embrm.datasets import read_pairs
from embrm.embed import make_encoder
from embrm.report import compare_layers, quickstart_path

items = pd.read_json(quickstart_path(), lines=True)
items = items[items["category"] != "chinese"]  # SmolLM2 reads English
letters = items["response"].str.len().groupby(items["prompt_id"]).sum()
short = letters.nsmallest(60).index
sample = read_pairs(items[items["prompt_id"].isin(short)])
encoder = make_encoder("smollm2").with_options(
    layer=(5, 12, 20, -1), pooling=("mean_response", "last_content")
)
compared = compare_layers(sample, encoder.encode(sample.texts), encoder)
for name, row in compared.board.comparison.iterrows():
    layer, pooling = compared.columns[name]
    print(
        f"layer {layer:>2} {pooling:<14} {row['order_consistency']:.3f} "
        f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, "
        f"{row['difference_high']:+.3f}] {'=' * bool(row['ties_with_best'])}"
    )
print(f"{len(compared.undecided)} of {len(compared.columns)} tie with the best")
compared.to_display().plot().figure_.savefig("layers.png", dpi=120)
