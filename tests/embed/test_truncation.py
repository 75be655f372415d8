"""Truncation: the response's end stays, whatever goes."""

from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.template import Rendered, render_plain
from embrm.embed.truncation import check_responses_fit, fit_tokens, tokenise
from embrm.exceptions import InvalidInputError

BOS, EOS = 101, 102


def characters(rendered: Rendered) -> tuple[np.ndarray, np.ndarray]:
    """Tokenise character by character: ids are code points."""
    ids = np.array([ord(c) for c in rendered.text], dtype=np.int32)
    starts = np.arange(len(ids))
    return ids, np.column_stack([starts, starts + 1])


def fit(rendered: Rendered, **options: Any) -> Any:
    """Fit a text whose tokens are its characters."""
    return fit_tokens(*characters(rendered), rendered, **options)


def text_of(fitted: Any) -> str:
    """Read the ids of characters back."""
    return "".join(map(chr, fitted.ids))


def test_a_text_within_the_limit_is_left_alone():
    """Nothing is dropped where everything fits."""
    fitted = fit(render_plain("Why?", "So."), limit=9)
    assert (text_of(fitted), fitted.prompt_cut) == ("Why?\n\nSo.", False)


def test_the_beginning_of_the_prompt_goes_first():
    """One token too many costs the prompt's first."""
    fitted = fit(render_plain("Why?", "So."), limit=7)
    assert (text_of(fitted), fitted.prompt_cut) == ("y?\n\nSo.", True)


def test_a_cut_prompt_is_not_a_cut_response():
    """The two are counted apart."""
    assert not fit(render_plain("Why?", "So."), limit=3).response_cut


def test_a_response_beyond_the_limit_loses_its_beginning():
    """The response's end is what is left."""
    fitted = fit(render_plain("Why?", "Because."), limit=4)
    assert (text_of(fitted), fitted.response_cut) == ("use.", True)


def test_a_long_response_without_prompt_cuts_no_prompt():
    """What is not there is not counted as cut."""
    fitted = fit(render_plain("", "Because."), limit=4)
    assert (fitted.prompt_cut, fitted.response_cut) == (False, True)


def test_special_tokens_stand_around_the_kept_text_within_the_limit():
    """They count towards the limit and are never dropped."""
    rendered = render_plain("Why?", "So.")
    fitted = fit(rendered, limit=7, prefix=[BOS], suffix=[EOS])
    assert fitted.ids.tolist() == [BOS, *map(ord, "\n\nSo."), EOS]


@pytest.mark.parametrize("n_written", [0, 1, 2])
def test_there_is_exactly_one_bos_however_many_the_template_wrote(n_written):
    """Trap: template and tokenizer both add BOS, or neither does."""
    text = chr(BOS) * n_written + "p\n\nr"
    rendered = Rendered(text, n_written + 3, ((n_written, n_written + 3),))
    fitted = fit(rendered, limit=9, prefix=[BOS], bos=BOS)
    assert fitted.ids.tolist() == [BOS, *map(ord, "p\n\nr")]


def test_what_the_template_wrote_is_kept():
    """Only contents are dropped, the earliest first."""
    rendered = Rendered("[u]one[a]two[u]three[a]end", 23, ((3, 6), (9, 12), (15, 20)))
    assert text_of(fit(rendered, limit=22)) == "[u][a]wo[u]three[a]end"


def test_a_token_across_the_boundary_belongs_to_the_response():
    """Trap: tokenizers merge across prompt and response; ids are sliced, not split."""
    rendered = Rendered("ab cd", 3, ((0, 3),))
    ids = np.array([1, 2, 3], dtype=np.int32)
    offsets = np.array([[0, 1], [1, 4], [4, 5]])
    fitted = fit_tokens(ids, offsets, rendered, limit=2)
    assert (fitted.ids.tolist(), fitted.response_cut) == ([2, 3], False)


@pytest.mark.parametrize(
    ("response", "last"), [("So.", 8), ("So.\n\n", 8), ("So. ", 8), (" \n", 7)]
)
def test_last_content_is_the_last_token_that_is_not_white_space(response, last):
    """Trailing white space is fed to the model but not pooled at."""
    assert fit(render_plain("Why?", response), limit=99).last_content == last


