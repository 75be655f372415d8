"""Language models as judges: votes as labels, ratings as columns, critiques as text."""

from embrm.judge.judging import JudgedPairs, JudgedTexts, judge_pairs, judge_texts
from embrm.judge.prompts import JUDGE_PROMPTS
from embrm.judge.server import JudgeServer

__all__ = [
    "JUDGE_PROMPTS",
    "JudgeServer",
    "JudgedPairs",
    "JudgedTexts",
    "judge_pairs",
    "judge_texts",
]
