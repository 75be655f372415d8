"""Models on disk: what comes back is what was saved, or an error."""

import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

import embrm
from embrm import RewardModel
from embrm.exceptions import (
    EmbrmError,
    FingerprintMismatchError,
    IntegrityError,
    InvalidInputError,
)
from embrm.heads import (
    ClassificationReward,
    KTOReward,
    MultiObjectiveReward,
    PlackettLuce,
    RegressionReward,
    TwoStageReward,
    known_heads,
    make_head,
)
from embrm.persist import load_model, read_manifest, save_model
from embrm.persist.bundle import check_native
from tests.persist.conftest import GOLDEN


@pytest.fixture(scope="module")
def items(frame):
    return frame.rename(columns={"chosen": "response"})[["prompt", "response"]]


@pytest.mark.parametrize("word", sorted(known_heads()))
def test_rewards_of_every_head_come_back_bitwise(word, frame, items, tmp_path):
    """Saved and loaded, each head gives the same bits."""
    head = make_head(word, random_state=0)
    if head.learns_from == "ratings":
        sides = {"chosen": 1.0, "rejected": 0.0}
        frame = frame.melt("prompt", list(sides), value_name="response")
        frame = frame.assign(score=frame.pop("variable").map(sides))
    fitted = RewardModel(encoder="hashing:32", head=head).fit(frame)
    loaded = load_model(save_model(fitted, tmp_path / word))
    np.testing.assert_array_equal(loaded.reward(items), fitted.reward(items))


@pytest.mark.parametrize(
    "head",
    [
        RegressionReward("mlp", random_state=0),
        RegressionReward("lightgbm", random_state=0),
        RegressionReward(weights=np.array([2.0])),
        RegressionReward(preprocessor=PCA(4, random_state=0)),
        MultiObjectiveReward(hidden_sizes=(3,), random_state=0),
        TwoStageReward(preprocessor=PCA(4, random_state=0)),
        KTOReward(0.1, balance=1.2),
        PlackettLuce(preprocessor=PCA(4, random_state=0)),
    ],
    ids=str,
)
def test_heads_of_items_come_back_bitwise_whatever_is_in_them(head, tmp_path):
    """Trees, networks, weights, preprocessors and several ratings."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "prompt": f"question {n // 4}",
            "response": f"{'good' if score > 1 else 'bad'} answer {rng.integers(99)}",
            "score": score,
            "brevity": float(rng.integers(5)),
        }
        for n, score in enumerate(rng.integers(0, 4, 80).astype(float))
    ]
    frame = pd.DataFrame(rows)
    fitted = RewardModel("hashing:32", head).fit(frame)
    loaded = load_model(save_model(fitted, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.reward(frame), fitted.reward(frame))
    np.testing.assert_array_equal(
        loaded.decision_function(frame), fitted.decision_function(frame)
    )
    assert repr(loaded.head_) == repr(fitted.head_) or "array" in repr(fitted.head_)


def test_a_preprocessor_is_saved_with_its_head(frame, items, tmp_path):
    """A fitted PCA comes back bitwise, too."""
    head = make_head("linear").set_params(preprocessor=PCA(4, random_state=0))
    fitted = RewardModel(encoder="hashing:32", head=head).fit(frame)
    loaded = load_model(save_model(fitted, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.reward(items), fitted.reward(items))


def test_a_loaded_model_can_be_saved_again(bundle, items, tmp_path):
    """Saving what was loaded gives the same weights and the same training facts."""
    first = load_model(bundle)
    second = load_model(save_model(first, tmp_path / "again"))
    np.testing.assert_array_equal(first.reward(items), second.reward(items))
    assert second.training_ == first.training_


def test_the_seconds_of_the_fit_are_kept_apart_from_what_equal_fits_share(
    model, frame, tmp_path
):
    """Two fits have equal training facts; a bundle without seconds has None."""
    again = RewardModel(encoder=model.encoder, head=model.head).fit(frame)
    assert again.training_ == model.training_
    loaded = load_model(save_model(model, tmp_path / "m"))
    assert loaded.fit_seconds_ == model.fit_seconds_ > 0
    assert load_model(GOLDEN / "v1-linear").fit_seconds_ is None


def test_the_top_level_names_save_and_load(model, items, tmp_path):
    """embrm.save_model and embrm.load_model are the same functions."""
    loaded = embrm.load_model(embrm.save_model(model, tmp_path / "m"))
    np.testing.assert_array_equal(loaded.reward(items), model.reward(items))


def test_metrics_are_kept_with_the_model(model, tmp_path):
    """What was measured stays with what was measured."""
    saved = save_model(model, tmp_path / "m", metrics={"held_out": {"folds": 5}})
    manifest = read_manifest(saved)
    assert manifest["training"]["metrics"] == {"held_out": {"folds": 5}}


def test_the_card_is_part_of_the_bundle(bundle, model):
    """README.md stands in the manifest with its checksum, and names the encoder."""
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "README.md" in read_manifest(bundle)["files"]
    assert model.fingerprint_.digest in card


def test_a_changed_card_is_noticed(bundle, tmp_path):
    """What people read is covered by a checksum, too."""
    copy = tmp_path / "model"
    shutil.copytree(bundle, copy)
    card = copy / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace("12 pairs", "99 pairs"))
    with pytest.raises(IntegrityError, match=r"README\.md.*another checksum"):
        load_model(copy)


def test_a_model_that_is_not_fitted_is_not_saved(tmp_path):
    """scikit-learn's own error says what to do."""
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        save_model(RewardModel("hashing:16"), tmp_path / "m")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, np.zeros(2), "\ud800"])
def test_metrics_that_are_not_json_are_refused(value, model, tmp_path):
    """Nothing is written then."""
    with pytest.raises(InvalidInputError, match="metrics that are JSON"):
        save_model(model, tmp_path / "m", metrics={"x": value})
    assert not list(tmp_path.iterdir())


