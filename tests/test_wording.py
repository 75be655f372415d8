"""The package speaks the field's language: words that were replaced stay away."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "embrm").rglob("*.py"))

NAMES = {
    "three_parts": "format_error",
    "cure": "fix",
    "ruler": "baseline",
    "lead": "logit, or delta",
    "leads": "logits, or deltas",
    "bend": "curvature",
    "pull": "gradient, or slope",
    "restless": "too_many_retries",
    "some_wins": "subsample_comparisons",
    "in_place": "blocked",
    "stay_in_place": "blocked",
    "frugal": "low_memory",
    "rough": "low_precision",
    "has_ruling_column": "has_dominant_column",
    "find_fault": "check_equivalence",
    "forget": "clear_caches",
    "Exam": "Evaluator",
    "Places": "RunPaths",
    "NOBODY": "UNKNOWN_ANNOTATOR",
    "ENCODER_WORDS": "ENCODER_NAMES",
    "EmbeddingAccount": "EmbeddingReport",
    "_allow_for_flips": "_model_label_noise",
    "word_and_params": "name_and_params",
    "heads_in_words": "describe_heads",
}
"""Identifiers, and what to call the thing instead."""

PHRASES = {
    "to mend": "to fix; errors say Fix:",
    "cure": "fix",
    "ruler": "baseline",
    "ruling column": "dominant column",
    "is told to": "is passed to",
    "is taken to be about": "defaults to",
    "nobody": "no one, or say it of the thing",
    "is gone on with": "is continued",
    "side by side": "concatenated, or in parallel",
    "a way to share": "a sharing method",
}
"""Words and turns of phrase in docstrings, comments and messages."""

# Former names that work for one more version, each on one line with its new name.
ALIAS = re.compile(r"def length_ruler\(self|is now called|the old name")


@pytest.fixture(scope="module")
def identifiers():
    """Every identifier of the package, with where it is."""
    found = {}
    for path in MODULES:
        reader = io.StringIO(path.read_text("utf-8")).readline
        for token in tokenize.generate_tokens(reader):
            if token.type == tokenize.NAME and not ALIAS.search(token.line):
                place = f"{path.relative_to(ROOT)}:{token.start[0]}"
                found.setdefault(token.string, []).append(place)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_was_replaced_is_not_used_again(identifiers, name):
    """In any module of the package."""
    assert name not in identifiers, f"call it {NAMES[name]}: {identifiers[name]}"


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_that_was_replaced_is_not_used_again(phrase):
    """In docstrings, comments and messages, also across the end of a line."""
    pattern = re.compile(rf"\b{phrase}\b".replace(" ", r"[\s\"#]+"), re.IGNORECASE)
    for path in [*MODULES, ROOT / "README.md"]:
        lines = path.read_text("utf-8").splitlines()
        text = "\n".join(line for line in lines if not ALIAS.search(line))
        place = path.relative_to(ROOT)
        assert not pattern.search(text), f"{place}: write {PHRASES[phrase]}"
