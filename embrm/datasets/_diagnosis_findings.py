"""What of a diagnosis is worth a look before a head is fitted."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embrm.datasets._diagnosis_facts import share_interval
from embrm.datasets.read_report import UNUSED

if TYPE_CHECKING:
    from embrm.datasets.diagnosis import Diagnosis

_FEW_PROMPTS = 50
_MANY_TIES = 0.3
_MANY_LEFT_OUT = 0.05
_UNFAMILIAR = 0.05
_LITTLE_AGREEMENT = 0.4
_TELLING = 0.6
_EVEN = (0.45, 0.55)


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes
    ----------
    kind : str
        In a word: "leakage", "contradictions", "length", ...
    message : str
        A sentence or two: what was found, and what to do about it.
    grave : bool
        Whether figures will be wrong as long as it is there.
    """

    kind: str
    message: str
    grave: bool = False


def findings(diagnosis: "Diagnosis") -> list[Finding]:
    """List what to look at, the gravest first."""
    of_rows = (_of_rows, _of_scores, _of_prompts)
    sources = (*of_rows, _of_comparisons, _of_labels, _of_texts)
    found = [finding for source in sources for finding in source(diagnosis)]
    return sorted(found, key=lambda finding: not finding.grave)


def _of_rows(d: "Diagnosis") -> Iterator[Finding]:
    report = d.read_report
    if report.n_left_out > _MANY_LEFT_OUT * max(report.n_read, 1):
        yield Finding(
            "left out",
            f"{counted(report.n_left_out, report.n_read, 'rows')} were left out; the "
            "reasons are at the top.",
        )
    ignored = [name for name, use in d.columns.items() if use == UNUSED]
    if ignored:
        yield Finding(
            "columns",
            f"{_names(ignored)} not used. Where that is wrong, name what it is with "
            "--column, or drop it from the file.",
        )


def _of_scores(d: "Diagnosis") -> Iterator[Finding]:
    """Say that nothing compares the responses, where no column was read as doing so."""
    rated = [name for name, use in d.columns.items() if use == "rating"]
    if d.n_pairs or not d.n_items or any(example.known for example in d.examples):
        return
    name = rated[0][:40] if len(rated) == 1 else "NAME"
    flag = shlex.quote(f"score={name}")
    yield Finding(
        "no score",
        "Nothing can be fitted on these data: no column is known to say how good a "
        f"response is. Name the one that does with --column {flag}, and "
        "--lower-is-better where low is good.",
        grave=True,
    )


def _of_prompts(d: "Diagnosis") -> Iterator[Finding]:
    for leak in d.leakage:
        if leak.n_shared or leak.n_near:
            yield Finding(
                "leakage",
                f"{leak.n_shared:,} of {leak.n_prompts:,} prompts are also in "
                f"{leak.source}{_nearly(leak.n_near)} "
                f"({rows_of(leak.n_pairs, leak.source_rows)}). Figures on either would "
                "be optimistic after fitting on the other; embrm clean --against "
                "leaves them out.",
                grave=True,
            )
    if 0 < d.n_prompts < _FEW_PROMPTS:
        yield Finding(
            "few prompts",
            f"{several(d.n_prompts, 'prompt')} only: intervals, which are over "
            "prompts, will be wide.",
        )
    near = d.near_duplicates
    if near is not None and near.n_prompts:
        yield Finding(
            "near-duplicates",
            f"{near.n_prompts:,} prompts are near-duplicates of others "
            f"({several(near.n_groups, 'group')}). embrm fit --group-near-duplicates "
            "holds each group out as one.",
        )
    if d.n_spellings:
        yield Finding(
            "spellings",
            f"{several(d.n_spellings, 'prompt')} with the text of another but for "
            "white space or Unicode form; counted as one prompt.",
        )


def _of_comparisons(d: "Diagnosis") -> Iterator[Finding]:
    wrong = d.contradictions
    if wrong.n:
        yield Finding(
            "contradictions",
            f"{rows_of(wrong.n_pairs, wrong.source_rows)}: the same two responses "
            "labelled both ways. Such pairs cancel; look whether labels were turned.",
        )
    if d.repeats.n:
        yield Finding(
            "repeated",
            f"{rows_of(d.repeats.n, d.repeats.source_rows)}: the same comparison as "
            "before with the same label, which counts again.",
        )
    if d.cycles.n:
        yield Finding(
            "cycles",
            f"{several(d.cycles.n, 'set')} of responses preferred in a circle "
            f"({several(d.cycles.n_items, 'item')}): no reward orders them all.",
        )
    if d.connectivity.n_prompts_apart:
        yield Finding(
            "connectivity",
            f"{several(d.connectivity.n_prompts_apart, 'prompt')} with responses that "
            "no comparison connects: how they compare is left to the vectors.",
        )


