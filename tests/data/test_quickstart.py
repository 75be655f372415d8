"""data/quickstart.jsonl is what data/README.md says it is."""

import itertools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    lines = (DATA / "quickstart.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def share_where_longer_is_better(rows: list[dict]) -> float:
    by_prompt = defaultdict(list)
    for row in rows:
        by_prompt[row["prompt_id"]].append(row)
    right = []
    for group in by_prompt.values():
        for a, b in itertools.combinations(group, 2):
            better, worse = sorted((a, b), key=lambda row: -row["score"])
            difference = len(better["response"]) - len(worse["response"])
            right.append(1.0 if difference > 0 else 0.5 if difference == 0 else 0.0)
    return sum(right) / len(right)


def test_there_are_enough_prompts_with_every_grade_once(rows):
    """At least 150 prompts, four responses each, grades 0, 1, 2 and 3 once each."""
    grades = defaultdict(list)
    for row in rows:
        grades[row["prompt_id"], row["prompt"]].append(row["score"])
    assert len(grades) == len({prompt for prompt, _ in grades}) == 162
    assert all(sorted(scores) == [0, 1, 2, 3] for scores in grades.values())


def test_no_text_stands_twice(rows):
    """Every prompt and every response is its own."""
    assert len({row["prompt"] for row in rows}) == 162
    assert len({row["response"] for row in rows}) == len(rows)


def test_categories_are_balanced_and_some_are_chinese(rows):
    """Nine categories of 18 prompts; the Chinese ones really are in Chinese."""
    counts = Counter(row["category"] for row in rows)
    assert set(counts.values()) == {72}
    assert len(counts) == 9
    chinese = [row for row in rows if row["category"] == "chinese"]
    assert all(re.search(r"[\u4e00-\u9fff]", row["prompt"]) for row in chinese)


def test_order_in_the_file_does_not_give_the_grade_away(rows):
    """The first response of a prompt has each grade about equally often."""
    first = {}
    for row in rows:
        first.setdefault(row["prompt_id"], row["score"])
    assert all(25 <= count <= 56 for count in Counter(first.values()).values())


def test_length_alone_orders_fewer_than_60_percent_of_pairs(rows):
    """The length baseline gets the share of pairs that the README states."""
    share = share_where_longer_is_better(rows)
    assert share < 0.60
    assert f"orders {100 * share:.1f}% of the 972" in " ".join(
        (DATA / "README.md").read_text(encoding="utf-8").split()
    )


def test_length_does_not_give_the_grade_away_within_any_category(rows):
    """No category lets the length baseline past 60%, nor its opposite."""
    for category in {row["category"] for row in rows}:
        members = [row for row in rows if row["category"] == category]
        assert 0.40 < share_where_longer_is_better(members) < 0.60, category
