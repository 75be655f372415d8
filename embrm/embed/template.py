r"""How a prompt and a response become one text, and the span of each of them.

Two templates: `"plain"` (prompt, blank line, response) and `"chat"` (the model's own
chat template). The text always ends where the response ends: what a chat template
puts after it (an end-of-turn token, a newline) cannot change a causal model's state
at the response, and is not processed by the model.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embrm._optional import import_optional
from embrm._typing import Message, Prompt, Text
from embrm.exceptions import invalid_input
from embrm.messages import as_messages, canonical_json, prompt_text, without_tools

CHAT_DATE = "26 Jul 2024"
"""The date that templates which print today's date are given, so that vectors keep."""


@dataclass(frozen=True)
class Rendered:
    """A text with the places of its parts, in characters.

    Attributes
    ----------
    text : str
        Prompt and response; ends with the response.
    response_start : int
        Where the response begins.
    prompt_spans : tuple of (start, end)
        The parts that truncation may shorten, in reading order. Everything else
        before the response belongs to the template and is kept.
    """

    text: str
    response_start: int
    prompt_spans: tuple[tuple[int, int], ...]


def check_text(text: Any) -> Text:
    """Check that a text is (prompt, response) with a `str` response.

    Raises
    ------
    InvalidInputError
        If it is anything else; the prompt is checked where it is rendered.
    """
    if isinstance(text, Sequence) and not isinstance(text, str) and len(text) == 2:
        prompt, response = text
        if isinstance(response, str):
            return prompt, response
        got = f"a response of type {type(response).__name__}"
    else:
        got = f"a {type(text).__name__} that is not such a pair"
    raise invalid_input(
        expected="texts that are (prompt, response) with a str response",
        got=got,
        fix="pass a list of pairs; fill missing responses with ''",
    )


def render_plain(prompt: Prompt, response: str, *, prefix: str = "") -> Rendered:
    r"""Render as prompt, blank line, response; turns of a conversation are labelled.

    Parameters
    ----------
    prompt : str or sequence of messages
    response : str
    prefix : str, default=""
        Instruction that the model needs in front of every text; never truncated.

    Returns
    -------
    Rendered

    Examples
    --------
    >>> render_plain("Why?", "Because.").text
    'Why?\n\nBecause.'
    >>> turns = [
    ...     {"role": "user", "content": "Hi"},
    ...     {"role": "assistant", "content": "Yes?"},
    ...     {"role": "user", "content": "Why?"},
    ... ]
    >>> render_plain(turns, "Because.").text
    'User: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant: Because.'
    """
    messages = as_messages(prompt)
    question = prompt_text(prompt)
    if question:
        is_single = len(messages) == 1 and messages[0]["role"] == "user"
        question += "\n\n" if is_single else "\n\nAssistant: "
    before = prefix + question
    span = (len(prefix), len(before))
    return Rendered(_without_surrogates(before + response), len(before), (span,))


def read_chat_template(directory: Path) -> str | None:
    """Read a model's chat template from its files, without transformers.

    Parameters
    ----------
    directory : Path
        Looked at are `chat_template.jinja`, `chat_template.json` and the entry
        `chat_template` of `tokenizer_config.json`, in this order.

    Returns
    -------
    str or None
        The template named `"default"` where there are several.
    """
    jinja = directory / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        path = directory / name
        if not path.is_file():
            continue
        found = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        if isinstance(found, list):
            by_name = {entry["name"]: entry["template"] for entry in found}
            found = by_name.get("default")
        if isinstance(found, str):
            return found
    return None


def need_chat_template(directory: Path) -> str:
    """Read a model's chat template, or say that it has none."""
    template = read_chat_template(directory)
    if template is None:
        raise invalid_input(
            expected="a model with a chat template",
            got="none in the files of its tokenizer",
            fix="use template='plain'",
        )
    return template


