"""Write the golden store beside this file; run once per layout, by its author."""

import json
from pathlib import Path

import numpy as np

from embrm.embed import Fingerprint, item_keys
from embrm.embed.cache import VectorCache


def main() -> None:
    """Write three rows with a name of our own, so that no host is in it."""
    here = Path(__file__).parent
    who = Fingerprint({"kind": "golden", "seed": 1}, dim=3, dtype="float16")
    keys = item_keys([("Hi", "Hello"), ("Hi", "Bye"), ("", "")])
    vectors = np.array([[0.5, -1.25, 2], [65504, 0, -0.0], [6e-8, 1, 3]], "float16")
    VectorCache(here).open(who).append(keys, vectors)
    (path,) = (here / who.digest / "segments").iterdir()
    digest = path.stem.rpartition("-")[2]
    path.rename(
        path.with_name(f"20260101T000000000000Z-golden-1-0a1b2c3d-{digest}.arrow")
    )
    expected = {
        "fingerprint": who.to_json(),
        "keys": [bytes(key).hex() for key in keys],
        "vectors": vectors.tolist(),
    }
    (here / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
