"""Optional dependencies are imported late, and missing ones name their extra."""

import sys
from importlib import metadata

import pytest

from embrm._optional import import_optional, install_command
from embrm.exceptions import MissingDependencyError


def test_an_installed_module_is_returned():
    """Dotted names give the submodule."""
    assert import_optional("os.path", extra="torch") is sys.modules["os.path"]


def test_a_missing_package_names_the_command_and_the_extra():
    """The command holds without a release of embrm on an index."""
    with pytest.raises(MissingDependencyError, match=r"pip install 'ray>=.*embrm\[ray"):
        import_optional("no_such_package.core", extra="ray")


def test_the_command_names_what_each_extra_asks_for(monkeypatch):
    """Each once, with the system it is for; nothing of embrm itself."""
    declared = [
        "numpy>=2",
        "torch>=2.6; extra == 'torch'",
        "torch>=2.6 ; extra == 'embed'",
        "uvloop>=0.20; (sys_platform != 'win32') and extra == 'serve'",
        "ray>=2; extra == 'ray'",
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: declared)
    assert install_command("torch", "embed", "serve") == (
        "pip install 'torch>=2.6' 'uvloop>=0.20; sys_platform != \"win32\"' "
        "(what embrm[torch,embed,serve] asks for)"
    )


def test_without_metadata_the_command_is_that_of_a_checkout(monkeypatch):
    """As where the package is on the path and not installed."""

    def missing(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.requires", missing)
    assert "pip install '.[ray]' in a checkout" in install_command("ray")


def test_a_failure_inside_an_installed_package_is_its_own(tmp_path, monkeypatch):
    """A broken dependency of a dependency is not reported as ours to install."""
    (tmp_path / "halfway.py").write_text("import not_there_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either") as caught:
        import_optional("halfway", extra="ray")
    assert not isinstance(caught.value, MissingDependencyError)
