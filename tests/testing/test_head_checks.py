"""check_head runs what it is asked to, and reports every failure by name."""

from pathlib import Path

import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.testing import check_head, head_checks


class Backwards(LinearBradleyTerry):
    """Prefers what it was told is worse."""

    def _reward(self, items):
        return -super()._reward(items)


def test_a_sound_head_passes_all_checks():
    """The default runs all of them."""
    check_head(LinearBradleyTerry())


def test_there_are_enough_checks_and_their_names_are_distinct():
    """Each name is a claim."""
    names = [name for name, _ in head_checks()]
    assert len(names) == len(set(names)) >= 50


def test_every_failure_is_listed_with_a_reason():
    """One line for each, and nothing about the checks that passed."""
    with pytest.raises(AssertionError) as caught:
        check_head(Backwards())
    first, *rest = str(caught.value).splitlines()
    assert first == f"Backwards fails {len(rest)} of {len(list(head_checks()))} checks:"
    assert any(line.startswith("  a_planted_reward_is_learned: held") for line in rest)
    assert not any("fit_returns_the_head" in line for line in rest)


def test_only_the_named_checks_are_run():
    """A head that fails others passes these."""
    check_head(Backwards(), checks=["fit_returns_the_head"])


def test_another_error_counts_as_a_failure_with_its_type():
    """A head under test may raise anything."""

    class Crashes(LinearBradleyTerry):
        def _fit(self, comparisons):
            raise KeyError("column")

    with pytest.raises(
        AssertionError, match="fit_returns_the_head: KeyError: 'column'"
    ):
        check_head(Crashes(), checks=["fit_returns_the_head"])


def test_an_error_without_a_message_is_reported_too():
    """Its type is all there is to say."""

    class Silent(LinearBradleyTerry):
        def _fit(self, comparisons):
            raise RuntimeError

    with pytest.raises(AssertionError, match="fit_returns_the_head: RuntimeError: "):
        check_head(Silent(), checks=["fit_returns_the_head"])


def test_a_class_is_refused():
    """The message says to make an instance."""
    with pytest.raises(InvalidInputError, match=r"the class LinearB.*pass LinearBrad"):
        check_head(LinearBradleyTerry)


def test_an_unknown_check_is_refused():
    """The message lists the known ones."""
    with pytest.raises(
        InvalidInputError, match=r"fit_returns_the_head, .*got spelling"
    ):
        check_head(LinearBradleyTerry(), checks=["spelling"])


def test_every_check_is_failed_by_a_broken_head_in_these_tests():
    """Those of bad input by two heads, each other one by a head of its own."""
    texts = [path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py")]
    told = [
        name
        for name, _ in head_checks()
        if not name.endswith(("is_refused", "are_refused"))
    ]
    assert [name for name in told if not any(f'"{name}": ' in t for t in texts)] == []
