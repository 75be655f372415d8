"""A causal language model's likelihood of responses, as the base policy of a pool."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm._typing import FloatArray, Prompt, Text
from embrm._validation import check_count
from embrm.exceptions import invalid_input
from embrm.messages import as_messages, prompt_text


def response_logprob(
    texts: Sequence[Text],
    model: Any,
    tokenizer: Any,
    *,
    batch_items: int = 8,
    with_end: bool = True,
) -> FloatArray:
    r"""Compute :math:`\log \pi_0(y \mid x)`, summed over the tokens of each response.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    model : transformers model with a language-model head
        In evaluation mode, on any device.
    tokenizer : transformers tokenizer
        Its chat template writes the prompt, where it has one.
    batch_items : int >= 1, default=8
    with_end : bool, default=True
        Whether the token that ends the response counts, as in sampling; without it,
        a response is as likely as all that begin with it together.

    Returns
    -------
    ndarray of shape (n_items,), in nats, <= 0
        `base_logprob` of every function here; the policy's own log-probabilities, by
        the same function, give `implicit_reward`.

    Raises
    ------
    InvalidInputError
        If prompt and response have more tokens than the model has positions, or the
        tokenizer has no token for the end and `with_end` is True.

    Examples
    --------
    A model of random weights, whose words are tokens:

    >>> import transformers
    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> words = Tokenizer(models.WordLevel({"<eos>": 0, "<unk>": 1, "red": 2}, "<unk>"))
    >>> words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    >>> tokenizer = transformers.PreTrainedTokenizerFast(
    ...     tokenizer_object=words, eos_token="<eos>", unk_token="<unk>"
    ... )
    >>> config = transformers.GPT2Config(
    ...     vocab_size=3, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0
    ... )
    >>> model = transformers.GPT2LMHeadModel(config).eval()
    >>> long, short = response_logprob(
    ...     [("a colour", "red red red"), ("a colour", "red")], model, tokenizer
    ... )
    >>> bool(long < short < 0)
    True
    """
    torch = import_optional("torch", extra="embed")
    check_count(batch_items, "batch_items")
    end = [tokenizer.eos_token_id] if with_end else []
    if end == [None]:
        raise invalid_input(
            "a tokenizer with a token for the end", "one without", "with_end=False"
        )
    tokens = [_tokens(prompt, response, tokenizer) for prompt, response in texts]
    longest = getattr(model.config, "max_position_embeddings", None) or 2**31
    # Alike lengths together: little padding.
    order = np.argsort([len(asked) + len(said) for asked, said in tokens])
    sums = np.zeros(len(texts))
    for start in range(0, len(order), batch_items):
        rows = order[start : start + batch_items]
        batch = [(tokens[n][0], tokens[n][1] + end) for n in rows]
        width = max(len(asked) + len(said) for asked, said in batch)
        if width > longest:
            raise invalid_input(
                f"at most {longest} tokens", f"{width}", "leave out the longest texts"
            )
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (asked, said) in enumerate(batch):
            length = len(asked) + len(said)
            ids[row, :length] = torch.tensor(asked + said)
            mask[row, :length] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask).logits.float()
            logprob = logits.log_softmax(dim=-1)[:, :-1]
            each = logprob.gather(2, ids[:, 1:, None])[:, :, 0].cpu().double().numpy()
        for row, (asked, said) in enumerate(batch):
            first = len(asked) - 1
            sums[rows[row]] = each[row, first : first + len(said)].sum()
    return sums


def _tokens(
    prompt: Prompt, response: str, tokenizer: Any
) -> tuple[list[int], list[int]]:
    """Write prompt and response as tokens; the prompt has one at least."""
    if getattr(tokenizer, "chat_template", None):
        written = tokenizer.apply_chat_template(
            list(as_messages(prompt)), tokenize=False, add_generation_prompt=True
        )
        asked = tokenizer(written, add_special_tokens=False)["input_ids"]
    else:
        asked = tokenizer(prompt_text(prompt) + "\n\n")["input_ids"]
    said = tokenizer(response, add_special_tokens=False)["input_ids"]
    start = tokenizer.bos_token_id
    return (asked or [0 if start is None else start]), said
