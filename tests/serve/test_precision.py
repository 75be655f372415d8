"""What a reward owes to the texts it was embedded with: rounding, and no more."""

import numpy as np
import pandas as pd

from embrm import RewardModel
from embrm.embed import SentenceTransformerEncoder
from embrm.report import quickstart_path
from embrm.serve.rewards import RewardSource


def test_in_float32_a_reward_moves_less_than_1e_5_with_its_batch():
    """Each text by itself, in threes, all together: MiniLM, real texts."""
    encoder = SentenceTransformerEncoder(dtype="float32", store_dtype="float32")
    rows = pd.read_json(quickstart_path(), lines=True).head(8)
    model = RewardModel(encoder).fit(rows)
    texts = list(zip(rows["prompt"], rows["response"], strict=True))

    def rewards(size):
        # Another source each time: nothing is kept from one to the next.
        found = []
        for at in range(0, len(texts), size):
            source = RewardSource(model)
            found += [score.reward for score in source.score(texts[at : at + size])]
        return np.array(found)

    together = rewards(len(texts))
    for size in (1, 3):
        np.testing.assert_allclose(rewards(size), together, rtol=0, atol=1e-5)
