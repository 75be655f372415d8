"""Write docs/licences.md: the licence of every package that the Makefile installs.

    python requirements/licences.py

Versions come from the hashed lists beside this file, licences from the metadata of the
installed packages. Packages for other systems than this one are named without.
"""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "licences.md"
STEPS = {
    "demo": "embrm and its extras",
    "test": "tests",
    "dev": "linters",
    "docs": "the site",
    "build": "building",
}
# Classifiers and free text, to SPDX where they say enough.
SPDX = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD (2 or 3 clauses)",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "ISC License": "ISC",
    "3-Clause BSD License": "BSD-3-Clause",
}


def locked(step: str) -> tuple[list[str], list[str]]:
    """Return the packages of one list: those for this system, and the others."""
    text = (HERE / f"{step}.txt").read_text("utf-8")
    here: list[str] = []
    elsewhere: list[str] = []
    for line in re.findall(r"^[\w.-]+==[^\\\n]+", text, flags=re.MULTILINE):
        wanted = Requirement(line.strip())
        fits = wanted.marker is None or wanted.marker.evaluate()
        (here if fits else elsewhere).append(wanted.name)
    return here, [name for name in elsewhere if name not in here]


def licence(package: str) -> str:
    """Say what a package's metadata says, in SPDX where it can be told."""
    facts = metadata.metadata(package)
    if facts.get("License-Expression"):
        return str(facts["License-Expression"])
    classified = [
        words.rpartition("::")[2].strip()
        for words in facts.get_all("Classifier") or []
        if words.startswith("License ::")
    ]
    names = [SPDX[words] for words in classified if words in SPDX]
    free = (facts.get("License") or "").strip()
    if names and not (len(names) == 1 and names[0].startswith("BSD (")):
        return " OR ".join(names)
    if "\n" not in free and 0 < len(free) < 40:
        return SPDX.get(free, free)
    return names[0] if names else "see the package"


def main() -> None:
    """Write the page."""
    rows, elsewhere = [], set()
    for step, use in STEPS.items():
        here, others = locked(step)
        elsewhere |= set(others)
        for name in [*here, *(["torch"] if step == "demo" else [])]:
            version = metadata.version(name).partition("+")[0]
            rows.append(f"| {name} | {version} | {licence(name)} | {use} |")
    page = PAGE.read_text("utf-8")
    head = page[: page.index("| package |")]
    table = [
        "| package | version | licence | for |",
        "|---|---|---|---|",
        *sorted(rows),
    ]
    others = ", ".join(sorted(elsewhere))
    end = f"\nFor other systems or versions of Python only: {others}.\n"
    PAGE.write_text(head + "\n".join(table) + "\n" + end, "utf-8")
    print(f"{PAGE.name}: {len(rows)} packages")


if __name__ == "__main__":
    main()
