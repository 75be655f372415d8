"""Load saved models that were damaged at random, with every head of the registry.

`model_faults.py` counts what comes of it; this is the process in which it happens:

    python benchmarks/model_mutations.py FOLDER START STOP

FOLDER holds a bundle of each head by its name; they take turns. For each number from
START on, one change is drawn and made, and the model loaded and asked for rewards; the
outcome is a line of JSON. The end of this process is what a fault in a parser looks
like from outside.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as write_safetensors

from embrm import RewardModel, load_model, save_model
from embrm.exceptions import EmbrmError
from embrm.heads import known_heads, make_head
from embrm.persist.files import CARD, MANIFEST, digest_of

DIM = 16
RATED = {"regression", "multi-objective"}
SMALL: dict[str, dict] = {
    "siamese": {"hidden_sizes": (3,), "linear_start": False, "max_epochs": 2},
    "mlp": {"hidden_layer_sizes": (3,)},
    "lightgbm": {"n_estimators": 4, "min_child_samples": 2},
    "xgboost": {"n_estimators": 4},
    "boosted": {"max_rounds": 4},
    "boosted-xgboost": {"max_rounds": 4},
    "general": {"max_iter": 20},
    "ensemble": {"n_members": 2},
    "length-debiased": {"cv": None},
}
NASTY: list[Any] = [
    *(None, True, False, "", "x", "\x00", "../../etc/passwd", "a" * 5000, [], {}),
    *(0, -1, 1, 2, 2**31, 2**63, -(2**63), 2**64, 10**30, 0.0, -0.0, 1e308, 1e-320),
    *(
        [[]],
        [[[[1]]]],
        {"class": "os.system", "params": {}},
        [None] * 100,
        {"": {"": 0}},
    ),
]
TOKENS = b"0 -1 1e999 nan inf -inf 99999999999999999999 2147483648 1.5 [ { } ] , = \n"


def save_all(folder: Path) -> None:
    """Fit and save a small model with every head."""
    words = ["good", "fair", "poor", "bad"]
    rated = [
        {"prompt": f"q {n}", "response": f"{word} answer {n * 7 % 31}", "score": 3 - k}
        for n in range(20)
        for k, word in enumerate(words)
    ]
    pairs = [
        {"prompt": f"q {n}", "chosen": f"good {n * 7 % 31}", "rejected": f"bad {n % 5}"}
        for n in range(40)
    ]
    for word in known_heads():
        head = make_head(word, random_state=0, **SMALL.get(word, {}))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = RewardModel(f"hashing:{DIM}", head)
            save_model(model.fit(rated if word in RATED else pairs), folder / word)


def read(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(bundle.iterdir())}


def damage(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes: flip, cut, insert, repeat, or take another file's."""
    raw, n = bytearray(data), len(data)
    at = int(rng.integers(n + 1)) % max(n, 1)
    size = int(min(n - at, 2 ** rng.integers(0, 12)))
    way = int(rng.integers(9))
    if n == 0 or way == 3:
        raw[at:at] = rng.bytes(size + 1)
    elif way == 0:
        raw[at] ^= 1 << int(rng.integers(8))
    elif way == 1:
        raw[at] = int(rng.integers(256))
    elif way == 2:
        del raw[at : at + size]
    elif way == 4:
        raw[at:at] = raw[at : at + size] * int(rng.integers(1, 20))
    elif way == 5:
        return bytes(raw[:at])
    elif way == 6:
        raw[at : at + size] = bytes([int(rng.choice([0, 32, 255]))]) * size
    elif way == 7:
        tokens = TOKENS.split(b" ")
        raw[at : at + int(rng.integers(0, 4))] = tokens[int(rng.integers(len(tokens)))]
    else:
        raw[at:] = other[at:]
    return bytes(raw)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """List all containers of a JSON value with each of their keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def damage_manifest(manifest: dict, rng: np.random.Generator) -> None:
    """Take a value out, exchange two, or put one there that nothing expects."""
    found = [place for place in places(manifest) if place[1] != "digest"]
    box, key = found[int(rng.integers(len(found)))]
    way = int(rng.integers(4))
    if way == 0:
        del box[key]
    elif way == 1:
        other, name = found[int(rng.integers(len(found)))]
        box[key] = json.loads(json.dumps(other[name]))
    elif way == 2 and isinstance(box[key], int | float):
        box[key] = type(box[key])(box[key] * float(rng.choice([-1, 2, 1e3, 0.5])))
    else:
        box[key] = NASTY[int(rng.integers(len(NASTY)))]


def damage_arrays(data: bytes, rng: np.random.Generator) -> bytes:
    """Change an array: its shape, dtype, or some numbers."""
    arrays = dict(parse_safetensors(data))
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    array, way = arrays[name].copy(), int(rng.integers(7))
    with np.errstate(all="ignore"):
        if way == 0:
            del arrays[name]
            return write_safetensors(arrays)
        if way == 1 and array.size:
            bad = rng.choice([np.nan, np.inf, -1e300, 0, -1, 2**31])
            array.ravel()[rng.integers(array.size)] = np.array(bad).astype(array.dtype)
        elif way == 2:
            array = array[: int(rng.integers(len(array) + 1))] if array.ndim else array
        elif way == 3:
            array = array[None]
        elif way == 4:
            kinds = [np.int8, np.uint64, np.float16, np.float32, np.float64, np.bool_]
            array = array.astype(kinds[int(rng.integers(len(kinds)))])
        elif way == 5:
            array = np.concatenate([array, array]) if array.ndim else array
        else:
            array = array.T if array.ndim > 1 else array * 3
    arrays[name] = np.ascontiguousarray(array)
    return write_safetensors(arrays)


def mutate(
    files: dict[str, bytes], others: dict[str, bytes], rng: np.random.Generator
) -> tuple[dict[str, bytes], bool]:
    """Change a bundle; say whether its checksums were made right again."""
    files, remade = dict(files), bool(rng.integers(2))
    # With right checksums any card is as good as another.
    names = [name for name in sorted(files) if not (remade and name == CARD)]
    name = names[int(rng.integers(len(names)))]
    if not remade:
        for _ in range(int(rng.integers(1, 4))):
            files[name] = damage(files[name], others.get(name, b""), rng)
        return files, False
    if name.endswith(".safetensors") and rng.integers(2):
        files[name] = damage_arrays(files[name], rng)
    elif name != MANIFEST:
        files[name] = damage(files[name], others.get(name, b""), rng)
    manifest = json.loads(files[MANIFEST])
    for listed in manifest["files"]:
        digest = hashlib.sha256(files[listed]).hexdigest()
        manifest["files"][listed] = {"bytes": len(files[listed]), "sha256": digest}
    if name == MANIFEST:
        damage_manifest(manifest, rng)
    if isinstance(manifest, dict):
        manifest["digest"] = digest_of(manifest)
    files[MANIFEST] = json.dumps(manifest).encode()
    return files, True


def outcome(place: Path, vectors: np.ndarray, wanted: bytes) -> dict[str, str]:
    """Load, score, and say what came of it."""
    try:
        head = load_model(place).head_
    except EmbrmError:
        return {"outcome": "refused"}
    except Exception as error:  # noqa: BLE001
        return {"outcome": "untyped", "error": f"{type(error).__name__}: {error}"[:200]}
    try:
        same = np.asarray(head.reward(vectors)).tobytes() == wanted
    except Exception as error:  # noqa: BLE001
        return {
            "outcome": "untyped in use",
            "error": f"{type(error).__name__}: {error}",
        }
    return {"outcome": "same" if same else "differs"}


def main() -> None:
    folder, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    # The libraries of trees write to standard output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    vectors = np.random.default_rng(1).standard_normal((24, DIM))
    bundles, wanted = {}, {}
    for path in sorted(folder.iterdir()):
        bundles[path.name] = read(path)
        wanted[path.name] = load_model(path).head_.reward(vectors).tobytes()
    print("ready", file=answers)
    words = list(bundles)
    with tempfile.TemporaryDirectory(dir=folder.parent) as room:
        for number in range(start, stop):
            word, other = words[number % len(words)], words[(number + 1) % len(words)]
            rng = np.random.default_rng([number, 5])
            files, remade = mutate(bundles[word], bundles[other], rng)
            place = Path(room) / str(number)
            place.mkdir()
            for name, data in files.items():
                (place / name).write_bytes(data)
            found = outcome(place, vectors, wanted[word])
            shutil.rmtree(place)
            found |= {"head": word, "number": number, "remade": remade}
            print(json.dumps(found), file=answers)


if __name__ == "__main__":
    main()
