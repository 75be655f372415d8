"""A diagnosis of preference data as one HTML file, readable on a phone."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from embrm import __version__
from embrm.datasets import Diagnosis
from embrm.datasets.diagnosis import Example
from embrm.datasets.diagnosis_words import clean, example_facts, reading, sections
from embrm.embed.cache.durable import output_text

_MOST_CHARACTERS = 1500


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
    environment = Environment(
        loader=PackageLoader("embrm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("data.html.j2").render(
        version=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        title=title,
        reading=lines,
        findings=[(one.grave, clean(one.message)) for one in diagnosis.findings],
        examples=[_example(one) for one in diagnosis.examples],
        sections=facts,
        suspicious=wrong,
        wrong=[] if wrong is None else [_example(one) for one in wrong.examples],
    )
    target = Path(path)
    with output_text(target) as file:
        file.write(page)
    return target


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
