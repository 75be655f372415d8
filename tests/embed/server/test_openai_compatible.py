"""The encoder that asks a server, against a real server."""

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from embrm.embed import Encoder, OpenAICompatibleEncoder, embed_items
from embrm.embed.cache import VectorCache
from embrm.embed.server._identity import GOLDEN_TEXTS
from embrm.embed.server.openai_compatible import check_server_options
from embrm.exceptions import (
    EmbrmError,
    FingerprintMismatchError,
    IntegrityError,
    InvalidInputError,
    TruncationWarning,
)

TEXTS = [(f"question {n % 5}", f"answer {n}") for n in range(40)]
PLAIN = [f"{prompt}\n\n{response}" for prompt, response in TEXTS]
GOLDEN = [f"{prompt}\n\n{response}" for prompt, response in GOLDEN_TEXTS]


def truth(server: Any, texts: Any = PLAIN) -> np.ndarray:
    return np.array([server.vector(text) for text in texts], dtype=np.float32)


def refuse(server, handler, body):
    handler.reply(400, {"error": {"message": "no more credit"}})


def digest_of(encoder: OpenAICompatibleEncoder) -> str:
    return encoder.fingerprint.digest


def sent(server: Any) -> list[list[Any]]:
    """What was asked since the first contact, the golden texts left out."""
    inputs = [body["input"] for body in server.requests]
    return [one for one in inputs if one != GOLDEN]


def test_it_is_an_encoder(ask):
    """It follows the protocol."""
    assert isinstance(ask(), Encoder)


def test_nothing_is_asked_before_it_is_needed(embedding_server, ask):
    """Not by the constructor, nor by describing the encoder."""
    repr(ask())
    pickle.dumps(ask())
    assert embedding_server.requests == []


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    order=st.permutations(range(len(TEXTS))),
    n=st.integers(1, len(TEXTS)),
    batch_items=st.integers(1, 50),
    concurrency=st.integers(1, 4),
    encoding_format=st.sampled_from(["base64", "float"]),
)
def test_vectors_do_not_depend_on_order_and_batches(
    embedding_server, ask, order, n, **options
):
    """Each text has its own vector, whatever it is sent with, and wherever to."""
    rows = order[:n]
    vectors = ask(**options).encode([TEXTS[row] for row in rows])
    np.testing.assert_allclose(vectors, truth(embedding_server)[rows], rtol=1e-6)


def test_vectors_come_in_the_dtype_of_the_fingerprint(ask):
    """Half precision is the default of the class."""
    for dtype in ("float16", "float32"):
        encoder = ask(store_dtype=dtype)
        assert encoder.encode(TEXTS[:2]).dtype == encoder.fingerprint.dtype == dtype


def test_no_text_has_no_vector(ask):
    """The shape is right all the same."""
    assert ask().encode([]).shape == (0, 16)


def test_one_response_of_each_prompt_goes_first(embedding_server, ask):
    """Then the rest, prompt by prompt, so that a prefix cache is warm."""
    encoder = ask(concurrency=1, batch_items=5)
    _ = encoder.fingerprint
    embedding_server.clear()
    encoder.encode(TEXTS)
    first, *rest = sent(embedding_server)
    assert sorted(text.split("\n")[0] for text in first) == [
        f"question {n}" for n in range(5)
    ]
    prompts = [text.split("\n")[0] for request in rest for text in request]
    assert prompts == [f"question {n}" for n in range(5) for _ in range(7)]


def test_no_request_is_larger_than_allowed(embedding_server, ask):
    """Servers refuse more texts than they are set up for."""
    ask(batch_items=3).encode(TEXTS)
    assert max(map(len, sent(embedding_server))) == 3


def test_requests_say_what_the_interface_asks_for(embedding_server, ask):
    """And what the caller adds."""
    ask(extra_body={"dimensions": 16}).encode(TEXTS[:1])
    asked = embedding_server.requests[-1]
    asked.pop("input")
    assert asked == {"model": "toy", "encoding_format": "base64", "dimensions": 16}


def test_messages_are_rendered_plainly(embedding_server, ask):
    """Labelled turns, as by the other encoders."""
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Why?"},
    ]
    ask().encode([(turns, "So.")])
    expected = "User: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant: So."
    assert [expected] in sent(embedding_server)


def test_batches_are_reported(embedding_server, ask):
    """With the server's count of tokens, here characters."""
    reports: list[Any] = []
    texts = [*TEXTS, ("x" * 300, "short"), ("x", "y" * 300)]
    ask(max_chars=256).encode(texts, on_batch=reports.append)
    sums = [sum(vars(report)[name] for report in reports) for name in vars(reports[0])]
    assert sums == [42, len("".join(PLAIN)) + 2 * 256, 2, 1]


