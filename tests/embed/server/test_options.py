"""Which options an encoder that asks a server may have."""

import math

import pytest

from embrm.embed.server.openai_compatible import OpenAICompatibleEncoder
from embrm.embed.server.options import check_server_options
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"model": ""}, "model, a name"),
        ({"url": "example.org"}, "a url like"),
        ({"api_key_env": "sk-my-key"}, "the name of a variable"),
        ({"template": "chat"}, "'chat' with tokenizer and send_token_ids"),
        ({"template": "chat", "tokenizer": "x"}, "'chat' with tokenizer"),
        ({"template": "other"}, "template 'plain'"),
        ({"max_chars": 255}, "max_chars >= 256"),
        ({"max_tokens": 0, "tokenizer": "x"}, "max_tokens >= 1"),
        ({"max_tokens": 9}, "only with a tokenizer"),
        ({"send_token_ids": True}, "only with a tokenizer"),
        ({"on_long_response": "drop"}, "on_long_response"),
        ({"extra_body": {"input": "x"}}, "without model, input, encoding_format"),
        ({"extra_body": {"x": math.nan}}, "extra_body in JSON"),
        ({"extra_body": {"x": {1, 2}}}, "extra_body in JSON"),
        ({"extra_body": {1: 2}}, "extra_body in JSON"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"batch_items": 0}, "batch_items <= 2048"),
        ({"batch_items": 2049}, "batch_items <= 2048"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout > 0"),
        ({"timeout": math.nan}, "timeout > 0"),
        ({"attempts": 0}, "attempts"),
        ({"backoff": -1}, "backoff >= 0"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"store_dtype": "int8"}, "store_dtype"),
    ],
)
def test_impossible_options_are_refused(options, match):
    """By the constructor, before anything is sent."""
    with pytest.raises(InvalidInputError, match=match):
        OpenAICompatibleEncoder(**{"model": "toy"} | options)


def test_a_key_in_place_of_its_variables_name_is_not_shown():
    """The mistake that everybody makes once."""
    with pytest.raises(InvalidInputError) as caught:
        OpenAICompatibleEncoder("toy", api_key_env="sk-my-key")
    assert "sk-my-key" not in str(caught.value)


def test_possible_options_pass():
    """The defaults, and a chat template with token ids."""
    check_server_options(OpenAICompatibleEncoder("toy"))
    check_server_options(
        OpenAICompatibleEncoder(
            "toy",
            tokenizer="x",
            template="chat",
            send_token_ids=True,
            extra_body={"dimensions": 256, "use_activation": False},
        )
    )
