"""What a reader kept and left out, and what it read each column as."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

CARRIED = "carried along"
ANNOTATOR = "annotator, carried along"
UNUSED = "not used"
EMPTY = "empty"
_NOT_READ = (CARRIED, UNUSED, EMPTY)
_MOST_NAMES = 12


@dataclass(frozen=True)
class LeftOut:
    """Rows left out for one reason.

    Attributes
    ----------
    reason : str
        In short, e.g. `"identical chosen and rejected"`.
    n : int
        How many rows.
    where : tuple of str
        Up to five places, e.g. `"prefs.jsonl, line 7"`.
    """

    reason: str
    n: int
    where: tuple[str, ...]


@dataclass
class ReadReport:
    """Counts every row of a source: `n_read == n_kept + n_left_out`.

    Attributes
    ----------
    source : str
        File name, dataset id, or "frame".
    format : str
        Name of the format the rows were read as.
    n_read, n_kept : int
    columns : dict of str to str
        What each column of the source was read as: a role, "carried along",
        "not used", or "empty".
    notes : list of str
        What a user should know about how the rows were understood.
    why : str
        What the format was recognised by.

    Examples
    --------
    >>> report = ReadReport("prefs.jsonl", "pairs")
    >>> report.keep()
    >>> report.leave_out("empty text", "prefs.jsonl, line 2")
    >>> print(report)
    prefs.jsonl read as pairs: 2 rows, 1 kept, 1 left out
      1 empty text (prefs.jsonl, line 2)
    """

    source: str
    format: str
    n_read: int = 0
    n_kept: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    why: str = ""
    _counts: dict[str, int] = field(default_factory=dict, repr=False)
    _where: dict[str, list[str]] = field(default_factory=dict, repr=False)
    _faults: dict[str, str] = field(default_factory=dict, repr=False)

    def keep(self) -> None:
        """Count one row that was kept."""
        self.n_read += 1
        self.n_kept += 1

    def leave_out(self, reason: str, where: str, fault: str = "") -> None:
        """Count one row that was left out; `fault` is its error, in full."""
        self.n_read += 1
        self._counts[reason] = self._counts.get(reason, 0) + 1
        self._faults.setdefault(reason, fault)
        places = self._where.setdefault(reason, [])
        if len(places) < 5:
            places.append(where)

    @property
    def main_fault(self) -> str:
        """The error of the first row that was left out for the most frequent reason.

        Empty unless more rows were left out for it than were kept.
        """
        most = self.left_out[:1]
        few = not most or most[0].n <= self.n_kept
        return "" if few else self._faults[most[0].reason]

    def fault_of(self, reason: str, *, above: float) -> str:
        """Return the first error of a reason for which a larger share was left out."""
        n = self._counts.get(reason, 0)
        return self._faults[reason] if n > above * self.n_read else ""

    @property
    def n_left_out(self) -> int:
        """How many rows were left out, for any reason."""
        return sum(self._counts.values())

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Rows left out by reason, most frequent first."""
        order = sorted(self._counts, key=lambda reason: (-self._counts[reason], reason))
        return tuple(
            LeftOut(reason, self._counts[reason], tuple(self._where[reason]))
            for reason in order
        )

    def to_json(self) -> dict[str, object]:
        """Return a JSON-ready dict."""
        return {
            "source": self.source,
            "format": self.format,
            "n_read": self.n_read,
            "n_kept": self.n_kept,
            "columns": dict(self.columns),
            "notes": list(self.notes),
            "why": self.why,
            "left_out": [
                {"reason": entry.reason, "n": entry.n, "where": list(entry.where)}
                for entry in self.left_out
            ],
        }

    def _lines(self) -> Iterator[str]:
        yield (
            f"{self.source} read as {self.format}: {self.n_read} rows, "
            f"{self.n_kept} kept, {self.n_left_out} left out"
        )
        for entry in self.left_out:
            more = ", ..." if entry.n > len(entry.where) else ""
            yield f"  {entry.n} {entry.reason} ({'; '.join(entry.where)}{more})"
        yield from self._column_lines()
        for note in self.notes:
            yield f"  note: {note}"

    def _column_lines(self) -> Iterator[str]:
        """Say what columns were read as, unless each was read as what it is called."""
        read = {
            name: role for name, role in self.columns.items() if role not in _NOT_READ
        }
        if any(name != role for name, role in read.items()):
            yield f"  columns: {', '.join(map(_use, read.items()))}"
        for use in _NOT_READ:
            names = [name for name, role in self.columns.items() if role == use]
            if names and use != EMPTY:
                yield f"  {use}: {_shortened(names)}"

    def __str__(self) -> str:
        return "\n".join(self._lines())


def _use(entry: tuple[str, str]) -> str:
    name, role = entry
    return name[:40] if name == role else f"{name[:40]} ({role})"


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    listed = ", ".join(name[:40] for name in names[:_MOST_NAMES])
    return listed + (f" and {more} more" if more > 0 else "")
