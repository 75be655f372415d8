r"""Texts to which a chat template was applied, split back into prompt and response.

Trainers send what their tokenizer decoded: `<|im_start|>user\nHi<|im_end|>...`. A head
was fitted on the texts themselves. What the policy wrote cannot move the boundary where
the prompt is sent as well: markers that it writes stay part of its response.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from embrm._typing import Message, Text

Template = Literal["auto", "chatml", "qwen", "llama3", "gemma", "mistral", "none"]
Turns = list[Message]

_SPECIAL = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
    *("<|finetune_right_pad_id|>", "<end_of_turn>", "<eos>", "<pad>", "</s>"),
    *("[PAD]", "<unk>"),
)
_BEFORE = ("<|begin_of_text|>", "<bos>", "<s>", "<|endoftext|>", "<pad>", "[PAD]")
_AT_START = re.compile(rf"\A(?:{'|'.join(map(re.escape, _BEFORE))})+")
_ROLES = {"model": "assistant", "ai": "assistant", "human": "user"}


def split_text(
    text: str, template: Template = "auto", *, prompt: str | None = None
) -> Text | None:
    r"""Split a templated text into prompt and response.

    Parameters
    ----------
    text : str
        With special tokens, up to and with the response.
    template : {"auto", "chatml", "qwen", "llama3", "gemma", "mistral", "none"}
        "auto" looks for the markers of each; "none" splits at `prompt` only.
    prompt : str, optional
        What the text begins with, in the same form. What follows is the response.

    Returns
    -------
    (prompt, response) or None
        None where no template is recognised and the text does not begin with a prompt.

    Examples
    --------
    >>> text = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>"
    >>> split_text(text)
    ([{'role': 'user', 'content': 'Hi'}], 'Hello')
    >>> split_text("Q: 2+2? A: 4</s>", prompt="Q: 2+2? A:")
    ('Q: 2+2? A:', ' 4')
    >>> split_text("plain text") is None
    True
    """
    begins = bool(prompt) and text.startswith(prompt or "")
    if begins and prompt is not None:
        rest = _without_end(text[len(prompt) :])
        turns = _parse(prompt, template)
        if turns is None:
            return _AT_START.sub("", prompt), rest
        # The template may have begun the answer, as with "<think>".
        begun = ""
        if turns and turns[-1]["role"] == "assistant":
            begun = turns.pop()["content"]
        return turns, begun + rest
    turns = _parse(text, template)
    if not turns or turns[-1]["role"] != "assistant":
        return None
    return turns[:-1], _without_end(turns[-1]["content"])


def _parse(text: str, template: Template) -> Turns | None:
    """Read the turns of a text, by a template or the first that recognises it."""
    if template == "none":
        return None
    names = PARSERS if template == "auto" else (template,)
    for name in names:
        turns = PARSERS[name](text)
        if turns:
            return turns
    return None


def _headed(header: str, end: str) -> Callable[[str], Turns]:
    """Make a parser of turns that a header opens and a token closes."""
    opening, closing = re.compile(header), re.compile(end)

    def parse(text: str) -> Turns:
        found = list(opening.finditer(text))
        stops = [match.start() for match in found[1:]] + [len(text)]
        turns: Turns = []
        if not found:
            return turns
        for match, stop in zip(found, stops, strict=True):
            content = text[match.end() : stop]
            # Special tokens do not occur inside a turn; the last may be cut short.
            closed = closing.search(content)
            content = content[: closed.start()] if closed else content
            role = match[1].strip().lower()
            turns.append(Message(role=_ROLES.get(role, role), content=content))
        return turns

    return parse


def _parse_mistral(text: str) -> Turns:
    """Read `[INST] question [/INST] answer</s>`."""
    system, text = _cut_system(text)
    turns: Turns = []
    # Cut, not matched: a pattern over two markers takes quadratic time on many of one.
    for part in text.split("[INST]")[1:]:
        question, closed, answer = part.partition("[/INST]")
        if not closed:
            continue
        answer = answer.partition("</s>")[0].partition("<s>")[0].removeprefix(" ")
        question = question.removeprefix(" ").removesuffix(" ")
        turns.append(Message(role="user", content=question))
        turns.append(Message(role="assistant", content=answer))
    if turns and system is not None:
        turns.insert(0, Message(role="system", content=system.strip()))
    return turns


def _cut_system(text: str) -> tuple[str | None, str]:
    """Take the system prompt out of a text of Mistral's or Llama 2's."""
    for opening, closing in (
        ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        ("<<SYS>>\n", "\n<</SYS>>\n\n"),
    ):
        before, opened, rest = text.partition(opening)
        system, closed, after = rest.partition(closing)
        if opened and closed:
            return system, before + after
    return None, text


def _without_end(text: str) -> str:
    """Take special tokens off the end, and blanks between them."""
    end = len(text)
    while True:
        stop = end
        while stop and text[stop - 1].isspace():
            stop -= 1
        token = next((t for t in _SPECIAL if text.endswith(t, 0, stop)), None)
        if token is None:
            return text[:end]
        end = stop - len(token)


_chatml = _headed(r"<\|im_start\|>([^\n<]{1,40})\n", r"<\|im_end\|>")
PARSERS: Mapping[str, Callable[[str], Turns]] = MappingProxyType(
    {
        "chatml": _chatml,
        "qwen": _chatml,
        "llama3": _headed(
            r"<\|start_header_id\|>([^\n<]{1,40})<\|end_header_id\|>\n\n",
            r"<\|eot_id\|>|<\|eom_id\|>|<\|end_of_text\|>",
        ),
        "gemma": _headed(r"<start_of_turn>([^\n<]{1,40})\n", r"<end_of_turn>\n?"),
        "mistral": _parse_mistral,
    }
)
"""Parsers of texts by the name of their template."""

TEMPLATES: tuple[str, ...] = get_args(Template)
"""What `--template` takes."""
