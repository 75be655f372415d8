"""What embedding cost: the account of a run, and its one warning."""

import warnings
from dataclasses import dataclass
from typing import Any

from embrm.embed.base import BatchReport, Fingerprint
from embrm.exceptions import TruncationWarning


@dataclass(frozen=True)
class EmbeddingAccount:
    """How the vectors of some items came about.

    Attributes
    ----------
    n_items, n_unique : int
        Texts, and different texts among them.
    n_hits, n_embedded : int
        Different texts found in the cache, and embedded now; together `n_unique`.
    n_truncated : int
        Texts embedded now whose prompt lost its beginning.
    n_response_truncated : int
        Texts embedded now whose response lost its beginning.
    n_tokens : int
        Tokens fed to the encoder now.
    seconds : float
        Wall time.

    Examples
    --------
    >>> print(EmbeddingAccount(5, 4, 1, 3, 0, 0, 600, 2.0))
    5 items (4 different): 1 from the cache (25%), 3 embedded in 2.0 s (300 tokens/s)
    """

    n_items: int
    n_unique: int
    n_hits: int
    n_embedded: int
    n_truncated: int
    n_response_truncated: int
    n_tokens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict of the counts."""
        return dict(vars(self))

    def __str__(self) -> str:
        repeated = self.n_items - self.n_unique
        words = f"{self.n_items} items"
        words += f" ({self.n_unique} different)" if repeated else ""
        if not self.n_embedded:
            return f"{words}: 100% from the cache, nothing embedded"
        share = self.n_hits / self.n_unique
        words += f": {self.n_hits} from the cache ({share:.0%}), "
        words += f"{self.n_embedded} embedded in {self.seconds:.1f} s"
        if self.n_tokens:
            words += f" ({self.n_tokens / self.seconds:,.0f} tokens/s)"
        if self.n_truncated or self.n_response_truncated:
            words += f", {self.n_truncated} prompts cut at the beginning"
            words += f", {self.n_response_truncated} responses too"
        return words


def add_reports(one: BatchReport, other: BatchReport) -> BatchReport:
    """Add up two reports, count by count.

    Examples
    --------
    >>> add_reports(BatchReport(2, n_tokens=10), BatchReport(1, n_truncated=1))
    BatchReport(n_texts=3, n_tokens=10, n_truncated=1, n_response_truncated=0)
    """
    counts = vars(other)
    return BatchReport(**{name: n + counts[name] for name, n in vars(one).items()})


def warn_if_truncated(
    sums: BatchReport, n_embedded: int, fingerprint: Fingerprint, *, stacklevel: int
) -> None:
    """Warn once, with shares, if texts were longer than the encoder's limit.

    Parameters
    ----------
    sums : BatchReport
        Of all texts embedded now.
    n_embedded : int
        How many they are.
    fingerprint : Fingerprint
        Of the encoder, which may know the limit.
    stacklevel : int
        As for `warnings.warn`, counted from the caller.
    """
    if not sums.n_truncated and not sums.n_response_truncated:
        return
    tokens = fingerprint.fields.get("max_tokens")
    limit = f"the {tokens}-token limit" if tokens else "the encoder's length limit"
    share = sums.n_truncated / n_embedded
    message = (
        f"{sums.n_truncated} of {n_embedded} prompts ({share:.1%}) "
        f"lost their beginning to {limit}"
    )
    if sums.n_response_truncated:
        share = sums.n_response_truncated / n_embedded
        message += (
            f"; so did {sums.n_response_truncated} responses ({share:.1%}), "
            "which are longer than it by themselves"
        )
    warnings.warn(message, TruncationWarning, stacklevel=stacklevel + 1)
