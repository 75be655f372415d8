"""Commands print the account of what they read, once."""

from embrm.cli.reading import read_and_say

GOOD = {"prompt": "p", "chosen": "a", "rejected": "b"}


def test_the_account_is_printed_and_not_warned_about(capsys):
    """One place for counts: stdout for people, stderr beside JSON."""
    rows = [GOOD, {**GOOD, "chosen": ""}]
    read = read_and_say(rows, as_json=False, on_error="skip")
    shown = capsys.readouterr()
    assert len(read) == 1
    assert "2 rows, 1 kept, 1 left out" in shown.out
    assert shown.err == ""


def test_beside_json_it_goes_to_stderr(capsys):
    """stdout stays clean for the result."""
    read_and_say([GOOD], as_json=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1 kept" in shown.err
