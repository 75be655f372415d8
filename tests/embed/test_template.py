"""Rendering: what text an item becomes, and where its parts lie."""

import json
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.template import (
    CHAT_DATE,
    ChatRenderer,
    check_text,
    read_chat_template,
    render_plain,
)
from embrm.exceptions import InvalidInputError

DIALOGUE = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Why?"},
]


@pytest.fixture(scope="module")
def tokenizer(tiny_models: Any) -> Any:
    """The tokenizer of the tiny Llama."""
    return transformers.AutoTokenizer.from_pretrained(str(tiny_models["llama"]))


@pytest.fixture(scope="module")
def renderer(tokenizer: Any) -> ChatRenderer:
    """The tiny Llama's chat template."""
    return ChatRenderer(tokenizer, tokenizer.chat_template)


def parts(rendered: Any) -> tuple[list[str], str]:
    """Return what the spans of a rendering hold."""
    return (
        [rendered.text[start:end] for start, end in rendered.prompt_spans],
        rendered.text[rendered.response_start :],
    )


def test_plain_text_is_prompt_blank_line_response():
    """A single user turn is rendered verbatim."""
    assert render_plain("Why?", "So.").text == "Why?\n\nSo."


def test_a_conversation_is_labelled_to_the_end():
    """The response of a conversation is labelled as its other turns are."""
    text = render_plain(DIALOGUE, "So.").text
    assert text == "User: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant: So."


def test_an_empty_prompt_leaves_the_response_alone():
    """No blank line stands before a response without a prompt."""
    assert render_plain("", "So.").text == "So."


def test_an_instruction_in_front_is_not_part_of_the_prompt():
    """What the model wants before every text cannot be truncated."""
    rendered = render_plain("Why?", "So.", prefix="query: ")
    assert parts(rendered) == (["Why?\n\n"], "So.")


def test_lone_surrogates_are_replaced_one_for_one():
    """Text that UTF-8 cannot hold keeps its length and reaches the tokenizer."""
    assert render_plain("a\ud800", "b\udfff").text == "a?\n\nb?"


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("prompt", "str"),
        (("p",), "tuple"),
        (("p", "r", "x"), "tuple"),
        (("p", None), "response of type NoneType"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_pair_of_prompt_and_response_is_refused(text, got):
    """A text is (prompt, response) with a str response."""
    with pytest.raises(InvalidInputError, match=got):
        check_text(text)


def test_chat_text_ends_with_the_response(renderer):
    """The end-of-turn that the template adds is cut off."""
    rendered = renderer("Why?", "So.")
    assert rendered.text == "<bos><|user|>\nWhy?<|end|>\n<|assistant|>\nSo."


def test_chat_parts_are_found_in_a_conversation(renderer):
    """Each content is a prompt span; the rest belongs to the template."""
    assert parts(renderer(DIALOGUE, "So.")) == (["Hi", "Yes?", "Why?"], "So.")


def test_chat_parts_are_found_where_the_template_strips(renderer):
    """This template trims contents; the spans are those of the trimmed text."""
    assert parts(renderer("  Why? \n", " So.\n")) == (["Why?"], "So.")


def test_chat_templates_get_the_definitions_of_tools(tokenizer):
    """They are the template's `tools`, and no part of any message."""
    template = (
        "{% for tool in tools or [] %}<{{ tool.name }}>{% endfor %}"
        "{% for m in messages %}[{{ m.keys() | list | join(',') }}:{{ m.content }}]"
        "{% endfor %}"
    )
    prompt = [{"role": "user", "content": "Why?", "tools": [{"name": "f"}]}]
    rendered = ChatRenderer(tokenizer, template)(prompt, "So.")
    assert rendered.text == "<f>[role,content:Why?][role,content:So."
    assert parts(rendered) == (["Why?"], "So.")


@pytest.mark.parametrize("text", ["user", "<|user|>", "<|end|>\n", "embrm0marker", ""])
def test_contents_that_look_like_the_template_are_found(renderer, text):
    """Places are aligned with the template's text, not searched for."""
    assert parts(renderer(text, text)) == ([text.strip()] if text else [], text.strip())


@settings(max_examples=60)
@given(
    contents=st.lists(st.text(max_size=12), min_size=1, max_size=4),
    response=st.text(max_size=12),
)
def test_chat_spans_hold_the_contents_whatever_they_say(renderer, contents, response):
    """For any contents the spans hold them, trimmed as this template trims."""
    roles = ["user", "assistant"] * 2
    turns = [
        {"role": role, "content": content}
        for role, content in zip(roles, contents, strict=False)
    ]
    found, end = parts(renderer(turns, response))
    assert (found, end) == ([c.strip() for c in contents], response.strip())


def test_a_template_that_rewrites_the_response_is_searched_for_it(tokenizer):
    """Templates that move a think block still have the response at the end."""
    template = (
        "{% for m in messages %}[{{ m.role }}]"
        "{% if '</think>' not in m.content %}<think></think>{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    rendered = ChatRenderer(tokenizer, template)("Why?", "<think>hm</think>So.")
    assert parts(rendered)[1] == "<think>hm</think>So."


def test_a_template_that_loses_the_response_is_refused(tokenizer):
    """Without the response in it, a rendering says nothing about it."""
    template = "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
    with pytest.raises(InvalidInputError, match="template='plain'"):
        ChatRenderer(tokenizer, template)("Why?", "So.")


def test_a_conversation_that_the_template_refuses_is_an_input_error(tokenizer):
    """The template's own words are passed on with a fix."""
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('no system role') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    turns = [{"role": "system", "content": "Be brief."}]
    with pytest.raises(InvalidInputError, match=r"no system role.*template='plain'"):
        ChatRenderer(tokenizer, template)(turns, "So.")


@pytest.mark.parametrize(
    "date",
    [
        "{{ strftime_now('%d %b %Y') }}",
        "{% set d = date_string or strftime_now('%d %b %Y') %}{{ d }}",
    ],
)
def test_templates_that_print_the_date_print_the_same_one_for_ever(tokenizer, date):
    """Vectors must not depend on the day on which they were computed."""
    template = date + "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert ChatRenderer(tokenizer, template)("p", "r").text == f"{CHAT_DATE}pr"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chat_template.jinja", "T"),
        ("chat_template.json", json.dumps({"chat_template": "T"})),
        ("tokenizer_config.json", json.dumps({"chat_template": "T"})),
        (
            "tokenizer_config.json",
            json.dumps(
                {
                    "chat_template": [
                        {"name": "tool_use", "template": "X"},
                        {"name": "default", "template": "T"},
                    ]
                }
            ),
        ),
    ],
)
def test_the_chat_template_is_read_from_every_place_it_is_kept(tmp_path, name, text):
    """Old and new layouts of a tokenizer's files are understood."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_chat_template(tmp_path) == "T"


def test_no_chat_template_is_none(tmp_path):
    """A model without one has none."""
    assert read_chat_template(tmp_path) is None