def text_sha256(text: str) -> str:
    """Hash a template's text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ChatRenderer:
    """Render conversations with a model's chat template.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    template : str
        The chat template, in Jinja; transformers renders it in a sandbox.

    Notes
    -----
    The places of the contents are found by rendering marker words once for each
    sequence of roles: what lies between the markers is the template's own text.
    Contents may come out stripped. A template that rewrites contents otherwise is
    searched for the response, and everything between the common beginning and the
    response counts as prompt.
    """

    tokenizer: Any
    template: str
    _pieces: dict[tuple[str, ...], list[str]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __call__(self, prompt: Prompt, response: str) -> Rendered:
        """Render one conversation, cut off at the end of the response."""
        turns = [*as_messages(prompt), Message(role="assistant", content=response)]
        turns = [
            Message(**{**turn, "content": _without_surrogates(turn["content"])})
            for turn in turns
        ]
        text = self._apply(turns)
        pieces = self._template_pieces(turns)
        spans = _align(text, pieces, turns)
        if not spans:
            spans = _search(text, pieces, turns[-1]["content"])
        *prompt_spans, (start, end) = spans
        return Rendered(text[:end], start, tuple(prompt_spans))

    def _template_pieces(self, turns: Sequence[Message]) -> list[str]:
        """Return the template's text around the contents; empty if one is missing."""
        markers = [f"embrm{n}marker" for n in range(len(turns))]
        marked = [
            Message(**{**turn, "content": marker})
            for turn, marker in zip(turns, markers, strict=True)
        ]
        # Turns that call tools differ in more than their roles.
        kinds = tuple(
            turn["role"] if len(turn) == 2 else canonical_json([turn])
            for turn in marked
        )
        if kinds not in self._pieces:
            self._pieces[kinds] = _split(self._apply(marked), markers)
        return self._pieces[kinds]

    def _apply(self, turns: Sequence[Message]) -> str:
        jinja2 = import_optional("jinja2", extra="embed")
        plain, tools = without_tools(turns)
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    plain,
                    tools=tools or None,
                    chat_template=_with_fixed_date(self.template),
                    tokenize=False,
                    date_string=CHAT_DATE,
                )
            )
        except jinja2.exceptions.TemplateError as error:
            roles = ", ".join(turn["role"] for turn in turns)
            raise invalid_input(
                expected="a conversation that the model's chat template takes",
                got=f"roles {roles}, refused with: {str(error)[:120]}",
                fix="merge or rename the turns, or use template='plain'",
            ) from error


def _with_fixed_date(template: str) -> str:
    """Shadow `strftime_now`: vectors must not depend on the day they are computed.

    transformers takes no function from its caller, but a macro comes before a global.
    The line break after it is swallowed by Jinja's trim_blocks.
    """
    if "strftime_now" not in template:
        return template
    macro = f"{{% macro strftime_now(format) %}}{CHAT_DATE}{{% endmacro %}}\n"
    return macro + template


def _without_surrogates(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes, one for one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _split(text: str, markers: Sequence[str]) -> list[str]:
    """Return what lies around the markers; empty when one of them is missing."""
    pieces = []
    for marker in markers:
        before, found, text = text.partition(marker)
        if not found:
            return []
        pieces.append(before)
    return [*pieces, text]


def _align(
    text: str, pieces: Sequence[str], turns: Sequence[Message]
) -> list[tuple[int, int]]:
    """Find each content between its pieces, as it is or stripped; empty if not so."""
    if not pieces or not text.startswith(pieces[0]):
        return []
    spans = []
    position = len(pieces[0])
    for turn, after in zip(turns, pieces[1:], strict=True):
        content = turn["content"]
        for shape in (content, content.strip(), content.lstrip(), content.rstrip()):
            if text.startswith(shape + after, position):
                break
        else:
            return []
        spans.append((position, position + len(shape)))
        position += len(shape) + len(after)
    return spans if position == len(text) else []


def _search(text: str, pieces: Sequence[str], response: str) -> list[tuple[int, int]]:
    """Find the response from the right; all before it but the head is prompt."""
    content = response.strip()
    start = text.rfind(content)
    if not content or start < 0:
        raise invalid_input(
            expected="a chat template that keeps the response's text",
            got="a rendering in which the response cannot be found",
            fix="use template='plain' with this model or for these texts",
        )
    head = len(pieces[0]) if pieces and text.startswith(pieces[0]) else 0
    return [(min(head, start), start), (start, start + len(content))]


def template_field(template: str, directory: Path) -> dict[str, str]:
    """Return the field by which a fingerprint names "plain" or a "chat" template."""
    if template == "plain":
        return {"id": template}
    return {"id": template, "sha256": text_sha256(need_chat_template(directory))}


def make_renderer(
    template: str, tokenizer: Any, directory: Path
) -> Callable[[Prompt, str], Rendered]:
    """Make the function that renders texts: plain, or by the model's template."""
    if template == "plain":
        return render_plain
    return ChatRenderer(tokenizer, need_chat_template(directory))


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Find the special tokens that a tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    n_before = next(n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
    return whole[:n_before], whole[n_before + len(bare) :]
