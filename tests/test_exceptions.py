"""Errors keep their three parts and travel between processes."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import embrm
from embrm import Pairs
from embrm.exceptions import (
    DataError,
    EmbrmError,
    EmbrmWarning,
    IntegrityError,
    LeftOutWarning,
    format_error,
    warn,
)
from embrm.heads import GeneralPreference, RewardEnsemble


def test_a_message_has_three_parts_in_order():
    """Expected, got and the fix stand in that order."""
    message = format_error(expected="a", got="b", fix="c")
    assert message == "expected a; got b. Fix: c."


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


def _code_of_embrm(name: str, code: str) -> dict:
    """Run code as if it stood in a file of the package."""
    place = Path(embrm.__file__).parent / name
    space: dict = {"warn": warn, "LeftOutWarning": LeftOutWarning}
    exec(compile(code, place, "exec"), space)  # noqa: S102
    return space


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_a_warning_points_at_the_line_that_called_embrm(depth):
    """However many functions of embrm lie between."""
    code = (
        "def call(depth):\n"
        "    call(depth - 1) if depth else warn('gone', LeftOutWarning)\n"
    )
    call = _code_of_embrm("deep/room.py", code)["call"]
    with pytest.warns(LeftOutWarning, match="gone") as caught:
        call(depth)
    assert caught[0].filename == __file__


def test_a_warning_of_ones_own_points_at_its_own_line():
    """Outside of embrm there is nothing to skip."""
    with pytest.warns(EmbrmWarning, match="own") as caught:
        warn("own")
    assert caught[0].filename == __file__


def test_a_warning_deep_in_a_fit_points_at_the_line_that_fits():
    """Through joblib, which calls back into embrm from files of its own."""
    items = np.random.default_rng(0).normal(size=(60, 4))
    head = RewardEnsemble(GeneralPreference(1, max_iter=1), 2, random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        head.fit(Pairs(items, np.arange(60).reshape(30, 2)))
    assert {warning.filename for warning in caught} == {__file__}


def test_a_former_name_is_warned_of_where_it_is_imported():
    """Python's own import machinery lies between."""
    with pytest.warns(FutureWarning, match="ReadReport") as caught:
        from embrm.datasets import Account  # noqa: F401
    assert {warning.filename for warning in caught} == {__file__}
