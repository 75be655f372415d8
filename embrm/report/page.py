"""A report as a frame, as one HTML file, as Markdown, and in a notebook.

It opens with the verdict in words, then come warnings, pictures and tables. The page
has no script and no link, and is made for phones, paper, light and dark. A diagnosis
of preference data has such a page, too.
"""

import base64
import html
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from embrm import __version__
from embrm._optional import import_optional
from embrm.datasets import Diagnosis
from embrm.datasets.diagnosis import Example
from embrm.datasets.diagnosis_words import clean, example_facts, reading, sections
from embrm.embed.cache.durable import output_text
from embrm.evaluate.resampling import Interval

Cell = tuple[str, str]
"""Text of a cell, and small print beside it."""

_MOST_CHARACTERS = 1500


@dataclass(frozen=True)
class Row:
    """Row of a table.

    Attributes
    ----------
    cells : sequence of Cell
    kind : str
        "best", "baseline" or "".
    shades : sequence of float or None, optional
        Depth of each cell's background in [0, 1].
    """

    cells: Sequence[Cell]
    kind: str = ""
    shades: Sequence[float | None] | None = None

    @classmethod
    def of(cls, *cells: Cell | str, **rest: Any) -> "Row":
        """Make a row; a cell that is a text has nothing beside it."""
        return cls([(c, "") if isinstance(c, str) else c for c in cells], **rest)


@dataclass(frozen=True)
class Table:
    """Table with a heading and a note."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Row]
    note: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A display, with its alternative text and caption."""

    display: Any
    alt: str
    caption: str


@dataclass(frozen=True)
class Rankings:
    """Prompts with their responses in order of reward."""

    title: str
    note: str
    examples: Sequence[dict[str, Any]]
    kind: str = "rankings"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    title: str
    facts: Sequence[tuple[str, str]]
    kind: str = "facts"


Block = Table | Rankings | Facts


@dataclass(frozen=True, eq=False)
class Report:
    """What was found, in words, pictures and tables.

    Attributes
    ----------
    title : str
    verdict : str
        What it comes to, in words.
    warnings : tuple of str
        What makes the figures less than they seem.
    pictures : tuple of Picture
    blocks : tuple of Block
    table : DataFrame
        The figures.
    """

    title: str
    verdict: str
    table: pd.DataFrame
    warnings: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    blocks: tuple[Block, ...] = field(default=(), repr=False)

    def summary(self) -> pd.DataFrame:
        """Return the figures as a frame."""
        return self.table.copy()

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as one HTML page, and write it where a path is given.

        Raises
        ------
        MissingDependencyError
            If matplotlib, which draws the pictures, is not installed.
        """
        page = _rendered(
            "page.html.j2",
            report=self,
            pictures=[
                {"alt": p.alt, "caption": p.caption, "data": _png(p.display)}
                for p in self.pictures
            ],
            blocks=self.blocks,
        )
        return _written(page, path)

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as Markdown without pictures, and write it to a path."""
        lines = [f"# {_plain(self.title)}", "", _plain(self.verdict), ""]
        lines += [f"- **Warning:** {_plain(warning)}" for warning in self.warnings]
        for block in self.blocks:
            lines += ["", f"## {_plain(block.title)}", ""]
            if isinstance(block, Table):
                lines += _markdown_table(block)
            elif isinstance(block, Facts):
                lines += [f"- {_plain(n)}: {_plain(v)}" for n, v in block.facts]
            else:
                lines += [_plain(block.note)]
                for example in block.examples:
                    lines += ["", f"**{_plain(example['prompt'])}**", ""]
                    lines += [
                        f"{at}. {_plain(r['text'])} (score {r['score']}, reward "
                        f"{r['reward']})"
                        for at, r in enumerate(example["responses"], 1)
                    ]
        return _written("\n".join(lines).rstrip() + "\n", path)

    def _repr_html_(self) -> str:
        """Show the verdict, the warnings and the figures in a notebook."""
        warnings = "".join(f"<li>{html.escape(w)}</li>" for w in self.warnings)
        figures = self.table.to_html(float_format=lambda v: f"{v:.3f}", border=0)
        return (
            f"<h3>{html.escape(self.title)}</h3><p>{html.escape(self.verdict)}</p>"
            f"{f'<ul>{warnings}</ul>' if warnings else ''}{figures}"
        )


