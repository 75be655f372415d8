"""Names of embrm 0.1 work for one more version, and say what they are called now."""

from dataclasses import fields

import pytest

import embrm.embed.scale
import embrm.evaluate
from embrm import RewardModel
from embrm.embed.scale import ShardedEmbeddingReport
from embrm.evaluate import Evaluation, evaluate_deltas, length_baseline


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


@pytest.mark.parametrize("module", [embrm.evaluate, embrm.embed.scale])
def test_names_that_never_were_are_refused(module):
    """As by any module."""
    with pytest.raises(AttributeError, match="has no attribute 'length_rulers'"):
        _ = module.length_rulers
