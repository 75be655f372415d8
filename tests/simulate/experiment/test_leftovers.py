"""leftovers: what a killed run was writing is removed, once it is old."""

import os

from embrm.simulate.experiment.leftovers import remove_leftovers


def test_old_temporary_files_are_removed(tmp_path):
    """Young ones stay: another run may be writing them; so does all the rest."""
    for name in ("cell.json", "items.1.tmp", "deep/items.2.tmp", "young.tmp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        if name != "young.tmp":
            os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"cell.json", "young.tmp"}
