"""Errors keep their three parts and travel between processes."""

import pickle

from embrm.exceptions import DataError, EmbrmError, IntegrityError, three_parts


def test_a_message_has_three_parts_in_order():
    """Expected, got and the cure stand in that order."""
    message = three_parts(expected="a", got="b", cure="c")
    assert message == "expected a; got b. To mend: c."


def test_a_data_error_keeps_its_reason_across_processes():
    """joblib sends exceptions between processes; nothing is lost on the way."""
    error = DataError("what", reason="empty text")
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.reason) == ("what", "empty text")


def test_one_except_clause_catches_them_all():
    """Every error of embrm is an EmbrmError; data errors are also ValueErrors."""
    assert issubclass(IntegrityError, EmbrmError)
    assert issubclass(DataError, EmbrmError)
    assert issubclass(DataError, ValueError)
