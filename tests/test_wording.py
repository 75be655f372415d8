"""The package speaks the field's language: words that were replaced stay away."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

REPLACED = {
    "three_parts": "format_error",
    "cure": "fix",
    "To mend": "Fix",
    "mend": "fix",
    "ruler": "baseline",
    "lead": "logit, or delta",
    "leads": "logits, or deltas",
    "bend": "curvature",
    "pull": "gradient, or slope",
    "restless": "too many retries",
    "some_wins": "subsample_comparisons",
    "in_place": "blocked",
    "frugal": "low memory",
    "rough": "low precision",
    "ruling": "dominant",
    "find_fault": "check_equivalence",
    "NOBODY": "UNKNOWN_ANNOTATOR",
    "ENCODER_WORDS": "ENCODER_NAMES",
    "EmbeddingAccount": "EmbeddingReport",
    "beginnings": "prefixes",
    "Exam": "Evaluator",
    "Places": "RunPaths",
    "forget": "clear, or drop",
}

# Former names that work for one more version, each on one line with its new name.
ALIASES = re.compile(r"def length_ruler\(self|def account_|is now called|the old name")


@pytest.mark.parametrize("word", REPLACED)
def test_a_word_that_was_replaced_is_not_used_again(word):
    """In any module of the package; verbs of plain English are none of these words."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "embrm").rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(rf"\b{re.escape(word)}\b", line) and not ALIASES.search(line)
    ]
    assert not found, f"write {REPLACED[word]!r} instead of {word!r}"


def test_the_readme_shows_messages_as_they_are():
    """Three parts: expected, got, fix."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert not re.search(r"To mend|three_parts|\bruler\b|\bcures?\b", text)
