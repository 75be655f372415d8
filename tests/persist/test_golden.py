"""Bundles of earlier versions load for ever, and score as they did."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embrm.persist import load_model, read_manifest

GOLDEN = Path(__file__).with_name("golden")
EXPECTED = {
    name: (values["items"], rewards)
    for path in sorted(GOLDEN.glob("v*-expected.json"))
    for values in [json.loads(path.read_text(encoding="utf-8"))]
    for name, rewards in values["rewards"].items()
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_golden_bundle_scores_as_on_the_day_it_was_made(name):
    """The bits are the same where it was made; elsewhere, sums may round otherwise."""
    items, rewards = EXPECTED[name]
    frame = pd.DataFrame(items, columns=["prompt", "response"])
    got = load_model(GOLDEN / name).reward(frame)
    np.testing.assert_allclose(got, rewards, rtol=1e-6, atol=1e-9)


def test_every_golden_bundle_is_expected_and_every_version_has_some(bundle):
    """No bundle is forgotten, and no version of the format is without one."""
    there = {path.name for path in GOLDEN.glob("v*-*") if path.is_dir()}
    assert there == set(EXPECTED)
    versions = {int(name.partition("-")[0][1:]) for name in there}
    assert versions == set(range(1, read_manifest(bundle)["version"] + 1))


@pytest.mark.parametrize("head", ["linear", "siamese", "logistic", "lightgbm"])
def test_each_kind_of_head_has_a_golden_bundle(head, bundle):
    """Linear, network, pipeline and trees: each storage has its witness."""
    assert f"v{read_manifest(bundle)['version']}-{head}" in EXPECTED