def test_a_head_whose_rewards_are_not_finite_is_not_saved(frame, tmp_path):
    """It would be of no use, and its load would be refused."""
    broken = RewardModel("hashing:16").fit(frame)
    broken.head_.coef_ = broken.head_.coef_ * np.nan
    with pytest.raises(InvalidInputError, match="rewards are finite"):
        save_model(broken, tmp_path / "m")


def test_trees_that_cannot_be_checked_are_not_saved(frame, tmp_path):
    """Linear leaves are refused when saving, not when it is too late."""
    trees = LGBMClassifier(
        n_estimators=2, linear_tree=True, min_child_samples=2, verbosity=-1
    )
    fitted = RewardModel("hashing:16", ClassificationReward(trees)).fit(frame)
    with pytest.raises(InvalidInputError, match="fit without linear_tree"):
        save_model(fitted, tmp_path / "m")


def test_the_version_of_every_library_is_noted(bundle):
    """xgboost-cpu is xgboost under another name."""
    libraries = read_manifest(bundle)["libraries"]
    assert {"python", "embrm", "numpy", "scikit-learn"} <= set(libraries)
    assert {"xgboost", "xgboost-cpu"} & set(libraries)


def test_training_prompts_are_known_after_loading(bundle, model, frame):
    """A loaded model still notices prompts that it was fitted on."""
    preferences = model.read(frame)
    assert load_model(bundle).seen_pairs(preferences).all()


def test_another_encoder_is_refused(bundle, items):
    """Vectors of another fingerprint are not scored; the error names both."""
    loaded = load_model(bundle, encoder="hashing:128")
    with pytest.raises(
        FingerprintMismatchError, match=r"vectors of the encoder hashing"
    ):
        loaded.reward(items)


def test_the_same_encoder_by_another_road_is_accepted(bundle, model, items):
    """What counts is the fingerprint, not how the encoder was given."""
    loaded = load_model(bundle, encoder="hashing:64")
    np.testing.assert_array_equal(loaded.reward(items), model.reward(items))


