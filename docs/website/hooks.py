"""What MkDocs is told of beyond the files of docs/: see mkdocs.yml.

The reference and the pages of the commands are generated; pages of the repository's
root, and files that a page links to outside docs/, become part of the site.
"""

import re
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

from docs.website import commands, pictures, reference

ROOT = Path(__file__).resolve().parents[2]
FROM_ROOT = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing/README.md",
    "SECURITY.md": "security.md",
    "README.md": "README.md",
    "benchmarks/paper/FINDINGS.md": "paper-findings.md",
    "benchmarks/paper/smollm2/FINDINGS.md": "paper-findings-smollm2.md",
}
"""Pages that lie outside docs/, and where they are in the site."""

_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#|<)([^)#\s]+)((?:#[^)\s]*)?[^)]*\))")
# A class or a function of a module as code, e.g. `Pairs`: not in a link or a heading.
_NAME = re.compile(
    r"^#.*$|(?<![\[`])`((?:\w+\.)*[A-Z]\w*|(?:\w+\.)+\w+)(?:\([^`\n]*\))?`(?![`\]])",
    re.MULTILINE,
)
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are generated, and lay out the navigation."""

    def add(place: str, content: str | bytes) -> None:
        files.append(File.generated(config, place, content=content))

    for source, place in FROM_ROOT.items():
        if (ROOT / source).exists() and files.get_file_from_path(place) is None:
            text = (ROOT / source).read_text("utf-8")
            add(place, moved(text, source, place))
    for name, text in reference.pages().items():
        add(f"reference/{name}", text)
    for name, text in commands.pages(ROOT / "docs").items():
        add(f"commands/{name}", text)
    for name in pictures.PICTURES:
        add(f"reference/{name}.png", pictures.png(name))
    config.nav = laid_out(config.nav, [file.src_uri for file in files])
    return files


def moved(text: str, source: str, place: str) -> str:
    """Point the relative links of a page that is shown elsewhere to where they led."""

    def new(match: re.Match[str]) -> str:
        target = normpath(PurePosixPath(source).parent / match[2])
        return (
            match[1] + relpath(f"../{target}", PurePosixPath(place).parent) + match[3]
        )

    return _LINK.sub(new, text)


def laid_out(nav: list[Any], places: list[str]) -> list[Any]:
    """Leave out what is not there; put in what a pattern stands for, in order."""
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, inner),) = entry.items()
            if isinstance(inner, str) and "*" not in inner:
                found += [entry] if inner in places else []
                continue
            inner = laid_out([inner] if isinstance(inner, str) else inner, places)
            found += [{title: inner}] if inner else []
        elif "*" in entry:
            fitting = sorted(
                (one for one in places if fnmatch(one, entry) and one.endswith(".md")),
                key=lambda place: (
                    not place.endswith(("/index.md", "/README.md", "/embrm.md")),
                    place.removesuffix(".md"),
                ),
            )
            found += [one for one in fitting if one not in found]
        else:
            found += [entry] if entry in places else []
    return found


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links out of docs/ lead to pages of the site, or to copies of the files."""
    here = PurePosixPath(page.file.src_uri).parent

    def inside(match: re.Match[str]) -> str:
        target = normpath(here / match[2])
        if not target.startswith("../"):
            return match[0]
        outside = target.removeprefix("../")
        place = FROM_ROOT.get(outside, f"files/{outside}")
        if outside.startswith("docs/"):
            place = outside.removeprefix("docs/")
        elif outside not in FROM_ROOT and (ROOT / outside).is_file():
            add_copy(outside, place, config, files)
        return match[1] + relpath(place, here) + match[3]

    def to_reference(match: re.Match[str]) -> str:
        entry = reference.places().get(match[1])
        if entry is None:
            return match[0]
        place = relpath(f"reference/{reference.page_name(entry.page)}", here)
        return f"[{match[0]}]({place}#{entry.path})"

    parts = _FENCED.split(markdown)
    parts[::2] = [_LINK.sub(inside, part) for part in parts[::2]]
    if here.name not in ("reference", "commands"):
        parts[::2] = [_NAME.sub(to_reference, part) for part in parts[::2]]
    return "".join(parts)


def add_copy(source: str, place: str, config: Any, files: Files) -> None:
    """Put a file of the repository into the site."""
    if files.get_file_from_path(place) is None:
        path = str(ROOT / source)
        files.append(File.generated(config, place, abs_src_path=path))