def test_an_empty_response_is_pooled_at_the_last_token_before_it():
    """There is always a position to take."""
    fitted = fit(render_plain("Why?", ""), limit=99, prefix=[BOS])
    assert fitted.last_content == fitted.response_start == 6


def test_the_response_starts_where_its_first_kept_token_is():
    """Positions count the special tokens in front and the dropped ones."""
    fitted = fit(render_plain("Why?", "So."), limit=6, prefix=[BOS])
    assert fitted.response_start == 3


def test_a_limit_without_room_for_the_response_is_refused():
    """A template alone is no text."""
    rendered = Rendered("[u]p[a]r", 7, ((3, 4),))
    with pytest.raises(InvalidInputError, match="max_tokens=6"):
        fit(rendered, limit=6)


def test_a_template_beyond_the_limit_is_refused_with_an_empty_response():
    """What is kept must fit even where there is no response to cut."""
    rendered = Rendered("[u]p[a]", 7, ((3, 4),))
    with pytest.raises(InvalidInputError, match="room for the template"):
        fit(rendered, limit=5)


def test_a_text_without_a_token_is_refused():
    """A model without special tokens has nothing to embed then."""
    with pytest.raises(InvalidInputError, match="at least one token"):
        fit(render_plain("", ""), limit=9)


@settings(max_examples=100)
@given(
    prompt=st.text("ab \n", max_size=20),
    response=st.text("cd \n", max_size=20),
    limit=st.integers(3, 30),
)
def test_whatever_is_dropped_the_kept_text_is_an_end_of_the_text(
    prompt, response, limit
):
    """Plain texts keep their end, at most `limit` tokens, and all that fits."""
    rendered = render_plain(prompt, response)
    fitted = fit(rendered, limit=limit, prefix=[BOS])
    kept = text_of(fitted)[1:]
    assert rendered.text.endswith(kept)
    assert len(kept) == min(len(rendered.text), limit - 1)


@settings(max_examples=100)
@given(
    prompt=st.text("ab \n", max_size=20),
    response=st.text("cd \n", max_size=20),
    limit=st.integers(3, 30),
)
def test_flags_say_which_part_was_cut(prompt, response, limit):
    """The response is cut exactly when it exceeds the limit by itself."""
    rendered = render_plain(prompt, response)
    fitted = fit(rendered, limit=limit, prefix=[BOS])
    is_long = len(rendered.text) > limit - 1
    assert fitted.response_cut == (len(response) > limit - 1)
    assert fitted.prompt_cut == (is_long and rendered.response_start > 0)


def test_long_responses_are_refused_with_their_number_and_the_limit():
    """The error says how many there are of how many."""
    tokens = [fit(render_plain("p", r), limit=4) for r in ("So.", "too long")]
    with pytest.raises(InvalidInputError, match="max_tokens=4 tokens; got 1 of 2"):
        check_responses_fit(tokens, limit=4, on_long_response="raise")


def test_long_responses_may_be_truncated():
    """On request nothing is raised."""
    tokens = [fit(render_plain("p", "too long"), limit=4)]
    check_responses_fit(tokens, limit=4, on_long_response="truncate")


def test_a_tokenizer_without_offsets_is_refused():
    """Without offsets nobody knows where the response begins."""

    class Slow:
        is_fast = False

    with pytest.raises(InvalidInputError, match="slow tokenizer Slow"):
        list(tokenise(Slow(), [render_plain("p", "r")], limit=9))


def test_ids_are_those_of_the_full_text(tiny_models):
    """Trap: prompt and response tokenised apart may give other ids."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tiny_models["llama"]))
    rendered = render_plain("Hello! How can I help", "you today?")
    (fitted,) = tokenise(tokenizer, [rendered], limit=99)
    whole = tokenizer(rendered.text, add_special_tokens=False)["input_ids"]
    assert fitted.ids.tolist() == whole


def test_many_texts_keep_their_order(tiny_models):
    """Texts are tokenised in parts, which must not show."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tiny_models["llama"]))
    rendered = [render_plain("", str(n)) for n in range(1100)]
    texts = [tokenizer.decode(t.ids) for t in tokenise(tokenizer, rendered, limit=9)]
    assert texts == [str(n) for n in range(1100)]
