"""The public names of `embrm.embed`."""

import subprocess
import sys

import pytest

import embrm.embed


@pytest.mark.parametrize("name", embrm.embed.__all__)
def test_every_public_name_is_there(name):
    """Lazy names are found where they are said to be."""
    value = getattr(embrm.embed, name)  # a constant has no name of its own
    assert getattr(value, "__name__", name) == name


def test_names_are_listed():
    """Completion shows the public names."""
    assert dir(embrm.embed) == sorted(embrm.embed.__all__)


def test_another_name_is_an_attribute_error():
    """As with any module."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        embrm.embed.nothing  # noqa: B018


def test_no_name_imports_torch():
    """Encoders are described, compared and fingerprinted without it."""
    code = (
        "import sys, embrm.embed as e; [getattr(e, name) for name in e.__all__]; "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0
