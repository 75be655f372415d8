"""Docstrings in numpydoc's form, written as Markdown."""

import re
import textwrap
from collections.abc import Callable

FIELDS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
TEXTS = ("Notes", "References", "Examples", "See Also")

_HEADING = re.compile(rf"^({'|'.join([*FIELDS, *TEXTS])})\n-+\n", re.MULTILINE)
_FORMULA = re.compile(r"^[ \t]*\.\. math::(.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_CODE = re.compile(r"^\.\. code-block:: *(\w+)\n\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_SOURCE = re.compile(r"^\.\. \[(\d)\] ((?:.*)(?:\n[ ]+.*)*)", re.MULTILINE)
_SESSION = re.compile(r"^>>> (?:.+\n?)+", re.MULTILINE)

Link = Callable[[str], str]


def sections(docstring: str) -> dict[str, str]:
    """Cut a docstring: what stands before all headings has the name ""."""
    parts = _HEADING.split(docstring)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def fields(text: str) -> list[tuple[str, str]]:
    """Cut a section of fields into pairs: `name : type`, and the description."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line and not line[0].isspace():
            found.append((line.strip(), ""))
        elif found:
            name, description = found[-1]
            found[-1] = (name, f"{description}\n{line}")
    return [(name, textwrap.dedent(words).strip()) for name, words in found]


def to_markdown(text: str, link: Link = str) -> str:
    """Turn formulas, code, sources and names of a text into Markdown."""
    text = _FORMULA.sub(lambda match: f"\n$$\n{match[1].strip()}\n$$\n", text.strip())
    text = _CODE.sub(
        lambda match: f"```{match[1]}\n{textwrap.dedent(match[2]).strip()}\n```\n", text
    )
    text = _SOURCE.sub(
        lambda match: f"{match[1]}. {' '.join(match[2].split())}\n", text
    )
    text = _SESSION.sub(lambda match: f"\n```pycon\n{match[0].rstrip()}\n```\n", text)
    parts = re.split(r"(?ms)(^```.*?^```$|^\$\$\n.*?\n\$\$$)", text)
    for place in range(0, len(parts), 2):
        words = re.sub(
            r":math:`([^`]+)`",
            lambda match: f"${' '.join(match[1].split())}$",
            parts[place],
        )
        words = re.sub(r"\[(\d)\]_", r"[\1]", words)
        parts[place] = re.sub(r"``?([\w.]+)``?", lambda match: link(match[1]), words)
    return "".join(parts)


def field_list(heading: str, text: str, link: Link = str) -> str:
    """Write a section of fields as a definition list."""
    lines = [f"**{heading}**", ""]
    for name, description in fields(text):
        words, _, kind = name.partition(" : ")
        term = f"`{words}`" + (f" : {to_markdown(kind, link)}" if kind else "")
        if heading in {"Returns", "Yields", "Raises", "Warns"} and not kind:
            term = link(words) if re.fullmatch(r"[\w.]+", words) else f"`{words}`"
        body = to_markdown(description, link) if description else "\u2003"
        lines += [term, textwrap.indent(body, "    ").replace("    ", ":   ", 1), ""]
    return "\n".join(lines)


def docstring_to_markdown(docstring: str, link: Link = str) -> str:
    """Write a whole docstring: the text, its fields, its examples."""
    parts = []
    for heading, text in sections(docstring).items():
        if heading in FIELDS:
            parts.append(field_list(heading, text, link))
        elif heading:
            parts += [f"**{heading}**", to_markdown(text, link)]
        else:
            parts.append(to_markdown(text, link))
    return "\n\n".join(filter(None, parts)) + "\n"
