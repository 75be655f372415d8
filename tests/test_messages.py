"""Prompts as text or conversations have one canonical form."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embrm.exceptions import InvalidInputError
from embrm.messages import as_messages, canonical_json, prompt_text

TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
]


@given(st.text(min_size=1))
def test_text_and_a_single_user_turn_are_the_same_prompt(text):
    """Both spellings have equal canonical JSON and equal text."""
    turn = [{"role": "user", "content": text}]
    assert canonical_json(text) == canonical_json(turn)
    assert prompt_text(text) == prompt_text(turn) == text


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_different_conversations_have_different_json(turns):
    """Canonical JSON can be read back, so no two conversations share it."""
    messages = [{"role": role, "content": content} for role, content in turns]
    assert json.loads(canonical_json(messages)) == [list(turn) for turn in turns]


def test_arrays_of_messages_are_conversations():
    """Arrow hands lists over as object arrays; they are taken as lists."""
    array = np.empty(2, dtype=object)
    array[:] = TURNS
    assert canonical_json(array) == canonical_json(TURNS)


def test_extra_keys_of_a_message_do_not_matter():
    """Only role and content identify a turn."""
    assert as_messages([{**TURNS[0], "name": "x"}]) == as_messages(TURNS[:1])


def test_the_empty_text_is_the_empty_conversation():
    """No prompt at all has one form, too."""
    assert as_messages("") == as_messages([]) == ()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (3, "str or a list of messages; got int"),
        (None, "got NoneType"),
        (b"bytes", "got bytes"),
        ({"role": "user", "content": "x"}, "got dict"),
        ([{"role": "user"}], r"got keys \['role'\] at message 0"),
        ([TURNS[0], {"role": "user", "content": None}], "at message 1"),
        (["Hi"], "got str at message 0"),
    ],
)
def test_what_is_not_a_prompt_is_refused(prompt, message):
    """Errors say what was got and where."""
    with pytest.raises(InvalidInputError, match=message):
        as_messages(prompt)
