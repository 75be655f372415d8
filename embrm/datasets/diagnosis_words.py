"""A diagnosis in words: findings, sections of facts, plain text and HTML."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from embrm.datasets._diagnosis_findings import (
    Finding,
    counted,
    findings,
    rows_of,
    several,
    share,
)

if TYPE_CHECKING:
    from embrm.datasets._diagnosis_facts import Annotators, Spread
    from embrm.datasets.diagnosis import Diagnosis, Example

__all__ = ["Finding", "Section", "as_html", "as_text", "findings", "sections"]

_WIDTH = 80
_TEXT = 66
_TAIL = 20


@dataclass(frozen=True)
class Section:
    """Facts under a heading.

    Attributes
    ----------
    title : str
    facts : list of (name, words)
    """

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)


def sections(d: "Diagnosis") -> list[Section]:
    """Write all facts, under headings; headings without facts are left out."""
    made = [
        Section("Columns", [(one_line(c, 40), use) for c, use in d.columns.items()]),
        Section("Size", list(_sizes(d))),
        Section("Labels", list(_labels(d))),
        Section("Comparisons", list(_comparisons(d))),
        Section("Prompts", list(_prompts(d))),
        Section("Length", list(_lengths(d))),
        Section("Annotators", list(_annotators(d.annotators))),
        Section("Labels that look wrong", list(_suspicious(d))),
    ]
    return [section for section in made if section.facts]


def _sizes(d: "Diagnosis") -> Iterator[tuple[str, str]]:
    yield "pairs", f"{d.n_pairs:,}"
    yield "items", f"{d.n_items:,} (prompt and response)"
    yield "prompts", f"{d.n_prompts:,}"
    if d.pairs_per_prompt is not None:
        yield "pairs per prompt", _spread(d.pairs_per_prompt)
    if d.items_per_prompt is not None:
        yield "items per prompt", _spread(d.items_per_prompt)
    for name, spread in d.spreads.items():
        yield name, _spread(spread)
    for name, counts in d.tallies.items():
        yield name, ", ".join(f"{one_line(v, 24)} {n:,}" for v, n in counts.items())


def _labels(d: "Diagnosis") -> Iterator[tuple[str, str]]:
    if not d.n_pairs:
        return
    labels = d.labels
    yield "first preferred", counted(labels.n_first, d.n_pairs)
    yield "second preferred", counted(labels.n_second, d.n_pairs)
    yield "ties", counted(labels.n_ties, d.n_pairs)
    if labels.n_soft:
        yield "soft labels", counted(labels.n_soft, d.n_pairs)
    if labels.n_first == d.n_pairs:
        yield "order", "first is always preferred, as chosen is to rejected"


def _comparisons(d: "Diagnosis") -> Iterator[tuple[str, str]]:
    if not d.n_pairs:
        return
    yield "repeated", rows_of(d.repeats.n, d.repeats.source_rows)
    wrong, circles, parts = d.contradictions, d.cycles, d.connectivity
    words = rows_of(wrong.n_pairs, wrong.source_rows)
    if wrong.n:
        words += f"; {several(wrong.n, 'comparison')} with both labels"
    if wrong.n_by_one_annotator is not None:
        words += f", {wrong.n_by_one_annotator:,} of one annotator"
    yield "contradictions", words
    words = f"{several(circles.n, 'set')} of items preferred in a circle"
    if circles.n:
        words += f" ({several(circles.n_items, 'item')}, "
        words += f"{rows_of(circles.n_pairs, circles.source_rows)})"
    yield "cycles", words
    words = f"{several(parts.n_parts, 'part')} that no comparison connects"
    if parts.n_prompts_apart:
        words += f"; the items of {several(parts.n_prompts_apart, 'prompt')} in several"
    yield "connectivity", words
    if parts.n_items_alone:
        yield "in no pair", f"{parts.n_items_alone:,} items"
    if parts.n_cross_prompt:
        yield "across prompts", counted(parts.n_cross_prompt, d.n_pairs)


def _prompts(d: "Diagnosis") -> Iterator[tuple[str, str]]:
    if d.n_spellings:
        words = f"{d.n_spellings:,} differ from another in white space or Unicode form"
        yield "spellings", f"{words} only"
    near = d.near_duplicates
    if near is not None:
        words = f"{near.n_prompts:,} in {several(near.n_groups, 'group')}"
        yield "near-duplicates", f"{words} (Jaccard index >= {near.threshold:g})"
        for texts in near.examples:
            yield "", " | ".join(one_line(text, 40) for text in texts)
    for leak in d.leakage:
        words = f"{one_line(leak.source, 40)}: {leak.n_shared:,} prompts, "
        words += f"{leak.n_near:,} more nearly"
        if leak.n_pairs:
            words += f" ({rows_of(leak.n_pairs, leak.source_rows)})"
        yield "also in", words
    if d.scripts:
        shown = [f"{name} {share(part)}" for name, part in list(d.scripts.items())[:8]]
        yield "scripts", ", ".join(shown) + " of responses, by most letters"


def _lengths(d: "Diagnosis") -> Iterator[tuple[str, str]]:
    if d.characters is not None:
        yield "characters", f"{_spread(d.characters)} in a response"
    if d.length is not None:
        one = d.length
        words = f"{one.longer_preferred:.3f} [{one.low:.3f}, {one.high:.3f}]: share of "
        words += f"pairs whose longer response is preferred ({one.n_prompts:,} prompts)"
        yield "length baseline", words
        words = f"{one.median_preferred:,.0f} characters preferred, "
        yield "median", f"{words}{one.median_other:,.0f} not"
    cut = d.truncation
    if cut is not None:
        yield "tokens", f"{_spread(cut.tokens)} in an item, at a limit of {cut.limit:,}"
        yield "cut", counted(cut.n_cut, d.n_items, "items")
        if d.n_pairs:
            yield "identical then", rows_of(cut.n_identical, cut.source_rows)
    elif d.beyond:
        beyond = [f"{share(n)} > {limit:,}" for limit, n in d.beyond.items() if n]
        words = ", ".join(beyond) or f"none > {min(d.beyond):,}"
        yield "tokens", f"{words}, at 4 characters each; --encoder counts them"


def _annotators(who: "Annotators | None") -> Iterator[tuple[str, str]]:
    if who is None:
        return
    yield "annotators", f"{who.n:,}"
    most = [f"{one_line(name, 24)} {n:,}" for name, n in who.counts.items()]
    more = [f"{who.n - len(most):,} more"] if who.n > len(most) else []
    yield "labels of each", ", ".join(most + more)
    if who.n_unnamed:
        yield "unnamed", f"{who.n_unnamed:,} labels"
    if who.n_labelled_by_several:
        words = f"Krippendorff's alpha {_alpha(who.alpha_labels)} over "
        words += f"{who.n_labelled_by_several:,} comparisons labelled by several"
        yield "agreement", words
    if who.n_rated_by_several:
        words = f"Krippendorff's alpha {_alpha(who.alpha_ratings)} (interval) over "
        words += f"{who.n_rated_by_several:,} items rated by several"
        yield "of scores", words
    if not who.n_labelled_by_several and not who.n_rated_by_several:
        yield "agreement", "unknown: nothing was judged by several"


def _suspicious(d: "Diagnosis") -> Iterator[tuple[str, str]]:
    if d.suspicious is None:
        return
    yield "found", counted(d.suspicious.n, d.suspicious.n_judged, "labels")
    words = f"contrary held-out probability >= {d.suspicious.threshold:.2f}"
    yield "by", f"{words} (confident learning)"
    for example in d.suspicious.examples:
        yield from example_facts(example)


def example_facts(example: "Example") -> list[tuple[str, str]]:
    """Write an example as named lines, each of one line."""
    place = f"row {example.source_row + 1:,}"
    facts = [(place, one_line(example.prompt, _TEXT))]
    if example.label is None:
        facts.append(("  response", one_line(example.first, _TEXT)))
        known = {k: v for k, v in (example.known or {}).items() if v is not None}
        words = ", ".join(f"{name} {value}" for name, value in known.items())
        return [*facts, ("  known", one_line(words or "nothing", _TEXT))]
    facts.append(("  first", one_line(example.first, _TEXT)))
    facts.append(("  second", one_line(example.second, _TEXT)))
    words = f"{example.label:g}: {_meaning(example.label)}"
    if example.probability is not None:
        words += f"; held-out probability {example.probability:.3f}"
    return [*facts, ("  label", words)]


def as_text(diagnosis: "Diagnosis") -> str:
    """Write a diagnosis in lines of 80 columns at most, without control characters."""
    lines = [*_head(diagnosis), "", "First rows, as they were read"]
    for example in diagnosis.examples:
        lines += _fact_lines(example_facts(example))
    found = diagnosis.findings
    lines += ["", "Look at this before you fit" if found else "Nothing to look at"]
    for finding in found:
        mark = "!" if finding.grave else "-"
        lines += _wrapped(f"  {mark} ", clean(finding.message))
    for section in sections(diagnosis):
        lines += ["", section.title, *_fact_lines(section.facts)]
    lines += ["", "Rows are counted from 1."]
    return "\n".join(lines)


def reading(diagnosis: "Diagnosis") -> list[tuple[str, str]]:
    """Say how the source was read: words before a line, and the line."""
    report = diagnosis.read_report
    source, counts = clean(report.source), f"{report.n_read:,} rows"
    counts += f", {report.n_kept:,} kept, {report.n_left_out:,} left out"
    lines = [("", f"{source} read as {report.format}: {counts}")]
    if report.why:
        lines.append(("", f"recognised by: {clean(report.why)}"))
    for entry in report.left_out:
        more = ", ..." if entry.n > len(entry.where) else ""
        where = "; ".join(entry.where) + more
        lines.append(("  left out: ", clean(f"{entry.n:,} {entry.reason} ({where})")))
    return lines + [("  note: ", clean(note)) for note in report.notes]


def _head(diagnosis: "Diagnosis") -> Iterator[str]:
    for start, line in reading(diagnosis):
        yield from _wrapped(start, line)


def _fact_lines(facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    names = [one_line(name, 30, keep_start=True) for name, _ in facts]
    width = min(max(map(cell_len, names), default=0), 18)
    for name, (_, words) in zip(names, facts, strict=True):
        padded = name + " " * max(width - cell_len(name), 0)
        yield from _wrapped(f"  {padded}  ", clean(words), indent=width + 4)


def _wrapped(start: str, words: str, indent: int | None = None) -> list[str]:
    pad = " " * (cell_len(start) if indent is None else indent)
    return textwrap.wrap(
        start + words,
        _WIDTH,
        subsequent_indent=pad,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]


def as_html(diagnosis: "Diagnosis") -> str:
    """Write a diagnosis as an HTML fragment, every text escaped."""
    found = diagnosis.findings
    items = "".join(f"<li>{escape(clean(one.message))}</li>" for one in found)
    parts = [f"<p>{escape(a + b)}</p>" for a, b in reading(diagnosis)]
    heading = "Look at this before you fit" if found else "Nothing to look at"
    parts.append(f"<h4>{heading}</h4><ul>{items}</ul>")
    facts = [fact for one in diagnosis.examples for fact in example_facts(one)]
    examples = Section("First rows, as they were read", facts)
    for section in [examples, *sections(diagnosis)]:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(clean(name).strip())}</th>"
            f"<td style='text-align:left'>{escape(clean(words))}</td></tr>"
            for name, words in section.facts
        )
        parts.append(f"<h4>{escape(section.title)}</h4><table>{rows}</table>")
    return "".join(parts)


def clean(text: str) -> str:
    r"""Show what does not print, such as an escape character, as its code.

    Examples
    --------
    >>> print(clean("red \x1b[31m"))
    red \x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(text: str, width: int, *, keep_start: bool = False) -> str:
    """Put a text on one line of so many columns, its middle left out where needed."""
    start = text[: len(text) - len(text.lstrip(" "))] if keep_start else ""
    # Far more than fits: texts may be long, and are shown in part.
    if len(text) > 8 * width:
        text = f"{text[: 4 * width]} ... {text[-4 * width :]}"
    line = start + clean(" ".join(text.split()))
    if cell_len(line) <= width:
        return line
    tail = min(_TAIL, width // 3)
    head = set_cell_size(line, width - tail - 5).rstrip()
    end = line[::-1]
    return f"{head} ... {set_cell_size(end, tail)[::-1].strip()}"


def _spread(spread: "Spread") -> str:
    shown = {
        "median": spread.median,
        "mean": spread.mean,
        "95th percentile": spread.p95,
    }
    if spread.least == spread.most:
        return _number(spread.most)
    numbers = ", ".join(f"{name} {_number(value)}" for name, value in shown.items())
    return f"{_number(spread.least)} to {_number(spread.most)}, {numbers}"


def _number(value: float) -> str:
    whole = value >= 100 or value == int(value)
    return (
        f"{value:,.0f}" if whole else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
    )


def _meaning(label: float) -> str:
    if label == 0.5:
        return "a tie"
    return "first is preferred" if label > 0.5 else "second is preferred"


def _alpha(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
