"""Equal texts have equal keys, unequal ones do not, and every key is found."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed import item_keys
from embrm.embed.keys import KeyIndex, check_keys
from embrm.exceptions import InvalidInputError
from embrm.messages import canonical_json

# Computed once, by the definition: blake2b-128 of [template, messages, response].
# A change here orphans every vector that anyone has stored.
GOLDEN = [
    ("Hi", "Hello", "1", "35ec902307e51db344934466db790fba"),
    ("", "", "1", "799349a84ba25b18dbd8a7bf5c4bab58"),
    ("Grüße 👋\n", '"ja"\\', "1", "79b4a7c292a89fb7ead6c3245372e4e4"),
    ("\ud800", "lone", "1", "18f22afb1c00cadf904c003307373d4f"),
    ("Hi", "Hello", "2", "8310f52ca6cb5ca46a0f4363a01035dc"),
    (
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Why?"},
        ],
        "Because.",
        "1",
        "16c72e9f47e10ca7d92ec841668263e7",
    ),
]

text = st.text(st.characters(), max_size=6)
prompt = text | st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system"]), "content": text}
    ),
    max_size=3,
)


def key(prompt, response, template="1"):
    return bytes(item_keys([(prompt, response)], template)[0]).hex()


@pytest.mark.parametrize(("prompt", "response", "template", "expected"), GOLDEN)
def test_keys_are_the_same_in_every_process_and_release(
    prompt, response, template, expected
):
    """Claim: the key is a fixed function of template, prompt and response."""
    assert key(prompt, response, template) == expected


def test_a_string_prompt_and_one_user_message_are_the_same_item():
    """Claim: both spellings of a single turn have one key."""
    assert key("Hi", "Yes") == key([{"role": "user", "content": "Hi"}], "Yes")


def test_other_fields_of_a_message_do_not_count():
    """Claim: only role and content decide."""
    message = {"role": "user", "content": "Hi", "id": 7}
    assert key("Hi", "Yes") == key([message], "Yes")


@settings(max_examples=200)
@given(st.tuples(prompt, text), st.tuples(prompt, text))
def test_keys_are_equal_exactly_when_the_texts_are(one, other):
    """Claim: no text moves between prompt, role and response unseen."""
    same = canonical_json(one[0]) == canonical_json(other[0]) and one[1] == other[1]
    assert (key(*one) == key(*other)) == same


def test_text_is_not_normalised():
    """Claim: composed and decomposed letters, and outer spaces, are different texts."""
    assert len({key("é", ""), key("e\u0301", ""), key("é ", "")}) == 3


def test_a_lone_surrogate_differs_from_the_pair_it_may_belong_to():
    """Claim: text that UTF-8 cannot hold has a key of its own."""
    halves = "\ud83d", "\udc4b"
    assert len({key(halves[0], ""), key("".join(halves), ""), key("👋", "")}) == 3


def test_no_texts_have_no_keys():
    """Claim: the empty list is fine."""
    assert item_keys([]).shape == (0,)


def test_keys_are_one_dimensional_bytes():
    """Claim: one V16 per item, in order."""
    keys = item_keys([("a", "b"), ("c", "d"), ("a", "b")])
    assert (keys.shape, keys.dtype) == ((3,), np.dtype("V16"))
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("ab", r"a str of length 2 at item 1"),
        (("a", "b", "c"), r"a tuple of length 3 at item 1"),
        (None, r"NoneType at item 1"),
        (("a", None), r"a response of type NoneType at item 1"),
        (("a", 1.5), r"a response of type float at item 1"),
        ((None, "b"), r"item 1: expected a prompt that is a str"),
        (([{"role": "user"}], "b"), r"item 1: expected messages with a string 'role'"),
    ],
)
def test_what_is_no_text_is_refused_with_the_number_of_the_item(text, got):
    """Claim: the error names the item and does not show the text."""
    with pytest.raises(InvalidInputError, match=got):
        item_keys([("Hi", "Hello"), text])


# Few different halves, so that keys often share their first eight bytes or are equal.
half = st.sampled_from([b"\x00" * 8, b"a" * 8, b"\xff" * 8])
keys = st.lists(st.builds(bytes.__add__, half, half), max_size=12).map(
    lambda values: np.frombuffer(b"".join(values) or b"", "V16")
)


@settings(max_examples=200)
@given(keys, keys)
def test_the_index_agrees_with_a_dictionary(held, asked):
    """Claim: find returns the first row of each key, -1 for keys that are not held."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(held):
        first.setdefault(bytes(key), row)
    index = KeyIndex(held)
    assert index.find(asked).tolist() == [first.get(bytes(key), -1) for key in asked]
    assert index.rows.tolist() == sorted(first.values())
    assert len(index) == len(first)


def test_a_million_keys_are_checked_in_two_seconds():
    """Claim: indexing and looking up a million keys takes less than 2 CPU seconds."""
    held = np.frombuffer(np.random.default_rng(0).bytes(16_000_000), "V16")
    started = time.process_time()
    found = KeyIndex(held).find(held)
    assert time.process_time() - started < 2
    assert (found == np.arange(len(held))).all()


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ([b"a" * 16], "list"),
        (np.zeros((2, 16), np.uint8), r"shape \(2, 16\), dtype uint8"),
        (np.zeros((2, 2), "V16"), r"shape \(2, 2\), dtype \|V16"),
        (np.zeros(2, "V8"), r"dtype \|V8"),
    ],
)
def test_what_are_no_keys_is_refused(wrong, got):
    """Claim: only one-dimensional V16 arrays are keys."""
    with pytest.raises(InvalidInputError, match=f"dtype V16; got .*{got}.*item_keys"):
        check_keys(wrong)
