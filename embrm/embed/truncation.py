"""Fit a text into a model's token limit without ever cutting the response's end.

What goes first is the beginning of the prompt, then, when the response alone is too
long, the beginning of the response. The template's own tokens stay. Token ids are
sliced from the ids of the full text: a tokenizer may merge across the boundary of
prompt and response, so the parts tokenised apart would give other ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm.embed.template import Rendered
from embrm.exceptions import InvalidInputError, invalid_input


@dataclass(frozen=True)
class FittedTokens:
    """The token ids of one text, within the limit.

    Attributes
    ----------
    ids : ndarray of int32 of shape (n_tokens,)
        Special tokens included.
    n_prefix : int
        How many of the first ids are special tokens (BOS, CLS).
    response_start : int
        Position of the first token that belongs to the response; for an empty
        response, of the last token before it.
    last_content : int
        Position of the response's last token that is not white space.
    prompt_cut, response_cut : bool
        Whether the beginning of the prompt, of the response was dropped.
    """

    ids: NDArray[np.int32]
    n_prefix: int
    response_start: int
    last_content: int
    prompt_cut: bool = False
    response_cut: bool = False

    def __len__(self) -> int:
        return len(self.ids)


def tokenise(
    tokenizer: Any,
    texts: Sequence[Rendered],
    *,
    limit: int,
    prefix: Sequence[int] = (),
    suffix: Sequence[int] = (),
    bos: int | None = None,
) -> Iterator[FittedTokens]:
    """Tokenise texts in full, fit them into the limit and add special tokens.

    Parameters
    ----------
    tokenizer : transformers tokenizer with character offsets ("fast")
    texts : sequence of Rendered
    limit : int
        Tokens that the model takes, special tokens included.
    prefix, suffix : sequence of int
        Special tokens to put around every text.
    bos : int, optional
        Id that is removed where a text begins with it: chat templates write BOS
        themselves, and together with the prefix there would be two.

    Yields
    ------
    FittedTokens

    Raises
    ------
    InvalidInputError
        If the tokenizer gives no offsets, the limit leaves no room for a token of
        the response, or a text has no token at all.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise invalid_input(
            expected="a fast tokenizer, which reports the offsets of tokens",
            got=f"the slow tokenizer {type(tokenizer).__name__}",
            fix="use a model whose files hold a tokenizer.json",
        )
    # Offsets of a whole data set would take hundreds of bytes per token.
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = texts[start : start + _TEXTS_AT_ONCE]
        encoded = tokenizer(
            [rendered.text for rendered in part],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            truncation=False,
            padding=False,
            verbose=False,
        )
        for n, rendered in enumerate(part):
            yield fit_tokens(
                np.asarray(encoded["input_ids"][n], dtype=np.int32),
                np.asarray(encoded["offset_mapping"][n], dtype=np.int64),
                rendered,
                limit=limit,
                prefix=prefix,
                suffix=suffix,
                bos=bos,
            )


def fit_tokens(
    ids: NDArray[np.int32],
    offsets: NDArray[np.int64],
    rendered: Rendered,
    *,
    limit: int,
    prefix: Sequence[int] = (),
    suffix: Sequence[int] = (),
    bos: int | None = None,
) -> FittedTokens:
    """Fit the tokens of one full text into the limit; see `tokenise`.

    Parameters
    ----------
    ids : ndarray of int32 of shape (n_tokens,)
        Without special tokens, except those that the text itself spells out.
    offsets : ndarray of int of shape (n_tokens, 2)
        Start and end of each token in `rendered.text`, in characters.
    """
    starts, ends = offsets.reshape(-1, 2).T
    if bos is not None:
        n_written = int(np.argmin(np.append(ids == bos, False)))
        ids, starts, ends = ids[n_written:], starts[n_written:], ends[n_written:]
    n_tokens = len(ids)
    response = int(np.argmax(np.append(ends > rendered.response_start, True)))
    room = limit - len(prefix) - len(suffix)
    kept = np.ones(n_tokens, dtype=bool)
    prompt_cut = response_cut = False
    if n_tokens > room:
        prompt = _within(starts[:response], rendered.prompt_spans)
        dropped = np.append(prompt, np.arange(response, n_tokens))[: n_tokens - room]
        prompt_cut = bool(len(prompt))
        response_cut = bool(len(dropped) > len(prompt))
        kept[dropped] = False
        if kept.sum() > room or (response < n_tokens and not kept[response:].any()):
            raise _no_room(limit)
    position = np.cumsum(kept) - 1 + len(prefix)
    fitted = np.concatenate([prefix, ids[kept], suffix]).astype(np.int32)
    if len(fitted) == 0:
        raise invalid_input(
            expected="texts with at least one token",
            got="an empty prompt with an empty response",
            fix="leave such items out",
        )
    content_end = _content_end(rendered)
    before_end = np.flatnonzero(kept & (starts < content_end))
    last = int(position[before_end[-1]]) if len(before_end) else len(fitted) - 1
    surviving = np.flatnonzero(kept[response:])
    first = int(position[response + surviving[0]]) if len(surviving) else last
    return FittedTokens(
        ids=fitted,
        n_prefix=len(prefix),
        response_start=first,
        last_content=last,
        prompt_cut=prompt_cut,
        response_cut=response_cut,
    )


def check_responses_fit(
    tokens: Sequence[FittedTokens], *, limit: int, on_long_response: str
) -> None:
    """Refuse responses that alone exceed the limit, unless they may be truncated.

    Raises
    ------
    InvalidInputError
        With `on_long_response="raise"`, naming how many there are.
    """
    n_long = sum(fitted.response_cut for fitted in tokens)
    if n_long and on_long_response == "raise":
        raise invalid_input(
            expected=f"responses of at most max_tokens={limit} tokens",
            got=f"{n_long} of {len(tokens)} that are longer",
            fix="raise max_tokens, leave these items out, or pass "
            "on_long_response='truncate' to drop the beginning of the response",
        )


_TEXTS_AT_ONCE = 512


def _within(
    starts: NDArray[np.int64], spans: Sequence[tuple[int, int]]
) -> NDArray[np.intp]:
    """Return the tokens that begin within one of the spans."""
    inside = np.zeros(len(starts), dtype=bool)
    for begin, end in spans:
        inside |= (starts >= begin) & (starts < end)
    return np.flatnonzero(inside)


def _content_end(rendered: Rendered) -> int:
    """Return where the response ends, white space at its end left out."""
    end = len(rendered.text.rstrip())
    return end if end > rendered.response_start else len(rendered.text)


def _no_room(limit: int) -> InvalidInputError:
    return invalid_input(
        expected="a limit with room for the template and some of the response",
        got=f"max_tokens={limit}",
        fix="raise max_tokens",
    )
