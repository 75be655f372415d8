"""SlicedEncoder: tokenise one slice while the model works on the one before."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import Field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import FittedTexts, Text
from embrm.embed.base import Fingerprint, OnBatch
from embrm.embed.batching import choose_device
from embrm.embed.model_files import resolve_model
from embrm.embed.steps import TokenBudget
from embrm.embed.truncation import FittedTokens, check_responses_fit
from embrm.embed.weights import ModelFiles

Part = TypeVar("Part")
Result = TypeVar("Result")


def prefetched(
    work: Callable[[Part], Result], parts: Iterable[Part]
) -> Iterator[Result]:
    """Yield `work(part)` for each part, computed one ahead in a thread of its own.

    The first is computed in the caller's thread: nothing runs beside it. What `work`
    raises is raised here, when its turn comes.

    Parameters
    ----------
    work : callable
    parts : iterable

    Yields
    ------
    object
        What `work` returned, in the order of the parts.

    Examples
    --------
    >>> list(prefetched(len, ["a", "bb"]))
    [1, 2]
    """
    remaining = iter(parts)
    with ThreadPoolExecutor(1, thread_name_prefix="embrm-prefetch") as ahead:
        for first in remaining:
            ready = work(first)
            for part in remaining:
                running = ahead.submit(work, part)
                yield ready
                ready = running.result()
            yield ready


_CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def native_dtype(device: str | None = None) -> str:
    """Name the dtype in which a model computes fastest at no loss that matters.

    Parameters
    ----------
    device : str, optional
        Device of torch; None is the GPU if there is one, else the CPU.

    Returns
    -------
    {"bfloat16", "float32"}
        bfloat16 where the hardware multiplies it natively: CPUs with AMX,
        AVX-512 BF16 or Arm's BF16, and NVIDIA GPUs from Ampere on. Elsewhere it is
        emulated, and slower than float32.

    Notes
    -----
    torch is imported only where there may be a GPU, so that a fingerprint does not
    need it.

    Examples
    --------
    >>> native_dtype("cpu") in ("bfloat16", "float32")
    True
    """
    kind = (device or "").partition(":")[0]
    may_be_gpu = kind == "cuda" or (not kind and _NVIDIA_DRIVER.exists())
    if may_be_gpu:
        torch = import_optional("torch", extra="embed")
        if torch.cuda.is_available():
            is_native = torch.cuda.is_bf16_supported(including_emulation=False)
            return "bfloat16" if is_native else "float32"
    is_cpu = kind in ("", "cpu")
    return "bfloat16" if is_cpu and _CPU_FLAGS & cpu_flags() else "float32"


@cache
def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the first CPU; empty where unknown."""
    if not _CPUINFO.is_file():
        return frozenset()
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


# Long enough to sort by length and to find shared prefixes within, short enough
# to be tokenised while the model works on the slice before.
_TEXTS_AT_ONCE = 1024
# A GPU waits for the first slice, which is short therefore; the next are twice as long.
_FIRST_TEXTS_ON_GPU = 128

# On a CPU the states of a batch should stay in its cache: all-MiniLM-L6-v2 is a sixth
# faster in batches of 2,048 than of 8,192. A GPU wants as many as fit.
_CPU_BATCH_TOKENS, _BATCH_TOKENS = 2048, 16384

Outputs = Sequence[NDArray[np.floating[Any]]]
"""Arrays of shape (n_texts, d) to be filled, one for each kind of vector."""

EmbedTokens = Callable[[Sequence[FittedTokens], Outputs], None]
"""Computes the vectors of tokens and writes them into the outputs."""


