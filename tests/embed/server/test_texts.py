"""What a server is sent for a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from embrm.embed import CausalLMEncoder
from embrm.embed.server._texts import TokenFitter, fit_chars
from embrm.exceptions import InvalidInputError

LONG = ("one two three " * 60, "It is the response's end that counts.")


@settings(max_examples=200)
@given(st.text(max_size=60), st.text(max_size=60), st.integers(1, 80))
def test_the_end_is_kept_within_the_budget(prompt, response, limit):
    """Bytes of UTF-8 count, and no character is cut in two."""
    whole = (f"{prompt}\n\n{response}" if prompt else response).encode(
        "utf-8", "replace"
    )
    if not whole:
        return
    (fitted,) = fit_chars([(prompt, response)], limit)
    kept = fitted.content.encode()
    assert whole.endswith(kept)
    assert len(kept) <= limit
    assert len(kept) > min(limit, len(whole)) - 4


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (("Why?", "Because."), (False, False)),
        (("x" * 50, "Because."), (True, False)),
        (("x", "y" * 51), (True, True)),
        (("", "y" * 51), (False, True)),
        (("x" * 38, "y" * 10), (False, False)),
        (("x" * 39, "y" * 10), (True, False)),
        (("x" * 38, "y" * 50), (True, False)),
        (("x" * 38, "y" * 51), (True, True)),
        (("\u00e4" * 19, "y" * 10), (False, False)),
        (("\u00e4" * 20, "y" * 10), (True, False)),
    ],
)
def test_cuts_are_told(text, cut):
    """Of the prompt and of the response, at a budget of 50."""
    (fitted,) = fit_chars([text], 50)
    assert (fitted.prompt_cut, fitted.response_cut) == cut


def test_texts_with_one_prompt_share_what_is_before():
    """Messages and their text alike."""
    texts = [("Why?", "a"), ([{"role": "user", "content": "Why?"}], "b"), ("How?", "a")]
    before = [one.before for one in fit_chars(texts, 99)]
    assert before == ["Why?\n\n", "Why?\n\n", "How?\n\n"]


def test_empty_texts_are_refused():
    """Servers refuse them, too, but with a whole request."""
    with pytest.raises(InvalidInputError, match="at least one character"):
        fit_chars([("", "")], 99)


def test_malformed_texts_are_refused():
    """As by all encoders."""
    with pytest.raises(InvalidInputError, match="a str response"):
        fit_chars([("a", None)], 99)


@pytest.fixture(scope="module")
def fitter(tiny_models):
    """Make a fitter with the tiny Llama's tokenizer, which adds no special token."""

    def make(template="plain", sends_ids=False, model="llama"):
        return TokenFitter(str(tiny_models[model]), None, template, sends_ids)

    return make


@settings(max_examples=60)
@given(st.text(max_size=80), st.text(max_size=40), st.integers(4, 40))
def test_text_is_cut_to_at_most_the_limit(fitter, prompt, response, limit):
    """Counted again after the cut, and only as much as needed is dropped."""
    made = fitter()
    if not prompt and not response:
        return
    (fitted,) = made.fit([(prompt, response)], limit)
    whole = f"{prompt}\n\n{response}" if prompt else response
    whole = whole.encode("utf-8", "replace").decode()
    assert whole.endswith(fitted.content)
    assert fitted.n_tokens == len(made._loaded(fitted.content)["input_ids"]) <= limit
    assert fitted.content


def test_short_text_is_sent_as_it_is(fitter):
    """With its tokens counted."""
    (fitted,) = fitter().fit([("Why is the sky blue?", "Because.")], 100)
    assert fitted.content == "Why is the sky blue?\n\nBecause."
    assert fitted.n_tokens > 3
    assert (fitted.prompt_cut, fitted.response_cut) == (False, False)


@pytest.mark.parametrize("sends_ids", [False, True])
def test_the_response_is_kept_whole(fitter, sends_ids):
    """As text and as ids."""
    made = fitter(sends_ids=sends_ids)
    (fitted,) = made.fit([LONG], 60)
    sent = fitted.content if not sends_ids else made._loaded.decode(fitted.content)
    assert sent.endswith(LONG[1])
    assert fitted.prompt_cut
    assert not fitted.response_cut
    assert 55 < fitted.n_tokens <= 60


