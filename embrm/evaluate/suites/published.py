"""What others reached: a few published figures to stand beside one's own."""

import pandas as pd

_RM_BENCH = "RM-Bench leaderboard, github.com/THU-KEG/RM-Bench-Leaderboard, 2025-07-23"
_LLMBAR = (
    "mean of its five subsets, 419 pairs; statistics.json of "
    "github.com/princeton-nlp/LLMBar, 2024-07-08"
)
_JUDGEBENCH = (
    "outputs of github.com/ScalerLab/JudgeBench, 2024-11-06, 350 pairs of GPT-4o"
)
_REWARDMATH = "results of github.com/kimsh0507/RewardMATH_official, 2024-10-13"

# Suite, model, name of the score in the suite's table, percent, source.
_PUBLISHED = [
    *(
        ("rm-bench", model, name, percent, _RM_BENCH)
        for model, percents in {
            "Llama-3.3-Nemotron-70B-Reward": (75.4, 84.5, 69.3, 90.4, 79.9),
            "Llama-3.1-Nemotron-70B-Reward": (70.7, 64.3, 57.4, 90.3, 70.7),
            "Skywork-Reward-Llama-3.1-8B": (69.5, 60.6, 54.5, 95.7, 70.1),
            "URM-LLaMa-3.1-8B": (71.2, 61.8, 54.1, 93.1, 70.0),
        }.items()
        for name, percent in zip(
            ("chat", "math", "code", "safety", "overall"), percents, strict=True
        )
    ),
    ("llmbar", "GPT-4, vanilla", "overall", 83.7, _LLMBAR),
    ("llmbar", "GPT-4, metrics and reference", "overall", 85.4, _LLMBAR),
    ("llmbar", "PaLM 2, vanilla", "overall", 68.8, _LLMBAR),
    ("llmbar", "ChatGPT, vanilla", "overall", 40.8, _LLMBAR),
    ("judgebench", "Skywork-Reward-Gemma-2-27B", "overall", 64.29, _JUDGEBENCH),
    ("judgebench", "internlm2-20b-reward", "overall", 63.43, _JUDGEBENCH),
    ("judgebench", "Skywork-Reward-Llama-3.1-8B", "overall", 62.29, _JUDGEBENCH),
    ("judgebench", "GRM-Gemma-2B-rewardmodel-ft", "overall", 59.43, _JUDGEBENCH),
    ("rewardmath", "internlm2-7b-reward", "overall", 37.27, _REWARDMATH),
    ("rewardmath", "Skywork-Reward-Llama-3.1-8B", "overall", 22.15, _REWARDMATH),
    ("rewardmath", "ArmoRM-Llama3-8B", "overall", 20.50, _REWARDMATH),
]


def published_scores(suite: str) -> pd.DataFrame:
    """Return a handful of published scores of a benchmark.

    Parameters
    ----------
    suite : str

    Returns
    -------
    DataFrame
        Columns `model`, `name` (of the score in the suite's table), `score` in [0, 1]
        and `source`, with its date; best first, and empty where there are none. Those
        of LLMBar, JudgeBench and RewardMATH are also what `score_suite` makes of the
        per-item results in these places.

    Examples
    --------
    >>> published_scores("judgebench")["model"].iloc[0]
    'Skywork-Reward-Gemma-2-27B'
    """
    rows = [row[1:] for row in _PUBLISHED if row[0] == suite]
    frame = pd.DataFrame(rows, columns=["model", "name", "score", "source"])
    frame["score"] = (frame["score"].astype(float) / 100).round(4)
    return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)
