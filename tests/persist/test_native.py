"""Native model files are told apart and checked; what passes harms nobody."""

import os
import random
import subprocess
import sys

import pytest

from embrm.exceptions import IntegrityError
from embrm.persist.native import check_native

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
