"""Optional dependencies are imported late, and missing ones name their extra."""

import sys

import pytest

from embrm._optional import import_optional
from embrm.exceptions import MissingDependencyError


def test_an_installed_module_is_returned():
    """Dotted names give the submodule."""
    assert import_optional("os.path", extra="torch") is sys.modules["os.path"]


def test_a_missing_package_names_the_extra():
    """The message is the command that installs it."""
    with pytest.raises(MissingDependencyError, match=r"pip install 'embrm\[ray\]'"):
        import_optional("no_such_package.core", extra="ray")


def test_a_failure_inside_an_installed_package_is_its_own(tmp_path, monkeypatch):
    """A broken dependency of a dependency is not reported as ours to install."""
    (tmp_path / "halfway.py").write_text("import not_there_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either") as caught:
        import_optional("halfway", extra="ray")
    assert not isinstance(caught.value, MissingDependencyError)
