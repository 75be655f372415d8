"""What a server is sent for a text: cut here, where the response can be kept.

Servers cut at the end, where the response is. Without the model's tokenizer the limit
is in characters: those outside ASCII count as many as they have bytes in UTF-8, since
tokenizers cut them up. With it, tokens are counted exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from embrm._typing import Prompt, Text
from embrm.embed.server._client import Content
from embrm.embed.template import (
    Rendered,
    check_text,
    make_renderer,
    render_plain,
    special_tokens,
    template_field,
)
from embrm.embed.truncation import tokenise
from embrm.embed.weights import ModelFiles, files_from_hub, load_tokenizer
from embrm.exceptions import InvalidInputError, invalid_input

_NO_LIMIT = 10**9
_WANTED = ["*.json", "*.jinja", "*.txt", "tokenizer.model"]


@dataclass(frozen=True)
class ServerInput:
    """One text as it is sent.

    Attributes
    ----------
    content : str or list of int
        Text or token ids.
    before : str
        The whole text before the response: texts that share it share a prompt.
    n_tokens : int
        Tokens, 0 where they were not counted.
    prompt_cut, response_cut : bool
        Whether the beginning of the prompt, of the response was dropped.
    """

    content: Content
    before: str
    n_tokens: int = 0
    prompt_cut: bool = False
    response_cut: bool = False


def fit_chars(texts: Sequence[Text], limit: int) -> list[ServerInput]:
    r"""Render texts plainly, and truncate them on the left to a budget of characters.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    limit : int
        Characters; one outside ASCII counts as 2 to 4.

    Raises
    ------
    InvalidInputError
        If a text is malformed or empty.

    Examples
    --------
    >>> (fitted,) = fit_chars([("a long question", "Yes.")], 12)
    >>> fitted.content, fitted.prompt_cut, fitted.response_cut
    ('estion\n\nYes.', True, False)
    """
    fitted = []
    for text in texts:
        rendered = render_plain(*check_text(text))
        raw = rendered.text.encode()
        if not raw:
            raise _empty()
        kept = raw[-limit:].decode("utf-8", "ignore")
        start = len(rendered.text) - len(kept)
        fitted.append(_as_sent(rendered, kept, start))
    return fitted


@dataclass(frozen=True)
class TokenFitter:
    """Fits texts into a limit of tokens, with the tokenizer of the server's model.

    Parameters
    ----------
    tokenizer : str
        A directory with the tokenizer's files, or the id of a repository of the hub.
    revision : str or None
        Branch, tag or commit on the hub.
    template : str
        `"plain"`, or `"chat"`, which needs `sends_ids`.
    sends_ids : bool
        Whether token ids are sent, special tokens included, instead of text.
    """

    tokenizer: str
    revision: str | None
    template: str
    sends_ids: bool

    @cached_property
    def files(self) -> ModelFiles:
        """The tokenizer's files; found, or fetched from the hub, at the first use."""
        path = Path(self.tokenizer).expanduser()
        if path.is_dir():
            return ModelFiles(path.resolve(), source="directory")
        fix = "pass a directory with the tokenizer's files"
        return files_from_hub(
            self.tokenizer, self.revision, _WANTED, what="tokenizer", fix=fix
        )

    def fields(self) -> dict[str, Any]:
        """Return what decides the tokens, as fields of a fingerprint."""
        return {
            "template": template_field(self.template, self.files.directory),
            "tokenizer_sha256": self.files.tokenizer_sha256(),
            "sends_token_ids": self.sends_ids,
        }

    def limit(self, max_tokens: int | None) -> int:
        """Return the limit: the one given, else the tokenizer's own.

        Raises
        ------
        InvalidInputError
            If neither has one.
        """
        limit = int(max_tokens or self._loaded.model_max_length)
        if limit > _NO_LIMIT:
            raise invalid_input(
                expected="max_tokens, or a tokenizer with its model's limit",
                got="neither",
                fix="pass the tokens that the server's model takes",
            )
        return limit

    def fit(self, texts: Sequence[Text], limit: int) -> list[ServerInput]:
        """Render texts and truncate them on the left to a limit of tokens.

        Parameters
        ----------
        texts : sequence of (prompt, response)
        limit : int
            Tokens, special tokens included.

        Raises
        ------
        InvalidInputError
            If a text is malformed or has no token, a chat template refuses it, or
            the limit leaves no room for the response.
        """
        rendered = [self._render(*check_text(text)) for text in texts]
        if not self.sends_ids:
            return [self._fit_text(one, limit) for one in rendered]
        prefix, suffix = self._special_tokens
        tokens = tokenise(
            self._loaded,
            rendered,
            limit=limit,
            prefix=prefix,
            suffix=suffix,
            bos=self._loaded.bos_token_id,
        )
        return [
            ServerInput(
                content=fitted.ids.tolist(),
                before=one.text[: one.response_start],
                n_tokens=len(fitted),
                prompt_cut=fitted.prompt_cut,
                response_cut=fitted.response_cut,
            )
            for one, fitted in zip(rendered, tokens, strict=True)
        ]

    @cached_property
    def _loaded(self) -> Any:
        return load_tokenizer(self.files)

    @cached_property
    def _render(self) -> Callable[[Prompt, str], Rendered]:
        return make_renderer(self.template, self._loaded, self.files.directory)

    @cached_property
    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text; a template may write BOS."""
        prefix, suffix = special_tokens(self._loaded)
        bos = self._loaded.bos_token
        if self.template == "chat" and not prefix and bos:
            is_written = self._render("a", "a").text.startswith(bos)
            prefix = [self._loaded.bos_token_id] if is_written else []
        return prefix, suffix

    def _fit_text(self, rendered: Rendered, limit: int) -> ServerInput:
        """Cut a text; what is left may have other tokens at its start, so count again.

        The server adds its special tokens itself.
        """
        room, start = limit - sum(map(len, self._special_tokens)), 0
        if not rendered.text:
            raise _empty()
        while True:
            encoded = self._loaded(
                rendered.text[start:],
                add_special_tokens=False,
                return_offsets_mapping=True,
                verbose=False,
            )
            n_tokens = len(encoded["input_ids"])
            n_extra = n_tokens - room
            if n_extra <= 0:
                break
            # A character may be more tokens than there is room for.
            if room > 0:
                start += max(1, encoded["offset_mapping"][n_extra][0])
            if room < 1 or start >= len(rendered.text):
                raise invalid_input(
                    expected="a limit with room for some of the response",
                    got=f"max_tokens={limit}",
                    fix="raise max_tokens",
                )
        kept = rendered.text[start:]
        return _as_sent(rendered, kept, start, limit - room + n_tokens)


def _as_sent(
    rendered: Rendered, kept: str, start: int, n_tokens: int = 0
) -> ServerInput:
    return ServerInput(
        content=kept,
        before=rendered.text[: rendered.response_start],
        n_tokens=n_tokens,
        prompt_cut=start > 0 and rendered.response_start > 0,
        response_cut=start > rendered.response_start,
    )


def _empty() -> InvalidInputError:
    return invalid_input(
        expected="texts with at least one character",
        got="an empty prompt with an empty response",
        fix="leave such items out",
    )
