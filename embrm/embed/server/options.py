"""Which options an encoder that asks a server may have."""

import json
from typing import Any

from embrm.embed.server.refusals import endpoint
from embrm.exceptions import InvalidInputError, three_parts

RESERVED = ("model", "input", "encoding_format")
"""Fields of a request that `extra_body` must not set."""


def check_server_options(options: Any) -> None:
    """Check the options of an `OpenAICompatibleEncoder`.

    Parameters
    ----------
    options : OpenAICompatibleEncoder
        The key's variable is looked at, not the key.

    Raises
    ------
    InvalidInputError
        With the first rule that does not hold; values are not shown.
    """
    endpoint(options.url)
    by_ids = options.tokenizer is not None and options.send_token_ids
    rules = {
        "model, a name": bool(options.model),
        "api_key_env, the name of a variable": options.api_key_env.isidentifier(),
        "template 'plain', or 'chat' with tokenizer and send_token_ids": (
            options.template == "plain" or (options.template == "chat" and by_ids)
        ),
        f"max_chars >= {_FEWEST_CHARS}": options.max_chars >= _FEWEST_CHARS,
        "max_tokens >= 1, and only with a tokenizer": options.max_tokens is None
        or (options.max_tokens >= 1 and options.tokenizer is not None),
        "send_token_ids only with a tokenizer": by_ids or not options.send_token_ids,
        "on_long_response 'truncate' or 'raise'": options.on_long_response
        in ("truncate", "raise"),
        f"extra_body in JSON and without {', '.join(RESERVED)}": _is_extra(
            options.extra_body
        ),
        "encoding_format 'base64' or 'float'": options.encoding_format
        in ("base64", "float"),
        "1 <= batch_items <= 2048": 1 <= options.batch_items <= 2048,
        "1 <= concurrency <= 256": 1 <= options.concurrency <= 256,
        "timeout > 0": options.timeout > 0,
        "1 <= attempts <= 100": 1 <= options.attempts <= 100,
        "backoff >= 0": options.backoff >= 0,
        "max_body_bytes >= 1": options.max_body_bytes >= 1,
        "store_dtype 'float16' or 'float32'": options.store_dtype
        in ("float16", "float32"),
    }
    wrong = [rule for rule, holds in rules.items() if not holds]
    if wrong:
        raise InvalidInputError(
            three_parts(
                expected=wrong[0],
                got="something else",
                cure="see the parameters of OpenAICompatibleEncoder",
            )
        )


# The texts that probe whether a server reads to the end have to fit.
_FEWEST_CHARS = 256


def _is_extra(body: Any) -> bool:
    """Say whether this can be more fields of a request."""
    try:
        text = json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return bool(json.loads(text) == body) and set(RESERVED).isdisjoint(body)
