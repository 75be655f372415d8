"""Names of embrm 0.1 work for one more version, and say what they are called now."""

import contextlib
import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

import embrm
import embrm.embed.scale
import embrm.evaluate
from embrm import RewardModel
from embrm.embed.scale import ShardedEmbeddingReport
from embrm.evaluate import Evaluation, evaluate_deltas, length_baseline
from embrm.experiment import AtErrorRate


def test_the_length_ruler_is_the_length_baseline():
    """As a function, and as the attribute of an evaluation."""
    with pytest.warns(FutureWarning, match="now called length_baseline") as caught:
        assert embrm.evaluate.length_ruler is length_baseline
    assert caught[0].filename == __file__
    judged = evaluate_deltas([1.0, 2.0], groups=[0, 1], lengths=[[2, 1], [1, 2]])
    with pytest.warns(FutureWarning, match="now called length_baseline") as caught:
        assert judged.length_ruler is judged.length_baseline
    assert caught[0].filename == __file__
    assert "length_ruler" not in {field.name for field in fields(Evaluation)}


def test_the_account_of_a_model_is_its_read_report():
    """The warning names the new attribute, at the line of the caller."""
    rows = [{"prompt": f"p{n}", "chosen": "a b", "rejected": "c"} for n in range(20)]
    model = RewardModel(encoder="hashing").fit(rows)
    with pytest.warns(FutureWarning, match="now called read_report_") as caught:
        assert model.account_ is model.read_report_
    assert caught[0].filename == __file__


def test_the_account_of_shards_is_their_report():
    """In the module that exported it."""
    with pytest.warns(FutureWarning, match="now called ShardedEmbeddingReport"):
        assert embrm.embed.scale.ShardedAccount is ShardedEmbeddingReport


def test_the_former_room_of_experiments_still_works_and_warns():
    """For one version; the warning points at the line that asks."""
    former = importlib.import_module("embrm.simulate.experiment")
    with pytest.warns(FutureWarning, match="import it from embrm.experiment") as seen:
        assert former.AtErrorRate is AtErrorRate
    assert {warning.filename for warning in seen} == {__file__}
    with pytest.raises(AttributeError, match="Nothing"):
        _ = former.Nothing


@pytest.mark.parametrize("module", [embrm.evaluate, embrm.embed.scale])
def test_names_that_never_were_are_refused(module):
    """As by any module."""
    with pytest.raises(AttributeError, match="has no attribute 'length_rulers'"):
        _ = module.length_rulers


CHANGELOG = (Path(__file__).resolve().parents[1] / "CHANGELOG.md").read_text("utf-8")


def test_the_changelog_begins_with_this_version():
    """What is released is what is described."""
    assert re.search(r"^## (\S+)", CHANGELOG, re.MULTILINE)[1] == embrm.__version__


def test_every_new_name_of_the_migration_notes_exists():
    """The second column of the table: modules, and names in them."""
    table = CHANGELOG.split("### Migrating from 0.1.0")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line[:1] == "|"]
    names = {name for row in rows for name in re.findall(r"`(embrm\.[\w.]+)`", row[1])}
    assert len(names) > 8
    for name in names:
        resolve(name)


def resolve(name):
    """Import as much of a dotted name as is a module, take the rest from it."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                found = annotated(found, part)
            return found
    raise AssertionError(name)


def annotated(found, part):
    """Take an attribute; fields of a dataclass without a default are annotations."""
    return (
        part if part in getattr(found, "__annotations__", {}) else getattr(found, part)
    )
