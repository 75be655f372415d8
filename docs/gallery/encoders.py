"""Which vectors to start from

One linear head on three kinds of vectors, in the same folds: words (hashing), counts of
how a response looks (style), and both. Counts of length, lists and sentences order
these answers almost as well as words do, which says more about the answers than about
rewards. None of the three has read the prompt: the default encoder, SmolLM2, does, and
is better than all of them (see [which encoder](../encoders.md)).

Alt: Three kinds of vectors with horizontal intervals of order consistency, and the
length baseline as a dashed vertical line below one half.
"""

from embrm.datasets import read_pairs
from embrm.embed import make_encoder
from embrm.evaluate import LeaderboardDisplay
from embrm.heads import make_head
from embrm.report import make_leaderboard, quickstart_path

preferences = read_pairs(quickstart_path())
names = ("hashing", "style", "hashing+style")
board = make_leaderboard(
    preferences,
    {
        name: preferences.to_pairs(make_encoder(name).encode(preferences.texts))
        for name in names
    },
    {"linear": make_head("linear")},
)
intervals = {
    name.removeprefix("linear on "): evaluation.order_consistency
    for name, evaluation in board.evaluations.items()
}
for name, interval in intervals.items():
    print(f"{name:<14} {interval}")

display = LeaderboardDisplay.from_intervals(
    intervals, baseline=board.evaluations[board.best].length_baseline
)
display.plot().figure_.savefig("encoders.png", dpi=120)
