"""The vector cache on an object store: does all of it work there, and how fast?

    python benchmarks/cache_remote.py [URI] [--rows 20000] [--dim 1024]

URI is a place that pyarrow can open, such as s3://bucket/directory; what is written
there is removed again. Without one, an S3 server is started in this process (pip
install 'moto[server]'), which tells whether it works, and nothing about speed.
"""

import argparse
import json
import logging
import os
import secrets
import time
import warnings

import numpy as np

from embrm.embed import Fingerprint
from embrm.embed.cache import VectorCache, compact, prune, verify
from embrm.exceptions import DamagedSegmentWarning


def local_s3() -> str:
    """Start an S3 server and make a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    server = ThreadedMotoServer(port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"
    ).create_bucket(Bucket="vectors")
    return (
        f"s3://vectors/cache?endpoint_override={host}:{port}"
        "&scheme=http&region=us-east-1"
    )


def under(uri: str, name: str) -> str:
    """Append a directory to a URI, before its options."""
    place, question, options = uri.partition("?")
    return f"{place.rstrip('/')}/{name}{question}{options}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri", nargs="?")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=1024)
    arguments = parser.parse_args()
    uri = under(arguments.uri or local_s3(), f"embrm-{secrets.token_hex(4)}")
    who = Fingerprint({"kind": "remote"}, dim=arguments.dim, dtype="float16")
    rng = np.random.default_rng(0)
    keys = np.frombuffer(rng.bytes(16 * arguments.rows), "V16")
    vectors = rng.normal(size=(arguments.rows, arguments.dim)).astype("f2")
    seconds, began = {}, time.perf_counter()

    def lap(name):
        nonlocal began
        seconds[name] = round(time.perf_counter() - began, 3)
        began = time.perf_counter()

    cache = VectorCache(uri)
    halves = np.array_split(np.arange(arguments.rows), 8)
    for half in halves:
        cache.open(who).append(keys[half], vectors[half])
    cache.open(who).append(keys[:10], vectors[::-1][:10])
    lap("append")
    fresh = VectorCache(uri).open(who)
    assert fresh.contains(keys, check=False).all()
    lap("open_and_find")
    assert (fresh.take(keys) == vectors).all()
    lap("first_take")
    assert (fresh.take(keys) == vectors).all()
    lap("second_take")
    assert verify(VectorCache(uri)).ok
    lap("verify")
    report = compact(VectorCache(uri).open(who))
    assert (report.n_segments_after, report.n_rows_dropped) == (1, 10)
    fresh.refresh()
    assert (fresh.take(keys) == vectors).all()
    lap("compact_and_take")
    fresh.append(keys[:1], vectors[:1])
    path = fresh.segments[-1].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.filesystem.open_output_stream(str(path)) as file:
        file.write(bytes(data))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DamagedSegmentWarning)
        assert not verify(VectorCache(uri)).ok
    assert len(caught) == 1
    assert (VectorCache(uri).open(who).take(keys) == vectors).all()
    assert len(prune(VectorCache(uri)).removed) == 1
    assert prune(VectorCache(uri), fingerprints=[who.digest]).removed
    assert VectorCache(uri).stores() == []
    lap("damage_verify_prune")
    print(json.dumps({"mb": vectors.nbytes / 1e6, "seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()
