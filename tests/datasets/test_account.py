"""The account: every row is counted once, kept or left out for a reason."""

from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import Account, LeftOut


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["", "empty response", "label out of range"])))
def test_rows_read_are_rows_kept_and_rows_left_out(reasons):
    """n_read == n_kept + n_left_out after any sequence of rows."""
    account = Account("prefs.jsonl", "pairs")
    for line, reason in enumerate(reasons, start=1):
        account.leave_out(reason, f"line {line}") if reason else account.keep()
    assert account.n_read == account.n_kept + account.n_left_out == len(reasons)


def test_reasons_stand_in_order_of_frequency():
    """The most frequent reason comes first."""
    account = Account("frame", "pairs")
    account.leave_out("rare", "row 1")
    account.leave_out("usual", "row 2")
    account.leave_out("usual", "row 3")
    assert account.left_out == (
        LeftOut("usual", 2, ("row 2", "row 3")),
        LeftOut("rare", 1, ("row 1",)),
    )


def test_only_five_places_are_remembered():
    """An account of a million bad rows stays small."""
    account = Account("frame", "pairs")
    for row in range(100):
        account.leave_out("empty response", f"row {row}")
    assert len(account.left_out[0].where) == 5


def test_text_says_that_there_are_more_places():
    """Places not listed are not passed over in silence."""
    account = Account("frame", "pairs")
    for row in range(6):
        account.leave_out("empty response", f"row {row}")
    assert str(account).endswith(
        "6 empty response (row 0; row 1; row 2; row 3; row 4, ...)"
    )


def test_json_holds_the_counts():
    """to_json has what a report needs."""
    account = Account("frame", "pairs")
    account.keep()
    account.leave_out("empty response", "row 1")
    assert account.to_json() == {
        "source": "frame",
        "format": "pairs",
        "n_read": 2,
        "n_kept": 1,
        "left_out": [{"reason": "empty response", "n": 1, "where": ["row 1"]}],
    }
