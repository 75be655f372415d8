"""The card says what a model is, for people."""

import pytest

from embrm.persist import read_manifest, save_model
from embrm.persist.card import write_card

MANIFEST = {
    "created": "2026-11-20T00:00:00+00:00",
    "libraries": {"embrm": "0.1.0"},
    "head": {"head": "LinearBradleyTerry", "params": {"alpha": "auto", "tol": 1e-6}},
    "encoder": {
        "fingerprint": {
            "fields": {"kind": "hashing", "seed": 0, "weights_sha256": {"a": "f" * 64}},
            "dim": 8,
            "dtype": "float32",
        }
    },
    "training": {
        "n_pairs": 1234,
        "n_items": 99,
        "n_prompts": 7,
        "account": {
            "source": "prefs.jsonl",
            "format": "pairs",
            "n_read": 1300,
            "n_kept": 1234,
            "left_out": [{"reason": "empty response", "n": 66, "where": []}],
        },
        "metrics": {
            "held_out": {
                "folds": 5,
                "order_consistency": {
                    "estimate": 0.7,
                    "low": 0.65,
                    "high": 0.75,
                    "level": 0.95,
                },
                "log_loss": {"estimate": 0.6, "low": None, "high": None},
                "kendall": None,
                "n_pairs": 1234,
            }
        },
    },
}


def with_training(**changes) -> dict:
    """Change what the manifest says of the training."""
    return {**MANIFEST, "training": {**MANIFEST["training"], **changes}}


@pytest.mark.parametrize(
    "words",
    [
        "# Reward model: LinearBradleyTerry on hashing",
        "1,234 pairs, 99 items, 7 prompts.",
        "Read from `prefs.jsonl` as `pairs`: 1,300 rows, 1,234 kept.",
        "- 66: empty response",
        "By 5-fold cross-validation",
        "| order consistency | 0.700 | 0.650 to 0.750 (95%) |",
        "| log loss | 0.600 | unknown |",
        "- alpha: `auto`",
        "- dim: `8`",
        "embrm 0.1.0",
        "embrm.load_model(",
        "## Intended use",
        "## Limits",
    ],
)
def test_the_card_says(words):
    """Data, figures with intervals, encoder, head, use, limits and how to load."""
    assert words in write_card(MANIFEST)


def test_the_card_of_a_saved_model_is_that_of_its_manifest(model, tmp_path):
    """What is written is what the manifest gives."""
    saved = save_model(model, tmp_path / "m")
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert card == write_card(read_manifest(saved))


def test_without_figures_the_card_says_so():
    """No figure is better than an invented one."""
    assert "None were measured." in write_card(with_training(metrics={}))


@pytest.mark.parametrize("metrics", [{"x": 1.5}, {"x": [1, 2]}, {"x": {"y": "z"}}])
def test_other_figures_are_shown_as_they_are(metrics):
    """Metrics are the caller's."""
    assert "x" in write_card(with_training(metrics=metrics))


def test_training_facts_may_be_missing():
    """A model assembled by hand has no account."""
    bare = {**MANIFEST, "training": {"metrics": {}}}
    assert "Unknown." in write_card(bare)


def test_texts_from_outside_are_one_line_without_markup():
    """A file name cannot write the card."""
    account = {
        **MANIFEST["training"]["account"],
        "source": "a`\n\n# Evil <b> [x](y)" + "z" * 500,
    }
    card = write_card(with_training(account=account))
    assert "\n# Evil" not in card
    assert "<b>" not in card
    assert "z" * 300 not in card


def test_checksums_of_the_encoder_stay_in_the_manifest():
    """They are part of the fingerprint; nobody reads them."""
    assert "f" * 64 not in write_card(MANIFEST)
