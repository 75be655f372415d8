"""Language models as judges: votes as labels, ratings as columns, critiques as text."""

from embrm.judge.judging import (
    JUDGE_PROMPTS,
    JudgedPairs,
    JudgedTexts,
    judge_pairs,
    judge_texts,
)
from embrm.judge.server import JudgeServer

__all__ = [
    "JUDGE_PROMPTS",
    "JudgeServer",
    "JudgedPairs",
    "JudgedTexts",
    "judge_pairs",
    "judge_texts",
]
