"""Run the examples of the gallery, and write their pages, pictures and the index.

    python docs/gallery/build.py             # all of them
    python docs/gallery/build.py pareto      # this one, and the index
    python docs/gallery/build.py --check     # run all, and compare with their pages

An example is one script. Its docstring holds the title, what the picture shows, and
after "Alt:" the picture's words for those who cannot see it; the last thing it does is
to save `NAME.png`. Each runs in a process and directory of its own, warnings as errors.
"""

import ast
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 60
"""That an example may take."""

# From the first reward model to what is done with it.
ORDER = (
    "leaderboard",
    "encoders",
    "layers",
    "diagnosis",
    "annotators",
    "noise_sweep",
    "label_budget",
    "calibration",
    "risk_coverage",
    "length_bias",
    "best_of_n",
    "overoptimisation",
    "policies",
    "pareto",
)
SLOW = ("layers", "label_budget")
"""Left to `make test-long`: about 20 seconds and more."""


@dataclass(frozen=True)
class Example:
    """A script, taken apart."""

    name: str
    title: str
    text: str
    alt: str
    code: str

    @classmethod
    def read(cls, name: str) -> "Example":
        """Cut a script into its docstring's three parts and its code."""
        source = (HERE / f"{name}.py").read_text("utf-8")
        parsed = ast.parse(source)
        words = ast.get_docstring(parsed)
        if words is None:
            raise ValueError(f"{name}.py has no docstring")
        title, _, rest = words.partition("\n\n")
        text, _, alt = rest.partition("\n\nAlt:")
        if not alt.strip():
            raise ValueError(f"the docstring of {name}.py has no part 'Alt: ...'")
        code = "\n".join(source.splitlines()[parsed.body[0].end_lineno :]).strip()
        return cls(name, title, text, " ".join(alt.split()), code)

    def run(self) -> tuple[str, bytes]:
        """Run the script; return what it printed, and its picture."""
        with tempfile.TemporaryDirectory() as place:
            done = subprocess.run(
                [sys.executable, "-W", "error", str(HERE / f"{self.name}.py")],
                cwd=place,
                # One thread: on cores that are shared, two wait for each other.
                env={"OMP_NUM_THREADS": "1"}
                | os.environ
                | {
                    "PYTHONPATH": os.pathsep.join(
                        filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
                    ),
                    "MPLBACKEND": "agg",
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=5 * SECONDS,
            )
            if done.returncode:
                raise RuntimeError(f"{self.name}.py failed:\n{done.stderr[-2000:]}")
            return done.stdout, (Path(place) / f"{self.name}.png").read_bytes()

    def page(self, printed: str) -> str:
        """Write the page."""
        return (
            f"# {self.title}\n\n{self.text}\n\n"
            f"![{self.alt}]({self.name}.png)\n\n"
            f"```python\n{self.code}\n```\n\n"
            f"It prints\n\n```text\n{printed.rstrip()}\n```\n\n"
            f"[The script]({self.name}.py); [all examples](index.md).\n"
        )


def printed_on(page: str) -> str:
    """Cut what an example printed out of its page."""
    return page.split("```text\n", 1)[1].split("\n```", 1)[0]


def agree(printed: str, expected: str) -> bool:
    """Say whether two outputs are the same but for the last digits of numbers.

    Those differ between processors: by less than a tenth, or 0.03.
    """
    number = r"-?\d+(?:\.\d+)?"
    if re.sub(number, "#", printed).split() != re.sub(number, "#", expected).split():
        return False
    both = zip(re.findall(number, printed), re.findall(number, expected), strict=True)
    return all(
        math.isclose(float(one), float(other), rel_tol=0.1, abs_tol=0.03)
        for one, other in both
    )


def index() -> str:
    """Write the overview: a thumbnail, a title and the first sentence of each."""
    cards = []
    for name in ORDER:
        example = Example.read(name)
        first = " ".join(example.text.split()).split(". ")[0].rstrip(".") + "."
        cards.append(
            f"## [{example.title}]({name}.md)\n\n"
            f'[![{example.alt}]({name}.png){{ width="320" }}]({name}.md)\n\n'
            f"{first}\n"
        )
    return (
        "# Gallery\n\nEach example is one script that runs in under a minute on data "
        "that come with embrm: copy it, run\nit, change it. "
        "`python docs/gallery/build.py` runs them all and writes these pages.\n\n"
        + "\n".join(cards)
    )


def main() -> None:
    """Run what is asked for; write the pages, or compare with them."""
    names = [name for name in sys.argv[1:] if name != "--check"]
    check = "--check" in sys.argv
    wrong = []
    for name in names or ORDER:
        started = time.perf_counter()
        example = Example.read(name)
        printed, picture = example.run()
        seconds = time.perf_counter() - started
        late = f"  more than {SECONDS} s!" if seconds > SECONDS else ""
        print(
            f"{name:<18} {seconds:5.1f} s {len(picture) / 1000:5.0f} kB{late}",
            flush=True,
        )
        page = HERE / f"{name}.md"
        if not check:
            (HERE / f"{name}.png").write_bytes(picture)
            page.write_text(example.page(printed), "utf-8")
        elif not agree(printed.rstrip(), printed_on(page.read_text("utf-8"))):
            wrong.append(name)
            print(printed)
    if wrong:
        raise SystemExit(f"prints what is not on its page: {', '.join(wrong)}")
    if not check:
        (HERE / "index.md").write_text(index(), "utf-8")


if __name__ == "__main__":
    main()
