"""The bar shows on a terminal and nowhere else."""

import io
import sys

import numpy as np
import pytest

from embrm.embed import BatchReport, Fingerprint, embed_items
from embrm.embed.progress import EmbeddingProgress, one_bar, progress_bar


class Terminal(io.StringIO):
    """Takes output like a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stderr a terminal of 200 columns, from the moment it is called."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")

    def use():
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    # pytest puts its own stderr back between fixture and test.
    return use


class Encoder:
    """Embeds everything as ones."""

    fingerprint = Fingerprint({"kind": "ones"}, 2, "float32")

    def encode(self, texts, *, on_batch=None):
        on_batch(BatchReport(len(texts), n_tokens=5 * len(texts)))
        return np.ones((len(texts), 2), "float32")


def test_a_terminal_sees_what_is_done_how_fast_and_how_long(terminal):
    """Claim: items, hit share, texts/s, tokens/s and remaining time, on one line."""
    stderr = terminal()
    with EmbeddingProgress(8, n_hits=2) as bar:
        bar.update(BatchReport(3, n_tokens=30))
    for part in ("Embedding (25% from cache)", "5/8", "texts/s", "tokens/s", ":"):
        assert part in stderr.getvalue()


def test_tokens_are_left_out_where_the_encoder_counts_none(terminal):
    """Claim: an encoder without tokens shows texts/s alone."""
    stderr = terminal()
    with EmbeddingProgress(8, n_hits=2) as bar:
        bar.update(BatchReport(3))
    assert "texts/s" in stderr.getvalue()
    assert "tokens/s" not in stderr.getvalue()


@pytest.mark.parametrize("show", [None, True])
def test_embed_items_shows_its_bar_on_a_terminal(terminal, show):
    """Claim: a run ends with all texts done."""
    stderr = terminal()
    embed_items([("a", str(n)) for n in range(6)], Encoder(), progress=show)
    assert "6/6" in stderr.getvalue()


def test_progress_can_be_switched_off(terminal):
    """Claim: progress=False writes nothing, also on a terminal."""
    stderr = terminal()
    embed_items([("a", "b")], Encoder(), progress=False)
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("show", [None, True])
def test_a_file_or_pipe_sees_nothing(monkeypatch, show):
    """Claim: logs are not filled with bars."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in many build services
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    embed_items([("a", "b")], Encoder(), progress=show)
    assert sys.stderr.getvalue() == ""


def test_nothing_goes_to_stdout(terminal, capsys):
    """Claim: results can be piped while the bar shows."""
    terminal()
    embed_items([("a", "b")], Encoder())
    assert capsys.readouterr().out == ""


def test_with_everything_in_the_cache_there_is_no_bar(terminal, tmp_path):
    """Claim: a run without work is silent."""
    stderr = terminal()
    embed_items([("a", "b")], Encoder(), tmp_path, progress=False)
    embed_items([("a", "b")], Encoder(), tmp_path)
    assert stderr.getvalue() == ""


def test_other_rooms_can_have_a_bar(terminal):
    """Claim: one_bar makes a bar for any work."""
    stderr = terminal()
    with one_bar() as bar:
        bar.advance(bar.add_task("Fitting", total=2), 2)
    assert "Fitting" in stderr.getvalue()
    assert "2/2" in stderr.getvalue()


def test_a_bar_moves_one_step_at_a_time(terminal):
    """Claim: `progress_bar` counts the calls of its function."""
    stderr = terminal()
    with progress_bar("Fitting", total=3) as advance:
        advance()
        advance()
    assert "Fitting" in stderr.getvalue()
    assert "2/3" in stderr.getvalue()
