"""One progress bar on stderr, shown on terminals only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from embrm.embed.base import BatchReport


def one_bar(*columns: TextColumn, show: bool | None = None) -> Progress:
    """Make a bar with description, count and remaining time, on stderr.

    Parameters
    ----------
    *columns : TextColumn
        More columns before the remaining time.
    show : bool, optional
        False silences it. Otherwise it shows where stderr is a terminal.

    Returns
    -------
    rich.progress.Progress
        A context manager; add one task and advance it.

    Examples
    --------
    >>> with one_bar(show=False) as bar:
    ...     task = bar.add_task("Fitting", total=2)
    ...     bar.advance(task)
    """
    # Not rich's own test: FORCE_COLOR makes that true for files, too.
    visible = show is not False and sys.stderr is not None and sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not visible,
    )


@contextmanager
def progress_bar(
    description: str, *, total: int, show: bool | None = None
) -> Iterator[Callable[[], None]]:
    """Show one bar; the block gets a function that moves it on by one.

    Parameters
    ----------
    description : str
    total : int
        How many steps there are.
    show : bool, optional
        See `one_bar`.

    Examples
    --------
    >>> with progress_bar("Fitting", total=2, show=False) as advance:
    ...     advance()
    """
    with one_bar(show=show) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)


class EmbeddingProgress:
    """Show items done, texts/s, tokens/s, cache hits and remaining time.

    Parameters
    ----------
    n_unique : int
        Different texts in all.
    n_hits : int
        Those whose vectors were in the cache.
    show : bool, optional
        See `one_bar`.

    Examples
    --------
    >>> from embrm.embed.base import BatchReport
    >>> with EmbeddingProgress(3, n_hits=1, show=False) as bar:
    ...     bar.update(BatchReport(n_texts=2, n_tokens=10))
    """

    def __init__(self, n_unique: int, *, n_hits: int, show: bool | None = None) -> None:
        self._bar = one_bar(TextColumn("{task.fields[speed]}"), show=show)
        self._n_texts = self._n_tokens = 0
        share = n_hits / n_unique if n_unique else 0.0
        self._task = self._bar.add_task(
            f"Embedding ({share:.0%} from cache)",
            total=n_unique,
            completed=n_hits,
            speed="",
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, report: BatchReport) -> None:
        """Count one batch."""
        self._n_texts += report.n_texts
        self._n_tokens += report.n_tokens
        seconds = (self._bar.tasks[0].elapsed or 0.0) + 1e-9
        speed = f"{self._n_texts / seconds:,.0f} texts/s"
        if self._n_tokens:
            speed += f", {self._n_tokens / seconds:,.0f} tokens/s"
        self._bar.update(self._task, advance=report.n_texts, speed=speed)
