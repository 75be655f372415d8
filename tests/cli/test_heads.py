"""`embrm heads` lists what the registry knows."""

import json

from embrm.heads import HEADS


def test_every_head_is_listed_with_all_that_is_said_of_it(run):
    """As JSON, in the registry's order."""
    result = run("heads", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["heads"] == [known.to_json() for known in HEADS]


def test_the_table_is_for_people(run):
    """Names, what they learn from, and no line wider than the page."""
    result = run("heads")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    starts = {line.split()[0] for line in lines if line[:1].strip()}
    assert {known.name for known in HEADS} <= starts
    assert max(map(len, lines)) <= 100
    assert "(extra torch)" in result.stdout