def test_the_response_is_what_is_kept(embedding_server, ask):
    """The server never gets the chance to cut it."""
    ask(max_chars=256).encode([("one two " * 99, "and the end")])
    (content,) = sent(embedding_server)[-1]
    assert content.endswith("one two \n\nand the end")
    assert len(content) == 256


def test_long_responses_are_refused_on_request(embedding_server, ask):
    """Before any of the texts is sent."""
    encoder = ask(max_chars=256, on_long_response="raise")
    _ = encoder.fingerprint
    embedding_server.clear()
    with pytest.raises(InvalidInputError, match="at most 256 characters; got 1 of 2"):
        encoder.encode([TEXTS[0], ("Why?", "y" * 300)])
    assert embedding_server.requests == []


def test_token_ids_are_sent_on_request(embedding_server, ask, minilm):
    """With the special tokens, within the limit."""
    directory = str(minilm.files.directory)
    options = {"tokenizer": directory, "max_tokens": 64, "send_token_ids": True}
    ask(**options).encode([("Why?", "So."), ("one two three " * 99, "So.")])
    contents = [ids for body in embedding_server.requests for ids in body["input"]]
    tokenizer = minilm._loaded.tokenizer
    assert tokenizer("Why?\n\nSo.")["input_ids"] in contents
    assert max(map(len, contents)) == 64


def test_tokens_are_counted_exactly_with_a_tokenizer(ask, minilm):
    """Not by what the server says."""
    reports: list[Any] = []
    encoder = ask(tokenizer=str(minilm.files.directory), max_tokens=64)
    encoder.encode([("Why?", "So.")], on_batch=reports.append)
    assert [report.n_tokens for report in reports] == [6]
    assert encoder.fingerprint.fields["max_tokens"] == 64


def test_the_fingerprint_says_who_it_is(ask):
    """Everything that decides the numbers, and nothing of where the server is."""
    fingerprint = ask().fingerprint
    expected = {
        "kind": "openai-compatible",
        "model": "toy",
        "server_model": "toy",
        "normalised": True,
        "template": {"id": "plain"},
        "max_chars": 8192,
    }
    assert {name: fingerprint.fields[name] for name in expected} == expected
    assert fingerprint.dim == 16
    assert "127.0.0.1" not in json.dumps(fingerprint.to_json())


@pytest.mark.parametrize(
    "changed",
    [
        {"max_chars": 4096},
        {"extra_body": {"dimensions": 16}},
        {"store_dtype": "float16"},
    ],
)
def test_options_that_change_numbers_change_the_fingerprint(ask, changed):
    """Their vectors never share a store, and are not recognised."""
    one, other = ask(), ask(**changed)
    assert one.fingerprint.digest != other.fingerprint.digest
    assert not other.recognise([one.fingerprint])


@pytest.mark.parametrize(
    "changed",
    [
        {"batch_items": 3},
        {"concurrency": 2},
        {"timeout": 3.0},
        {"attempts": 2},
        {"encoding_format": "float"},
        {"api_key_env": "OTHER"},
        {"on_long_response": "raise"},
    ],
)
def test_options_that_change_no_number_keep_the_fingerprint(ask, changed):
    """The cache is used again."""
    assert ask().fingerprint.digest == ask(**changed).fingerprint.digest


def test_the_address_is_not_in_the_fingerprint(embedding_server, ask):
    """The same model under another one keeps its vectors."""
    url = embedding_server.url.replace("127.0.0.1", "localhost") + "/embeddings"
    moved = OpenAICompatibleEncoder("toy", url, store_dtype="float32")
    assert moved.fingerprint.digest == ask().fingerprint.digest


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 1), ("scale", 20.0), ("model", "better"), ("dim", 24)]
)
def test_another_model_behind_the_address_is_another_encoder(
    embedding_server, ask, name, value
):
    """Other weights or pooling, another scale, name or length."""
    one = ask().fingerprint
    setattr(embedding_server, name, value)
    other = ask()
    assert other.fingerprint.digest != one.digest
    assert not other.recognise([one])


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 6.5e-3])
def test_noise_does_not_make_another_encoder(embedding_server, ask, noise):
    """What a server in bfloat16 does to its vectors is tolerated."""
    embedding_server.noise = noise
    one, other = ask(), ask()
    assert other.recognise([one.fingerprint])
    assert other.fingerprint == one.fingerprint


def test_the_first_of_several_that_fit_is_taken(embedding_server, ask):
    """So that all who see the same stores choose the same."""
    embedding_server.noise = 6e-3
    known = [ask().fingerprint for _ in range(3)]
    encoder = ask()
    assert encoder.recognise(known[::-1])
    assert encoder.fingerprint.digest == min(one.digest for one in known)


def test_a_fingerprint_that_is_known_is_kept(embedding_server, ask):
    """Stores that others add in mid-run do not turn an encoder's head."""
    embedding_server.noise = 6e-3
    first, last = sorted((ask() for _ in range(2)), key=digest_of)
    assert last.recognise(one.fingerprint for one in (first, last))
    assert digest_of(last) != digest_of(first)


