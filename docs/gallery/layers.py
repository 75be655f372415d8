"""Where in the language model to look

One pass through SmolLM2-135M gives the vectors of several layers; a linear head is
fitted on each, in the same folds by prompt. The last layer, which most reward models
read, is the worst here, whatever the pooling. The prompts with the 24 shortest English
answers are few, so the intervals are wide; on longer answers, and more of them, the
mean over the response is better than the last token (see [which
encoder](../encoders.md)). `embrm layers` does this on a file of yours. (The first run
converts the model's weights, for half a minute.)

Alt: Order consistency by layer, one line for the mean over the response and one for the
last token, with error bars, and the length baseline as a dotted horizontal line.
"""

import pandas as pd

from embrm.datasets import read_pairs
from embrm.embed import make_encoder
from embrm.report import compare_layers, quickstart_path

items = pd.read_json(quickstart_path(), lines=True)
items = items[items["category"] != "chinese"]  # SmolLM2 reads English
letters = items["response"].str.len().groupby(items["prompt_id"]).sum()
short = letters.nsmallest(24).index
sample = read_pairs(items[items["prompt_id"].isin(short)])
encoder = make_encoder("smollm2").with_options(
    layer=(5, 12, 20, -1), pooling=("mean_response", "last_content")
)
compared = compare_layers(sample, encoder.encode(sample.texts), encoder)
for (layer, pooling), interval in sorted(compared.intervals().items()):
    print(f"layer {layer:>2} {pooling:<14} {interval}")
compared.to_display().plot().figure_.savefig("layers.png", dpi=120)
