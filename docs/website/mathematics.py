"""Formulas as MathML, which browsers draw by themselves: no script and no font.

`$x$` within a line, and a line or lines between two lines of `$$`.
"""

import re
import xml.etree.ElementTree as ET
from typing import Any

from latex2mathml.converter import convert
from markdown import Extension
from markdown.blockprocessors import BlockProcessor
from markdown.inlinepatterns import InlineProcessor

# Macros that latex2mathml does not know, by what it does.
_KNOWN = {
    r"\lVert": r"\|",
    r"\rVert": r"\|",
    r"\mathrm": r"\text",
    r"\arg": r"\text{arg }",
}
_TEXT = re.compile(r"\\text\{([^{}]*)\}_")


def to_mathml(formula: str, display: str = "inline") -> str:
    """Convert a formula."""
    for macro, known in _KNOWN.items():
        formula = formula.replace(macro, known)
    return convert(" ".join(formula.split()), display=display)


class _Inline(InlineProcessor):
    def handleMatch(  # noqa: N802  (Markdown's name)
        self, m: re.Match[str], data: str
    ) -> tuple[str, int, int]:
        return self.md.htmlStash.store(to_mathml(m[1])), m.start(0), m.end(0)


class _Block(BlockProcessor):
    def test(self, parent: ET.Element, block: str) -> bool:
        return block.startswith("$$\n") and block.rstrip().endswith("\n$$")

    def run(self, parent: ET.Element, blocks: list[str]) -> None:
        formula = blocks.pop(0).strip().strip("$")
        made = ET.SubElement(parent, "p")
        made.text = self.parser.md.htmlStash.store(to_mathml(formula, "block"))


class Mathematics(Extension):
    """Adds both patterns to Markdown."""

    def extendMarkdown(self, md: Any) -> None:  # noqa: N802  (Markdown's name)
        """Register them: after code, whose dollars are dollars, before emphasis."""
        pattern = r"(?<![\\$\w])\$(?![\s$])([^$]+?)(?<![\s\\])\$(?!\w)"
        md.inlinePatterns.register(_Inline(pattern, md), "formula", 185)
        md.parser.blockprocessors.register(_Block(md.parser), "formula", 175)


def makeExtension(**options: Any) -> Mathematics:  # noqa: N802  (Markdown's name)
    """Give the extension, as Markdown asks for it."""
    return Mathematics(**options)