def _of_labels(d: "Diagnosis") -> Iterator[Finding]:
    labels = d.labels
    if labels.n_ties > _MANY_TIES * max(d.n_pairs, 1):
        yield Finding(
            "ties",
            f"{counted(labels.n_ties, d.n_pairs)} are ties, which order nothing.",
        )
    decided = labels.n_first + labels.n_second
    if labels.n_first and labels.n_second:
        values = np.repeat([1.0, 0.0], [labels.n_first, labels.n_second])
        low, high = share_interval(values, np.arange(decided))
        if low > _EVEN[1] or high < _EVEN[0]:
            yield Finding(
                "position",
                f"First is preferred in {share(labels.n_first / decided)} of the pairs "
                "that are no tie: annotators may favour a position.",
            )
    for name, alpha in _alphas(d):
        if alpha is not None and alpha < _LITTLE_AGREEMENT:
            yield Finding(
                "agreement",
                f"Annotators agree little on {name}: Krippendorff's alpha is "
                f"{alpha:.2f}. A head with --param noise=estimate weighs them.",
            )
    if d.suspicious is not None and d.suspicious.n:
        rows = tuple(d.suspicious.source_rows)
        yield Finding(
            "suspicious labels",
            f"{rows_of(d.suspicious.n, rows)}: labels that look wrong to a head "
            f"that was not fitted on them; look at the list from its top."
            f"{_caveat(d.suspicious.threshold)}",
        )


def _caveat(threshold: float) -> str:
    if threshold >= _TELLING:
        return ""
    return (
        f" The head gives labels a probability of {threshold:.2f} on average, hardly "
        "better than chance: most of them are right."
    )


def _alphas(d: "Diagnosis") -> list[tuple[str, float | None]]:
    who = d.annotators
    if who is None:
        return []
    return [("labels", who.alpha_labels), ("scores", who.alpha_ratings)]


def _of_texts(d: "Diagnosis") -> Iterator[Finding]:
    one = d.length
    if one is not None and (one.low > _EVEN[1] or one.high < _EVEN[0]):
        which = "longer" if one.low > _EVEN[1] else "shorter"
        part = max(one.longer_preferred, 1 - one.longer_preferred)
        yield Finding(
            "length",
            f"The {which} response is preferred in {share(part)} of pairs: compare "
            "every accuracy with that, and see the head length-debiased.",
        )
    cut = d.truncation
    if cut is not None and cut.n_identical:
        yield Finding(
            "identical",
            f"{rows_of(cut.n_identical, cut.source_rows)}: of both items the encoder "
            f"sees the same {cut.limit:,} tokens, so no head can order them. Take an "
            "encoder with a higher limit.",
            grave=True,
        )
    if cut is not None and cut.n_cut:
        yield Finding(
            "cut",
            f"{counted(cut.n_cut, d.n_items, 'items')} are longer than the encoder's "
            f"{cut.limit:,} tokens and lose their beginning.",
        )
    other = sum(d.scripts.values()) - d.scripts.get("Latin", 0.0)
    other -= d.scripts.get("no letters", 0.0)
    if other > _UNFAMILIAR:
        yield Finding(
            "scripts",
            f"{share(other)} of responses are not in Latin script; the encoders that "
            "come with embrm know English best.",
        )


def _nearly(n: int) -> str:
    return f", {n:,} more nearly so" if n else ""


def counted(n: int, total: int, unit: str = "pairs") -> str:
    """Write a count with its share.

    Examples
    --------
    >>> counted(3, 1200)
    '3 of 1,200 pairs (0.2%)'
    """
    part = f" ({share(n / total)})" if n and total else ""
    return f"{n:,} of {total:,} {unit}{part}"


def several(n: int, unit: str) -> str:
    """Write a count with its unit.

    Examples
    --------
    >>> several(1, "pair"), several(1200, "pair")
    ('1 pair', '1,200 pairs')
    """
    return f"{n:,} {unit}" + ("" if n == 1 else "s")


def share(part: float) -> str:
    """Write a share in percent, never as 0% or 100% when it is not.

    Examples
    --------
    >>> share(0.123), share(0.00002), share(1)
    ('12.3%', '<0.1%', '100%')
    """
    if 0 < part < 0.0005:
        return "<0.1%"
    if 0.9995 <= part < 1:
        return ">99.9%"
    return f"{100 * part:.0f}%" if part in (0, 1) else f"{100 * part:.1f}%"


def rows_of(n: int, source_rows: Sequence[int]) -> str:
    """Write how many pairs there are, and from which rows, counted from 1.

    Examples
    --------
    >>> rows_of(2, (0, 4)), rows_of(0, ()), rows_of(9, (0, 1, 2, 3, 4))
    ('2 pairs, rows 1, 5', '0 pairs', '9 pairs, rows 1, 2, 3, 4, 5, ...')
    """
    pairs = several(n, "pair")
    listed = sorted(dict.fromkeys(row + 1 for row in source_rows[:5]))
    if not listed:
        return pairs
    rows = ", ".join(f"{row:,}" for row in listed)
    more = ", ..." if n > len(source_rows[:5]) else ""
    return f"{pairs}, row{'' if len(listed) == 1 and not more else 's'} {rows}{more}"


def _names(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(name)[:40] for name in columns[:6])
    more = f" and {len(columns) - 6} more" if len(columns) > 6 else ""
    one = len(columns) == 1
    return f"Column{'' if one else 's'} {shown}{more} {'is' if one else 'are'}"
