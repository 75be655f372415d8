"""Accounts of embedding in shards: of one shard, and of all together."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.progress import TextColumn

from embrm.embed.account import EmbeddingAccount, add_reports, warn_if_truncated
from embrm.embed.base import BatchReport, Fingerprint
from embrm.embed.progress import one_bar
from embrm.embed.scale.shards import Groups, Shard


@dataclass(frozen=True)
class MissingTexts:
    """What a part of some texts lacks in the cache.

    Attributes
    ----------
    n_items, n_unique : int
        Texts of the part, and different ones among them.
    groups : list of list of int
        Positions of those that the cache lacks, prompt by prompt.
    """

    n_items: int
    n_unique: int
    groups: Groups


@dataclass(frozen=True)
class ShardReport:
    """What embedding a shard came to, without the vectors.

    Attributes
    ----------
    number : int
        Of the shard.
    n_texts, n_embedded : int
        Texts in it, and texts embedded now; the others were in the cache.
    n_tokens, n_truncated, n_response_truncated : int
        Of the texts embedded now; see `EmbeddingAccount`.
    segments : tuple of str
        Names of the segments that hold texts of it and appeared meanwhile.
    digest : str
        Hexadecimal blake2b-128 of keys and vectors in the shard's order: the same
        however often, and wherever, the shard is embedded.
    seconds : float
        Wall time.
    """

    number: int
    n_texts: int
    n_embedded: int
    n_tokens: int
    n_truncated: int
    n_response_truncated: int
    segments: tuple[str, ...]
    digest: str
    seconds: float


@dataclass(frozen=True)
class ShardedAccount(EmbeddingAccount):
    """The account of a run over shards, summed from what each reported.

    Attributes
    ----------
    n_shards : int
        Shards with something to embed.
    n_workers : int
        Processes that embedded them.
    n_retries : int
        Times that a shard was given out again because its worker was lost.
    """

    n_shards: int
    n_workers: int
    n_retries: int

    def __str__(self) -> str:
        words = super().__str__()
        if self.n_shards:
            words += f", in {self.n_shards} shards"
        if self.n_workers > 1:
            words += f" by {self.n_workers} workers"
        if self.n_retries:
            words += f", of which {self.n_retries} again after losing its worker"
        return words


class ShardTally:
    """Collects reports, shows them as one bar, and sums them up.

    A context manager. Stopped by Ctrl-C it says how to go on.

    Parameters
    ----------
    shards : sequence of Shard
        All that there are.
    show : bool, optional
        See `one_bar`.
    """

    def __init__(self, shards: Sequence[Shard], *, show: bool | None = None) -> None:
        self._shards = shards
        self._n_texts = sum(shard.n_texts for shard in shards)
        self._reports: list[ShardReport] = []
        self._bar = one_bar(TextColumn("{task.fields[items]}"), show=show)
        self._task = self._bar.add_task("Shards", total=len(shards), items="")

    def __len__(self) -> int:
        return len(self._reports)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"stopped after {len(self)} of {len(self._shards)} shards; they are "
                "kept in the cache: run the same again to go on from there"
            ) from error

    def add(self, report: ShardReport) -> None:
        """Count one shard."""
        self._reports.append(report)
        n_done = sum(one.n_texts for one in self._reports)
        items = f"{n_done:,} of {self._n_texts:,} items"
        self._bar.update(self._task, advance=1, items=items)

    def account(
        self,
        missing: MissingTexts,
        fingerprint: Fingerprint,
        *,
        started: float,
        n_workers: int = 1,
        n_retries: int = 0,
    ) -> ShardedAccount:
        """Sum up, and warn once if texts were truncated."""
        sums, n_embedded = _sum(self._reports)
        warn_if_truncated(sums, n_embedded, fingerprint, stacklevel=3)
        return ShardedAccount(
            n_items=missing.n_items,
            n_unique=missing.n_unique,
            n_hits=missing.n_unique - n_embedded,
            n_embedded=n_embedded,
            n_truncated=sums.n_truncated,
            n_response_truncated=sums.n_response_truncated,
            n_tokens=sums.n_tokens,
            seconds=time.monotonic() - started,
            n_shards=len(self._shards),
            n_workers=n_workers,
            n_retries=n_retries,
        )


def _sum(reports: Iterable[ShardReport]) -> tuple[BatchReport, int]:
    """Add up reports of shards; also say how many texts were embedded."""
    sums, n_embedded = BatchReport(n_texts=0), 0
    for report in reports:
        counts = {name: getattr(report, name) for name in vars(sums)}
        sums = add_reports(sums, BatchReport(**counts))
        n_embedded += report.n_embedded
    return sums, n_embedded
