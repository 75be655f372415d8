"""Replacing a model: whoever reads or kills finds the old one or the new one, whole."""

import importlib.util
import os
import threading
from pathlib import Path

import pytest

from embrm.exceptions import IntegrityError
from embrm.persist import files, load_model, save_model

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "model_faults.py"


@pytest.fixture(scope="module")
def faults():
    """Load the script that runs the stated numbers in `make test-long`."""
    spec = importlib.util.spec_from_file_location("model_faults", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_SCRIPT.parent)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def two(faults, tmp_path_factory):
    """Two saved models that differ, and what tells them apart."""
    return faults.two_models(tmp_path_factory.mktemp("two"))


def test_a_killed_saver_leaves_a_whole_model(faults, two, tmp_path):
    """A few of the kills of the long test."""
    assert faults.kill_savers(tmp_path / "model", *two, 3) == 0
    save_model(load_model(two[0][0]), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_loads_beside_savers_are_whole(two, tmp_path):
    """Two threads replace the model while it is loaded."""
    paths, sizes = two
    models = [load_model(path) for path in paths]
    target = tmp_path / "model"
    save_model(models[0], target)
    stop, errors = threading.Event(), []

    def replace(model):
        while not stop.is_set():
            try:
                save_model(model, target)
            except Exception as error:  # noqa: BLE001
                errors.append(error)

    threads = [threading.Thread(target=replace, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    try:
        found = {load_model(target).training_["n_pairs"] for _ in range(60)}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert found <= set(sizes)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_without_an_exchange_two_steps_do(two, tmp_path, monkeypatch):
    """Systems without the call put the old model aside for a moment."""
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    models = [load_model(path) for path in two[0]]
    for model in (*models, models[0]):
        save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").training_["n_pairs"] == two[1][0]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_put_aside_by_a_killed_saver_comes_back(two, tmp_path):
    """Between the two steps there is none at its path: the next load puts it back."""
    target = tmp_path / "model"
    save_model(load_model(two[0][0]), target)
    target.rename(tmp_path / ".model.0123abcd.old")
    (tmp_path / ".model.0123abcd.tmp").mkdir()
    assert load_model(target).training_["n_pairs"] == two[1][0]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_a_living_writer_uses_is_not_removed(tmp_path):
    """Its directory is locked."""
    with files._own_directory(tmp_path / "model") as fresh:
        files.remove_leftovers(tmp_path / "model")
        assert fresh.exists()
    assert not list(tmp_path.iterdir())


def test_damage_is_not_mistaken_for_a_replacement(two, tmp_path):
    """Where the manifest stays the same, a wrong file is damage."""
    target = save_model(load_model(two[0][0]), tmp_path / "model")
    weights = target / "weights.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    with pytest.raises(IntegrityError, match=r"weights\.safetensors"):
        load_model(target)