def interval_cell(interval: Interval | None) -> Cell:
    """Write an estimate, with its interval as small print."""
    if interval is None:
        return "", ""
    bounds = f"[{interval.low:.3f}, {interval.high:.3f}]"
    return f"{interval.estimate:.3f}", "" if interval.low != interval.low else bounds


def percent(share: float) -> str:
    """Write a share as a percentage.

    Examples
    --------
    >>> percent(0.7134)
    '71.3%'
    """
    return f"{share:.1%}"


def versions() -> str:
    """Name the libraries that figures come from, with their versions."""
    # Not the metadata of the installation: of a checkout, that is as old as it.
    names = ("numpy", "scikit-learn", "pandas")
    others = [f"{name} {version(name)}" for name in names]
    return ", ".join([f"embrm {__version__}", *others])


def _png(display: Any) -> str:
    figure_type = import_optional("matplotlib.figure", extra="plot").Figure
    figure = figure_type(figsize=(5.2, 3.6), layout="constrained")
    display.plot(ax=figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _rendered(template: str, **parts: Any) -> str:
    environment = Environment(
        loader=PackageLoader("embrm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = environment.get_template(template)
    return page.render(version=__version__, created=created, **parts)


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        with output_text(path) as file:
            file.write(text)
    return text


def _markdown_table(table: Table) -> list[str]:
    heads = [_plain(heading) or " " for heading in table.headings]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in table.rows:
        cells = [_plain(" ".join(filter(None, cell))) for cell in row.cells]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, *(["", _plain(table.note)] if table.note else [])]


def _plain(text: str) -> str:
    """Write a text in one line that Markdown takes as it is."""
    words = " ".join(str(text).split())
    for mark in "\\`*_[]<>|#":
        words = words.replace(mark, f"\\{mark}")
    return words


def write_data_page(path: str | os.PathLike[str], diagnosis: Diagnosis) -> Path:
    """Write a diagnosis as a page: what to look at, the first rows, every fact.

    Parameters
    ----------
    path : path
        Where the HTML goes; replaced if it is there.
    diagnosis : Diagnosis

    Returns
    -------
    Path

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from embrm.datasets import diagnose, read_preferences
    >>> row = {"prompt": "2+2?", "chosen": "4", "rejected": "5"}
    >>> with TemporaryDirectory() as directory:
    ...     page = write_data_page(
    ...         f"{directory}/data.html", diagnose(read_preferences([row]))
    ...     )
    ...     "Look at this before you fit" in page.read_text()
    True
    """
    title = clean(diagnosis.read_report.source)
    lines = ["".join(parts).strip() for parts in reading(diagnosis)]
    # The name of the source is the title.
    lines[0] = f"R{lines[0].removeprefix(f'{title} r')}"
    facts = [
        (section.title, [(clean(name), clean(words)) for name, words in section.facts])
        for section in sections(diagnosis)
        if section.title != "Labels that look wrong"
    ]
    wrong = diagnosis.suspicious
    page = _rendered(
        "data.html.j2",
        title=title,
        reading=lines,
        findings=[(one.grave, clean(one.message)) for one in diagnosis.findings],
        examples=[_example(one) for one in diagnosis.examples],
        sections=facts,
        suspicious=wrong,
        wrong=[] if wrong is None else [_example(one) for one in wrong.examples],
    )
    _written(page, path)
    return Path(path)


def _example(example: Example) -> dict[str, Any]:
    """Take the texts whole, but for very long ones; the label as it is printed."""
    texts = [("prompt", example.prompt), ("first", example.first)]
    if example.label is None:
        texts[1] = ("response", example.first)
    else:
        texts.append(("second", example.second))
    return {
        "row": example.source_row + 1,
        "texts": [(name, _shortened(text)) for name, text in texts],
        "label": example_facts(example)[-1][1],
    }


def _shortened(text: str) -> str:
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    return "\n".join(map(clean, text.split("\n")))
