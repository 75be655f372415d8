"""Reading what an embeddings server answers."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embrm.embed.server.response import NoJSONError, read_answer
from embrm.exceptions import EmbrmError, IntegrityError

finite = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.floats(-(2.0**99), 2.0**99, width=32),
)


def body(rows: Any, **more: Any) -> bytes:
    return json.dumps({"data": rows, **more}).encode()


def row(index: Any, embedding: Any) -> dict[str, Any]:
    return {"index": index, "embedding": embedding}


@settings(deadline=None, max_examples=60)
@given(finite, st.randoms(), st.booleans())
def test_any_order_and_either_encoding_give_the_same_vectors(vectors, random, packed):
    """Rows are put where their index says, bit for bit."""
    rows = [
        row(n, base64.b64encode(v.tobytes()).decode() if packed else v.tolist())
        for n, v in enumerate(vectors)
    ]
    random.shuffle(rows)
    answer = read_answer(body(rows), len(vectors))
    np.testing.assert_array_equal(answer.vectors, vectors)
    assert answer.vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([row(0, [1.0])], "2 embeddings in 'data' from the server; got 1"),
        ([row(0, [1.0])] * 2, "each once.*got one there twice after 1 good"),
        ([row(0, [1.0]), row(2, [1.0])], "indices 0 to 1.*got another or none"),
        ([row(0, [1.0]), row(-1, [1.0])], "got another or none after 1"),
        ([row(0, [1.0]), row(True, [1.0])], "got another or none after 1"),
        ([row(0, [1.0]), row("1", [1.0])], "got another or none after 1"),
        ([row(0, [1.0]), {"embedding": [1.0]}], "got another or none after 1"),
        ([row(0, [1.0]), {"index": 1}], "got another or none after 1"),
        ([row(0, [1.0]), 7], "got another or none after 1"),
        ({"0": [1.0]}, "2 embeddings.*got no list of them"),
        (None, "2 embeddings.*got no list of them"),
        ([row(0, [1.0]), row(1, [1.0, 2.0])], "got length 2 at index 1"),
        ([row(0, []), row(1, [])], "got length 0 at index 0"),
        ([row(0, [1.0]), row(1, [float("nan")])], "finite.*index 1.*To mend: run"),
        ([row(0, [1.0]), row(1, [float("inf")])], "got NaN or infinity at index 1"),
        ([row(0, [1.0]), row(1, [1e39])], "got NaN or infinity at index 1"),
        ([row(0, [1.0]), row(1, [10**400])], "got NaN or infinity at index 1"),
        ([row(0, [1.0]), row(1, ["1.0"])], "lists of numbers or base64.*index 1"),
        ([row(0, [1.0]), row(1, [True])], "lists of numbers or base64.*index 1"),
        ([row(0, [1.0]), row(1, [[1.0]])], "another list at index 1"),
        ([row(0, [1.0]), row(1, None)], "another NoneType at index 1"),
        ([row(0, [1.0]), row(1, "AAA")], "another str at index 1"),
        ([row(0, [1.0]), row(1, "AAAAAAA=")], "another str at index 1"),
        ([row(0, [1.0]), row(1, "\u00e4\u00e4\u00e4\u00e4")], "another str at index 1"),
    ],
)
def test_wrong_answers_are_refused(rows, match):
    """One finite vector of the same length for each index, or an error."""
    with pytest.raises(IntegrityError, match=match):
        read_answer(body(rows), 2)


def test_another_length_than_promised_is_refused():
    """The store's vectors have the length of the first contact."""
    with pytest.raises(IntegrityError, match=r"vectors of length 3.*got length 2"):
        read_answer(body([row(0, [1.0, 2.0])]), 1, dim=3)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b'{"data": [', b"\xff\xfe\x00", b"[" * 100_000]
)
def test_what_is_no_json_is_told_apart(raw):
    """It may be a good answer that was cut off."""
    with pytest.raises(NoJSONError, match="JSON in the server's answer; got"):
        read_answer(raw, 1)


@pytest.mark.parametrize("raw", [b"[]", b"3", b'"data"', b"true"])
def test_another_json_is_refused(raw):
    """An answer is an object."""
    with pytest.raises(IntegrityError, match="a JSON object with 'data'"):
        read_answer(raw, 1)


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "index", "embedding", "usage"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_gives_vectors_or_an_error_of_ours(value):
    """Nothing that a server can send breaks the reader."""
    try:
        answer = read_answer(json.dumps(value).encode(), 1)
    except EmbrmError:
        return
    assert np.isfinite(answer.vectors).all()
    assert answer.vectors.shape[0] == 1


@pytest.mark.parametrize(
    ("usage", "n"),
    [
        ({"prompt_tokens": 7}, 7),
        ({"prompt_tokens": -7}, 0),
        ({"prompt_tokens": True}, 0),
        ({"prompt_tokens": "7"}, 0),
        ({"prompt_tokens": 10**30}, 0),
        ({}, 0),
        ("7", 0),
        (None, 0),
    ],
)
def test_tokens_are_counted_where_the_server_says(usage, n):
    """Anything that is no count is none."""
    assert read_answer(body([row(0, [1])], usage=usage), 1).n_tokens == n


@pytest.mark.parametrize(
    ("name", "expected"), [("toy", "toy"), ("x" * 999, "x" * 200), (None, ""), ([], "")]
)
def test_the_servers_name_is_bounded(name, expected):
    """It ends up in the fingerprint."""
    assert read_answer(body([row(0, [1])], model=name), 1).model == expected
