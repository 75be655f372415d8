"""Accounts read as sentences, and truncation is said once."""

import pytest

from embrm.embed.account import EmbeddingAccount, add_reports, warn_if_truncated
from embrm.embed.base import BatchReport, Fingerprint
from embrm.exceptions import TruncationWarning

WHO = Fingerprint({"kind": "fake", "max_tokens": 8}, dim=2, dtype="float32")


def test_an_account_without_tokens_has_no_speed():
    """Claim: an encoder that counts no tokens gets no tokens per second."""
    words = str(EmbeddingAccount(2, 2, 0, 2, 0, 0, 0, 1.0))
    assert words == "2 items: 0 from the cache (0%), 2 embedded in 1.0 s"


def test_an_account_says_what_was_cut():
    """Claim: truncated prompts and responses are part of the sentence."""
    words = str(EmbeddingAccount(2, 2, 0, 2, 1, 1, 0, 1.0))
    assert words.endswith("1 prompts cut at the beginning, 1 responses too")


def test_an_account_is_json():
    """Claim: to_json holds every count by name."""
    account = EmbeddingAccount(5, 4, 1, 3, 0, 0, 600, 2.0)
    assert EmbeddingAccount(**account.to_json()) == account


def test_reports_add_up_count_by_count():
    """Claim: no count is lost or mixed up with another."""
    one, other = BatchReport(1, 2, 3, 4), BatchReport(10, 20, 30, 40)
    assert add_reports(one, other) == BatchReport(11, 22, 33, 44)


def test_the_warning_names_the_limit_and_points_at_the_caller():
    """Claim: stacklevel counts from whoever calls."""
    with pytest.warns(
        TruncationWarning, match=r"1 of 4 prompts \(25.0%\).*8-token"
    ) as w:
        warn_if_truncated(BatchReport(4, 9, 1), 4, WHO, stacklevel=1)
    assert w[0].filename == __file__


def test_nothing_cut_gives_no_warning(recwarn):
    """Claim: silence is the rule."""
    warn_if_truncated(BatchReport(4, 9), 4, WHO, stacklevel=1)
    assert not recwarn
