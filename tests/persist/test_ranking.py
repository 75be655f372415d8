"""Leaderboards of named items on disk."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load, save

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import ItemBradleyTerry
from embrm.persist import load_model, load_ranking, save_ranking

GAMES = [["cat", "dog"], ["dog", "cat"], ["cat", "dog"], ["dog", "eel"], ["eel", "cat"]]


@pytest.fixture(scope="module")
def board() -> ItemBradleyTerry:
    """Davidson's model, with a tie; do not refit."""
    return ItemBradleyTerry(ties="davidson").fit(GAMES, [1, 1, 1, 1, 0.5])


@pytest.mark.parametrize("names", ["text", "numbers"])
@pytest.mark.parametrize("ties", ["half", "rao-kupper"])
def test_a_leaderboard_comes_back_bitwise(names, ties, tmp_path):
    """Scores, intervals, ranks and names; a tie parameter of NaN included."""
    ids = np.array([[0, 1], [1, 0], [1, 2], [2, 0]]) if names == "numbers" else GAMES
    board = ItemBradleyTerry(0.1, ties=ties).fit(ids, [1.0, 1.0, 0.5, 1, 1][: len(ids)])
    loaded = load_ranking(save_ranking(board, tmp_path / "board"))
    assert loaded.to_frame().equals(board.to_frame())
    assert loaded.get_params() == board.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(ids), board.predict_proba(ids))
    np.testing.assert_array_equal(loaded.components_, board.components_)


def test_a_leaderboard_is_replaced_and_nothing_else(board, tmp_path):
    """As for models."""
    save_ranking(board, tmp_path / "board")
    save_ranking(board, tmp_path / "board")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("words")
    with pytest.raises(InvalidInputError, match="a new or empty directory"):
        save_ranking(board, tmp_path / "other")


def test_a_leaderboard_is_no_model_and_a_model_no_leaderboard(board, bundle, tmp_path):
    """The manifest says which it is."""
    save_ranking(board, tmp_path / "board")
    with pytest.raises(IntegrityError, match="'embrm-bundle'; got 'embrm-ranking'"):
        load_model(tmp_path / "board")
    with pytest.raises(IntegrityError, match="'embrm-ranking'; got 'embrm-bundle'"):
        load_ranking(bundle)


def test_any_damage_is_found(board, tmp_path):
    """A changed file by its checksum, a changed manifest by its digest."""
    directory = save_ranking(board, tmp_path / "board")
    shutil.copytree(directory, tmp_path / "copy")
    weights = directory / "weights.safetensors"
    arrays = load(weights.read_bytes())
    weights.write_bytes(save(arrays | {"scores": arrays["scores"] + 1.0}))
    with pytest.raises(IntegrityError, match="another checksum"):
        load_ranking(directory)
    path = tmp_path / "copy" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["values"]["state"]["items"][0] = "ant"
    path.write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="another digest"):
        load_ranking(tmp_path / "copy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": []}, "names that are all text or all integers"),
        ({"items": ["cat", 3, "eel"]}, "names that are all text or all integers"),
        ({"items": ["cat", "dog"]}, "size items = 2"),
        ({"n_iter": "4"}, "'n_iter' of type int"),
    ],
    ids=["no names", "mixed names", "too few names", "text"],
)
def test_a_state_that_does_not_fit_is_refused(board, change, message):
    """Before anything is ranked by it."""
    state = board.get_state()
    values = {**state.values, **change}
    with pytest.raises(IntegrityError, match=message):
        ItemBradleyTerry().set_state(type(state)(state.arrays, values))


def test_a_probe_that_differs_is_refused(board, tmp_path):
    """Where the checksums fit, and yet the leaderboard is another."""
    other = ItemBradleyTerry(alpha=3.0, ties="davidson").fit(GAMES, [1, 1, 1, 1, 0.5])
    state = other.get_state()
    directory = save_ranking(board, tmp_path / "board")
    from embrm.persist import bundle

    manifest = bundle._read_manifest(directory, "embrm-ranking")
    values = {k: v for k, v in manifest.items() if k not in ("files", "digest")}
    files = {"weights.safetensors": save(dict(state.arrays))}
    made = bundle._with_manifest(values, files, "embrm-ranking")
    for name, data in made.items():
        (directory / name).write_bytes(data)
    with pytest.raises(IntegrityError, match="other scores of the probe"):
        load_ranking(directory)
