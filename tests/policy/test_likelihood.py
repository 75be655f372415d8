"""Likelihoods of responses under a language model, against one pass for each token."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from embrm.exceptions import InvalidInputError
from embrm.policy import response_logprob, tilted_policy

SPECIAL = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
WORDS = [
    *SPECIAL.values(),
    *("user", "assistant", "red", "green", "blue", "what", "colour", "is", "it"),
]
TEXTS = [
    ("what colour is it", "red"),
    ("what colour is it", "green blue red"),
    ([{"role": "user", "content": "is it blue"}], "it is"),
    ("blue", "what is it what is it"),
]


@pytest.fixture(scope="module")
def tokenizer():
    """Words are tokens."""
    numbered = {word: n for n, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(numbered, SPECIAL["unk_token"]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL)


@pytest.fixture(scope="module")
def model():
    """A tiny Llama with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config).eval()


def one_by_one(asked, said, model):
    """Add the log-probability of each next token, a pass for each."""
    total, context = 0.0, list(asked)
    for token in said:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([context])).logits[0, -1]
        total += float(logits.double().log_softmax(-1)[token])
        context.append(token)
    return total


@pytest.mark.parametrize("with_end", [True, False])
@pytest.mark.parametrize("batch_items", [1, 3])
def test_sums_are_those_of_one_token_at_a_time(model, tokenizer, with_end, batch_items):
    """Whatever the batch: padding changes nothing."""
    found = response_logprob(
        TEXTS, model, tokenizer, batch_items=batch_items, with_end=with_end
    )
    for (prompt, response), value in zip(TEXTS, found, strict=True):
        words = prompt if isinstance(prompt, str) else prompt[0]["content"]
        asked, said = (tokenizer(t)["input_ids"] for t in (words, response))
        expected = one_by_one(asked, said + [1] * with_end, model)
        assert value == pytest.approx(expected, abs=1e-5)


def test_a_chat_template_writes_the_prompt(model, tokenizer):
    """With the turn of the assistant begun."""
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}"
    )
    found = response_logprob([("is it blue", "red")], model, tokenizer)
    tokenizer.chat_template = None
    asked = tokenizer("user is it blue assistant")["input_ids"]
    expected = one_by_one(asked, [WORDS.index("red"), 1], model)
    assert found[0] == pytest.approx(expected, abs=1e-5)


def test_a_pool_is_tilted_from_the_model(model, tokenizer):
    """Without reward, responses keep their relative likelihoods."""
    texts = [("what colour is it", colour) for colour in ("red", "green", "blue")]
    base = response_logprob(texts, model, tokenizer)
    policy = tilted_policy(np.zeros(3), ["a"] * 3, base_logprob=base)
    assert np.allclose(np.diff(policy), np.diff(base))


def test_texts_that_are_too_long_are_refused(model, tokenizer):
    """Rather than cut, which would change what is measured."""
    with pytest.raises(InvalidInputError, match="at most 24 tokens"):
        response_logprob([("is it", "red " * 40)], model, tokenizer)
