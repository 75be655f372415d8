"""Rows become the bytes of an Arrow file, and come back."""

import numpy as np
import pyarrow as pa
import pytest

from embrm.embed.cache.arrow_file import (
    NotASegmentError,
    arrow_schema,
    encode,
    keys_of,
    open_batch,
    vectors_of,
    vectors_to_arrow,
)


def test_rows_come_back(rows, fingerprint):
    """Claim: keys and vectors, bit for bit."""
    keys, vectors = rows()
    batch = open_batch(encode(keys, vectors, fingerprint))
    assert keys_of(batch).tobytes() == keys.tobytes()
    assert vectors_of(batch, fingerprint).tobytes() == vectors.tobytes()


def test_keys_can_be_read_alone(rows, fingerprint):
    """Claim: the batch then has no other column, and the metadata."""
    batch = open_batch(encode(*rows(), fingerprint), keys_only=True)
    assert batch.schema.names == ["key"]
    assert keys_of(batch).tobytes() == rows()[0].tobytes()
    assert batch.schema.metadata[b"embrm.fingerprint"].decode() == fingerprint.digest


def test_the_schema_says_how_many_rows_there_are(fingerprint):
    """Claim: layout, owner and count are in the metadata."""
    metadata = arrow_schema(fingerprint, 7).metadata
    assert (metadata[b"embrm.layout"], metadata[b"embrm.rows"]) == (b"1", b"7")


def test_rows_that_are_strided_are_written_in_order(rows, fingerprint):
    """Claim: a view is stored as what it shows."""
    vectors = rows(6)[1][::2]
    array = vectors_to_arrow(vectors, fingerprint)
    np.testing.assert_array_equal(array.to_pylist(), vectors)


def test_other_bytes_are_no_segment():
    """Claim: told by an error of its own."""
    with pytest.raises(NotASegmentError, match="no Arrow file"):
        open_batch(pa.py_buffer(b"nothing of ours"))
