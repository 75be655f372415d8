"""Hugging Face datasets, with a stand-in for the package `datasets`."""

import sys
from types import ModuleType

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.hub import hub_source
from embrm.exceptions import DataError, MissingDependencyError

ROW = {"prompt": "p", "chosen": "a", "rejected": "b"}


class Hub(ModuleType):
    """Remembers how it was called, and answers or fails as told."""

    def __init__(self, answer):
        super().__init__("datasets")
        self.answer = answer
        self.calls = []

    def load_dataset(self, *args, **kwargs):
        self.calls.append((args, kwargs))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def hub(monkeypatch):
    """Install a stand-in that answers with the given value."""

    def install(answer):
        module = Hub(answer)
        monkeypatch.setitem(sys.modules, "datasets", module)
        return module

    return install


@pytest.mark.parametrize(
    ("source", "args", "split"),
    [
        ("hf:owner/name@train", ("owner/name", None), "train"),
        ("hf:owner/name:config@test", ("owner/name", "config"), "test"),
        ("hf:owner/na.me-2:config", ("owner/na.me-2", "config"), None),
        ("hf:name@train[:10]", ("name", None), "train[:10]"),
    ],
)
def test_ids_are_taken_apart(hub, source, args, split):
    """Name, config and split reach the package; rows are streamed."""
    module = hub([ROW])
    assert list(hub_source(source).rows) == [(1, ROW)]
    assert module.calls == [(args, {"split": split, "streaming": True})]


def test_preferences_are_read_from_the_hub(hub):
    """An account names the dataset."""
    hub([ROW])
    assert read_preferences("hf:o/n@train").account.source == "hf:o/n@train"


def test_the_only_split_need_not_be_named(hub):
    """One split is no choice."""
    hub({"train": [ROW]})
    assert list(hub_source("hf:owner/name").rows) == [(1, ROW)]


def test_several_splits_must_be_named(hub):
    """Which data were meant is not guessed."""
    hub({"train": [ROW], "test": [ROW]})
    with pytest.raises(
        DataError, match=r"none of train, test. To mend: end the id with"
    ):
        hub_source("hf:owner/name")


@pytest.mark.parametrize(
    "source", ["hf:", "hf:a/b/c", "hf:a/b@", "hf:../x/y", "hf:a b"]
)
def test_malformed_ids_are_refused(hub, source):
    """The error shows the form of an id."""
    hub([ROW])
    with pytest.raises(DataError, match=r"hf:owner/name\[:config\]\[@split\]"):
        hub_source(source)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no x"),
        ValueError("no split x"),
        RuntimeError("no dataset scripts any more"),
    ],
)
def test_what_the_hub_cannot_serve_is_a_data_error(hub, error):
    """The package's own words are kept, in short."""
    hub(error)
    with pytest.raises(DataError, match=f"{type(error).__name__}: no"):
        hub_source("hf:owner/name@train")


def test_a_connection_lost_on_the_way_is_a_data_error(hub):
    """Rows already read do not hide that others are missing."""

    def rows():
        yield ROW
        raise ConnectionError("reset")

    hub(rows())
    with pytest.raises(DataError, match=r"^hf:o/n@train: .*ConnectionError: reset"):
        read_preferences("hf:o/n@train")


def test_without_the_package_the_extra_is_named(monkeypatch):
    """The cure is an install command."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"embrm\[hub\]"):
        hub_source("hf:owner/name")