class SlicedEncoder(ABC):
    """Base of encoders that load a model: tokenise, check lengths, embed.

    A subclass is a frozen dataclass that has the fields below among its own. It says
    who it is (`fingerprint`), what its limit is (`_limit`), how texts become tokens
    (`_tokens`) and how the tokens of a slice become vectors (`_embed`).
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    model: str
    revision: str | None
    store_dtype: str
    batch_tokens: int | None
    device: str | None
    on_long_response: str

    @cached_property
    def files(self) -> ModelFiles:
        """The model's files; found, or fetched from the hub, at the first use."""
        return resolve_model(self.model, revision=self.revision)

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts; see `embrm.embed.base.Encoder`.

        Returns
        -------
        ndarray of shape (n_texts, d)

        Raises
        ------
        InvalidInputError
            If a text is malformed or its chat template refuses it, a response is too
            long and that is to raise, or a vector is not finite or does not fit
            `store_dtype`.
        EmbrmError
            If there is not memory enough for one text.
        """
        vectors = np.empty((len(texts), self.fingerprint.dim), dtype=self.store_dtype)
        embed = partial(self._embed, on_batch=on_batch)
        self._fill(self._outputs(vectors), texts, embed)
        return vectors

    def _outputs(self, vectors: NDArray[np.floating[Any]]) -> Outputs:
        """List the arrays to fill: columns of the vectors, one for each pooling."""
        return [vectors]

    def fit_texts(
        self, texts: Sequence[Text], *, after_text: Callable[[], None] | None = None
    ) -> FittedTexts:
        """Find out what the limit leaves of texts, without embedding them.

        Parameters
        ----------
        texts : sequence of (prompt, response)
        after_text : callable, optional
            Called after each text, to move a progress bar.

        Returns
        -------
        FittedTexts
        """
        n_tokens = np.zeros(len(texts), dtype=np.intp)
        is_cut = np.zeros(len(texts), dtype=bool)
        codes = np.zeros(len(texts), dtype=np.intp)
        known: dict[bytes, int] = {}
        for part in _slices(len(texts), _TEXTS_AT_ONCE):
            for at, tokens in enumerate(self._tokens(texts[part]), part.start):
                n_tokens[at] = len(tokens)
                is_cut[at] = tokens.prompt_cut or tokens.response_cut
                digest = hashlib.blake2b(tokens.ids.tobytes(), digest_size=16).digest()
                codes[at] = known.setdefault(digest, len(known))
                if after_text is not None:
                    after_text()
        return FittedTexts(self._limit, n_tokens, is_cut, codes)

    def _fill(
        self, outputs: Outputs, texts: Sequence[Text], embed: EmbedTokens
    ) -> None:
        """Embed texts slice by slice, tokenising the next one in the meantime."""
        is_on_gpu = choose_device(self.device).startswith("cuda")
        first = _FIRST_TEXTS_ON_GPU if is_on_gpu else _TEXTS_AT_ONCE

        def tokens_of(part: slice) -> tuple[slice, list[FittedTokens]]:
            return part, self._tokens(texts[part])

        for part, tokens in prefetched(tokens_of, _slices(len(texts), first)):
            check_responses_fit(
                tokens, limit=self._limit, on_long_response=self.on_long_response
            )
            embed(tokens, [output[part] for output in outputs])

    @cached_property
    def _budget(self) -> TokenBudget:
        is_cpu = choose_device(self.device) == "cpu"
        usual = _CPU_BATCH_TOKENS if is_cpu else _BATCH_TOKENS
        return TokenBudget(self.batch_tokens or usual)

    @property
    @abstractmethod
    def _limit(self) -> int:
        """Largest number of tokens of a text."""

    @abstractmethod
    def _tokens(self, texts: Sequence[Text]) -> list[FittedTokens]:
        """Render, tokenise and truncate texts."""

    @abstractmethod
    def _embed(
        self,
        tokens: Sequence[FittedTokens],
        outputs: Outputs,
        *,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Compute vectors and write them into the outputs."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model behind: other processes load their own."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __sklearn_clone__(self) -> Self:
        """Stay one object when an estimator that holds it is cloned: it is frozen."""
        return self


def _slices(n: int, first: int) -> list[slice]:
    """Cut n texts into slices that double in length up to the usual one."""
    found: list[slice] = []
    start, length = 0, first
    while start < n:
        found.append(slice(start, min(start + length, n)))
        start, length = start + length, min(2 * length, _TEXTS_AT_ONCE)
    return found
