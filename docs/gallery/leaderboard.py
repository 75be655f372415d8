"""Which head is best, and is that noise?

Five heads are fitted in the same five folds by prompt, and judged on the prompts that
were held out. Lines are 95% intervals from resampled prompts; a hollow marker is a head
that is worse than the best by more than noise, which is asked of paired differences and
not of two intervals. The filled ones cannot be told apart by these data: take the
simplest.

Alt: Five heads with horizontal intervals of order consistency, sorted from best to
worst, the length baseline as a dashed vertical line left of all of them.
"""

import numpy as np

from embrm.datasets import read_pairs
from embrm.embed import make_encoder
from embrm.evaluate import LeaderboardDisplay
from embrm.heads import make_head
from embrm.report import make_leaderboard, quickstart_path

preferences = read_pairs(quickstart_path())
vectors = make_encoder("hashing:512").encode(preferences.texts)
board = make_leaderboard(
    preferences,
    preferences.to_pairs(vectors),
    {
        name: make_head(name, random_state=0)
        for name in ("linear", "logistic", "mlp", "xgboost", "kto")
    },
)
frame = board.to_frame().set_index("head")
print(frame[["order_consistency", "log_loss", "ties_with_best"]].round(3))

best = board.evaluations[board.best]
display = LeaderboardDisplay(
    list(frame.index),
    *(
        frame[f"order_consistency{end}"].to_numpy(np.float64)
        for end in ("", "_low", "_high")
    ),
    ties_with_best=frame["ties_with_best"].to_numpy(),
    baseline=best.length_baseline,
)
display.plot().figure_.savefig("leaderboard.png", dpi=120)
