"""Try wheel and sdist as a stranger would, on every interpreter that is named.

    python requirements/try_release.py python3.11 python3.12 python3.13

Builds both; then, for each interpreter and each of the two, makes a fresh environment
in an empty directory, installs the file with nothing but what it asks for, runs the
README's first example, and fits, evaluates and scores on the command line.
"""

import doctest
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = ["-m", "pip", "--disable-pip-version-check", "install", "-q"]
COMMANDS = (
    "heads",
    "fit data/quickstart.jsonl --out model --encoder hashing+style --cache vectors",
    "evaluate model data/quickstart.jsonl",
    "score model data/quickstart.jsonl --out scored.jsonl",
)


def first_example() -> str:
    """Take the first doctest of the README that uses embrm, as a script."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    block = next(block for block in blocks if "embrm" in block)
    parsed = doctest.DocTestParser().get_examples(block)
    if not parsed:
        return block
    *before, last = (example.source for example in parsed)
    return "".join(before) + f"print({last.strip()})\n"


def run(*command: str | Path, place: Path) -> str:
    """Run a command in a directory; raise with its last words if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}"[-3000:])
    return done.stdout


def attempt(python: str, built: Path, place: Path) -> None:
    """Install one file for one interpreter, and use it."""
    started = time.perf_counter()
    run(python, "-m", "venv", place / "env", place=place)
    inside = place / "env" / "bin"
    run(inside / "python", *PIP, built, place=place)
    (place / "data").mkdir()
    shutil.copy(ROOT / "data" / "quickstart.jsonl", place / "data")
    version = run(inside / "python", "--version", place=place).strip()
    (place / "example.py").write_text(first_example(), "utf-8")
    printed = run(inside / "python", "-W", "error", "example.py", place=place)
    for line in COMMANDS:
        run(inside / "embrm", *line.split(), place=place)
    seconds = time.perf_counter() - started
    print(f"{version:<15} {built.suffix:<5} {seconds:4.0f} s  {printed.strip()[:60]!r}")


def main() -> None:
    """Build once, then try everything."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        command = ["-m", "build", "--no-isolation", "-o", top / "dist", ROOT]
        run(sys.executable, *command, place=top)
        for python in sys.argv[1:] or [sys.executable]:
            for built in sorted((top / "dist").iterdir()):
                place = Path(tempfile.mkdtemp(dir=top))
                attempt(python, built, place)


if __name__ == "__main__":
    main()