def test_an_older_bundle_is_replaced(model, tmp_path):
    """Saving over a bundle leaves one whole bundle and nothing beside it."""
    for _ in range(2):
        save_model(model, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    load_model(tmp_path / "m")


def test_a_directory_with_other_content_is_not_touched(model, tmp_path):
    """Somebody's files are never replaced by a bundle."""
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(InvalidInputError, match="choose another directory"):
        save_model(model, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "dear"


def test_a_failed_save_keeps_the_older_bundle(model, items, tmp_path, monkeypatch):
    """A full disk in the middle of a save loses nothing."""
    save_model(model, tmp_path / "m")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EmbrmError, match=r"No space left.*still there"):
        save_model(model, tmp_path / "m")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    np.testing.assert_array_equal(
        load_model(tmp_path / "m").reward(items), model.reward(items)
    )


@given(data=st.data())
@settings(max_examples=150)
def test_every_flipped_bit_is_noticed(data, bundle, items, tmp_path_factory):
    """One bit flipped anywhere is an error, or changes nothing that counts."""
    name = data.draw(st.sampled_from(sorted(path.name for path in bundle.iterdir())))
    copy = tmp_path_factory.mktemp("flipped") / "model"
    shutil.copytree(bundle, copy)
    content = bytearray((copy / name).read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    (copy / name).write_bytes(bytes(content))
    try:
        loaded = load_model(copy)
    except IntegrityError:
        return
    # Only white space of the manifest's layout can change without a trace.
    assert json.loads(content) == read_manifest(bundle)
    np.testing.assert_array_equal(
        loaded.reward(items), load_model(bundle).reward(items)
    )


@pytest.mark.parametrize("size", [0, 10, -1])
def test_truncated_weights_are_noticed(size, bundle, tmp_path):
    """A file of another length is refused before it is parsed."""
    copy = tmp_path / "model"
    shutil.copytree(bundle, copy)
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(IntegrityError, match="bytes instead of"):
        load_model(copy)


def test_a_missing_file_is_noticed(bundle, tmp_path):
    """The error names the file."""
    copy = tmp_path / "model"
    shutil.copytree(bundle, copy)
    (copy / "weights.safetensors").unlink()
    with pytest.raises(IntegrityError, match=r"the file 'weights\.safetensors'"):
        load_model(copy)


def test_links_are_not_followed(bundle, tmp_path):
    """A bundle cannot make a load read files outside it."""
    copy = tmp_path / "model"
    shutil.copytree(bundle, copy)
    weights = copy / "weights.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors"):
        load_model(copy)


def test_what_is_no_bundle_is_refused(tmp_path):
    """A directory without a manifest is no bundle."""
    with pytest.raises(IntegrityError, match=r"no such file in .*embrm fit --out"):
        load_model(tmp_path)


def test_a_pinned_digest_must_match(bundle):
    """expect_digest accepts the bundle one trusts and no other."""
    load_model(bundle, expect_digest=read_manifest(bundle)["digest"])
    with pytest.raises(IntegrityError, match="get the bundle you trust"):
        load_model(bundle, expect_digest="0" * 64)


N_MUTANTS = 1500
LOAD = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
data = sys.stdin.buffer.read()
items = np.linspace(-1, 1, 48).reshape(3, 16)
while data:
    size = int.from_bytes(data[:8], "big")
    blob, data = data[8 : 8 + size], data[8 + size :]
    try:
        if blob.startswith(b"tree"):
            import lightgbm
            booster = lightgbm.Booster(model_str=blob.decode())
            booster.predict(items, raw_score=True)
        else:
            import xgboost
            estimator = xgboost.XGBClassifier()
            estimator.load_model(bytearray(blob))
            estimator.predict(items, output_margin=True)
    except Exception:
        continue
print("alive")
"""


def mutants(blob: bytes) -> list[bytes]:
    """Change a model file in many ways, and keep what passes the check."""
    rng = random.Random(0)
    passed = []
    for n in range(N_MUTANTS):
        changed = bytearray(blob)
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.randrange(len(changed))
            if n % 4 == 0:
                changed[at] ^= 1 << rng.randrange(8)
            elif n % 4 == 1:
                changed[at] = rng.randrange(256)
            elif n % 4 == 2:
                changed[at] = (changed[at] + rng.choice([1, -1])) % 256
            else:
                del changed[at : at + rng.randrange(1, 50)]
        try:
            check_native(bytes(changed))
        except IntegrityError:
            continue
        passed.append(bytes(changed))
    return passed


@pytest.mark.parametrize("kind", ["lightgbm_text", "xgboost_ubjson"])
def test_what_passes_never_ends_the_process(kind, request):
    """Damaged models that get through the check are parsed without harm."""
    passed = mutants(request.getfixturevalue(kind))
    assert passed
    data = b"".join(len(blob).to_bytes(8, "big") + blob for blob in passed)
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=data,
        capture_output=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.endswith(b"alive\n")


def test_both_kinds_are_known(lightgbm_text, xgboost_ubjson):
    """By their first bytes."""
    check_native(lightgbm_text)
    check_native(xgboost_ubjson)


@pytest.mark.parametrize("blob", [b"", b"\x80\x04K", b"PK\x03\x04", b"tree", b"[]"])
def test_other_files_are_refused(blob):
    """Pickles and archives among them."""
    with pytest.raises(IntegrityError, match="LightGBM text or XGBoost UBJSON"):
        check_native(blob)