@pytest.mark.parametrize("sends_ids", [False, True])
def test_a_long_response_loses_its_beginning(fitter, sends_ids):
    """And that is told."""
    (fitted,) = fitter(sends_ids=sends_ids).fit([("a", "one two three " * 60)], 20)
    assert fitted.prompt_cut
    assert fitted.response_cut


def test_special_tokens_are_counted_and_left_to_the_server(minilm):
    """MiniLM puts one at each end: text for 8 tokens has 6 of its own."""
    made = TokenFitter(str(minilm.files.directory), None, "plain", sends_ids=False)
    (fitted,) = made.fit([LONG], 8)
    assert len(made._loaded(fitted.content)["input_ids"]) == fitted.n_tokens == 8


def test_ids_hold_the_special_tokens(minilm):
    """A server takes ids as they are."""
    made = TokenFitter(str(minilm.files.directory), None, "plain", sends_ids=True)
    (fitted,) = made.fit([("Why?", "So.")], 50)
    assert fitted.content == made._loaded("Why?\n\nSo.")["input_ids"]


def test_chat_ids_are_those_of_the_causal_encoder(fitter, tiny_models):
    """Exactly one BOS, and the model's own template."""
    local = CausalLMEncoder(str(tiny_models["llama"]), template="chat")
    texts = [("Why is the sky blue?", "Because."), LONG]
    expected = [one.ids.tolist() for one in local._tokens(texts)]
    fitted = fitter("chat", sends_ids=True).fit(texts, local._limit)
    assert [one.content for one in fitted] == expected


def test_no_chat_template_is_an_error(fitter):
    """With the other template as the fix."""
    with pytest.raises(InvalidInputError, match="template='plain'"):
        fitter("chat", sends_ids=True, model="gpt2").fit([("a", "b")], 50)


def test_the_limit_is_the_tokenizers_own_unless_given(minilm):
    """512 for MiniLM's tokenizer."""
    directory = minilm.files.directory
    made = TokenFitter(str(directory), None, "plain", sends_ids=False)
    own = AutoTokenizer.from_pretrained(directory).model_max_length
    assert made.limit(None) == own
    assert made.limit(9) == 9


def test_a_limit_that_nobody_knows_is_asked_for(fitter):
    """The tiny tokenizer does not say one."""
    with pytest.raises(InvalidInputError, match="pass the tokens that the server's"):
        fitter().limit(None)


@pytest.mark.parametrize("sends_ids", [False, True])
def test_a_limit_without_room_is_refused(minilm, sends_ids):
    """Two special tokens fill it."""
    made = TokenFitter(str(minilm.files.directory), None, "plain", sends_ids)
    with pytest.raises(InvalidInputError, match="raise max_tokens"):
        made.fit([LONG], 2)


def test_a_limit_below_one_character_is_refused(fitter):
    """An emoji is four tokens here."""
    with pytest.raises(InvalidInputError, match="raise max_tokens"):
        fitter().fit([("", "\U0001f600")], 3)


def test_an_empty_text_has_no_tokens(fitter):
    """It is refused here."""
    with pytest.raises(InvalidInputError, match="at least one character"):
        fitter().fit([("", "")], 50)


def test_a_tokenizer_that_cannot_be_fetched_is_an_error(monkeypatch):
    """Without the hub, a directory is the fix."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    made = TokenFitter("nobody/nothing", None, "plain", sends_ids=False)
    with pytest.raises(InvalidInputError, match="pass a directory with the tokenizer"):
        made.fit([("a", "b")], 50)


def test_a_tokenizer_of_the_hub_is_fetched_without_weights(monkeypatch, tiny_models):
    """Only its own files, at the revision asked for."""
    asked = {}

    def fetch(repository, **options):
        asked.update(options, repository=repository)
        return str(tiny_models["llama"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    made = TokenFitter("owner/name", "main", "plain", sends_ids=False)
    assert made.fit([("a", "b")], 50)[0].content == "a\n\nb"
    assert (asked["repository"], asked["revision"]) == ("owner/name", "main")
    assert not any("safetensors" in pattern for pattern in asked["allow_patterns"])


def test_the_fields_say_what_decides_the_tokens(fitter):
    """Tokenizer, template, and who adds special tokens."""
    plain, chat = fitter().fields(), fitter("chat", sends_ids=True).fields()
    assert plain["template"] == {"id": "plain"}
    assert set(chat["template"]) == {"id", "sha256"}
    assert plain["tokenizer_sha256"] == chat["tokenizer_sha256"]
    assert plain["sends_token_ids"] is False