def test_a_second_run_finds_its_vectors_in_the_cache(embedding_server, ask, tmp_path):
    """Under noise, and with stores of others beside."""
    embedding_server.noise = 1e-3
    cache = VectorCache(tmp_path)
    embed_items(TEXTS, ask(max_chars=4096), cache)
    first = embed_items(TEXTS, ask(), cache)
    second = embed_items(TEXTS, ask(), cache)
    assert second.n_hits == len(TEXTS)
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_a_server_that_becomes_another_is_noticed(embedding_server, ask):
    """The golden texts are in every call, so that vectors never mix."""
    encoder = ask()
    encoder.encode(TEXTS)
    embedding_server.seed = 1
    with pytest.raises(FingerprintMismatchError, match=r"other vectors.*make a new"):
        encoder.encode(TEXTS)


def test_a_server_that_cuts_the_ends_is_refused(embedding_server, ask):
    """In silence, chosen and rejected would be the same."""
    embedding_server.reads_chars = 1000
    with pytest.raises(InvalidInputError, match="two texts of max_chars=8192 with oth"):
        _ = ask().fingerprint
    assert ask(max_chars=1000).encode(TEXTS).shape == (40, 16)


def test_the_ends_are_checked_with_a_tokenizer_too(embedding_server, ask, minilm):
    """At max_tokens, whatever the texts' ends are in tokens."""
    embedding_server.reads_chars = 200
    encoder = ask(tokenizer=str(minilm.files.directory), max_tokens=256)
    with pytest.raises(InvalidInputError, match="two texts of max_tokens=256 with"):
        _ = encoder.fingerprint


def test_a_failure_loses_nothing_that_was_committed(embedding_server, ask, tmp_path):
    """The next run asks for the rest alone."""
    encoder = ask(concurrency=1, batch_items=8)
    _ = encoder.fingerprint
    calls = iter(range(100))

    def run_dry(server, handler, body):
        if next(calls) < 7:
            handler.reply(200, server.answer(body))
        else:
            refuse(server, handler, body)

    embedding_server.behaviours.extend([run_dry] * 100)
    with pytest.raises(EmbrmError, match="status 400: no more credit"):
        embed_items(TEXTS, encoder, tmp_path, commit_items=8)
    embedding_server.behaviours.clear()
    done = embed_items(TEXTS, encoder, tmp_path)
    assert done.n_hits == 16
    np.testing.assert_allclose(done.vectors, truth(embedding_server), rtol=1e-6)


def test_truncation_is_told_by_a_run(ask):
    """With the share of prompts."""
    with pytest.warns(TruncationWarning, match="1 of 2 prompts"):
        embed_items([TEXTS[0], ("x" * 300, "y")], ask(max_chars=256))


def test_vectors_that_float16_cannot_hold_are_refused(embedding_server, ask):
    """With the dtype that can as the fix."""
    embedding_server.scale = 1e6
    with pytest.raises(InvalidInputError, match="store_dtype='float32'"):
        ask(store_dtype="float16").encode(TEXTS)


def test_another_length_in_mid_run_is_refused(embedding_server, ask):
    """The store has one length."""
    encoder = ask()
    _ = encoder.fingerprint
    embedding_server.dim = 8
    with pytest.raises(IntegrityError, match=r"vectors of length 16.*got length 8"):
        encoder.encode(TEXTS)


def test_a_pickled_encoder_takes_along_whom_it_met(embedding_server, ask):
    """All processes of a run agree, noise or not, and ask no second time."""
    embedding_server.noise = 6e-3
    known, encoder = ask().fingerprint, ask()
    encoder.recognise([known])
    embedding_server.clear()
    other = pickle.loads(pickle.dumps(encoder))
    assert other.fingerprint.digest == known.digest
    assert embedding_server.requests == []
    assert other == encoder


def test_the_key_is_kept_nowhere(embedding_server, ask, monkeypatch):
    """Not in the encoder, its pickle, or its fingerprint; it is sent, that is all."""
    monkeypatch.setenv("MY_KEY", "sk-secret")
    encoder = ask(api_key_env="MY_KEY")
    encoder.encode(TEXTS[:1])
    assert set(embedding_server.keys) == {"Bearer sk-secret"}
    kept = f"{vars(encoder)} {encoder!r} {encoder.fingerprint.to_json()}"
    assert "sk-secret" not in kept
    assert b"sk-secret" not in pickle.dumps(encoder)


def test_it_stays_one_object_when_it_is_cloned(ask):
    """Estimators that hold it clone their parameters."""
    encoder = ask()
    assert clone(encoder) is encoder


def test_encoders_with_equal_options_are_equal(ask):
    """And may be keys."""
    one, other = ask(extra_body={"a": 1}), ask(extra_body={"a": 1})
    assert one == other
    assert hash(one) == hash(other)


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
