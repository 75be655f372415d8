"""What the tests of the README and of docs/ share: pages, cut up and run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_CODE = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n+^```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"-?\d+\.\d+")
# Between the outputs of blocks; no page prints it.
_MARK = "----8<----"
# Figures of a real encoder depend on the processor, in their last digits.
_TOLERANCE = 0.03
# With bfloat16, which some processors have, they depend on it in more than these.
_FLOAT32 = f"""
from pathlib import Path
from embrm.embed import sliced_encoder
sliced_encoder._CPUINFO = Path({os.devnull!r})
"""


def blocks(text: str, language: str) -> list[str]:
    """Cut out the code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Split every `embrm` line into words, continued lines joined."""
    lines = "".join(blocks(text, "(?:console|bash)")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line[:1] == ["embrm"]]


def links(text: str) -> list[str]:
    """List the relative targets of a page's links and pictures, anchors cut off."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", prose)


def run_python(text: str, place: Path) -> list[tuple[str, str]]:
    """Run a page's Python from top to bottom, in a process of its own.

    Returns what was printed and what the page says is printed, of each block that is
    followed by one of `text`. Warnings are errors.
    """
    (place / "data").symlink_to(ROOT / "data")
    found = list(_CODE.finditer(text))
    code = f"\nprint({_MARK!r})\n".join(match["code"] for match in found)
    code = _FLOAT32 + code
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), os.environ.get("PYTHONPATH", "")]
            ),
            "PYTHONWARNINGS": "error",
            "MPLBACKEND": "agg",
            # Pages run beside each other; threads that spin would wait for each other.
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace(_MARK, "").strip(), "the page prints nothing"
    outputs = done.stdout.split(f"{_MARK}\n")
    return [
        (output, match["printed"])
        for output, match in zip(outputs, found, strict=True)
        if match["printed"]
    ]


def is_alike(output: str, shown: str) -> bool:
    """Whether a page shows what was printed: equal words, numbers nearly equal."""
    if [*_NUMBER.sub("#", output).split()] != [*_NUMBER.sub("#", shown).split()]:
        return False
    pairs = zip(_NUMBER.findall(output), _NUMBER.findall(shown), strict=True)
    return all(
        abs(float(one) - float(other))
        <= max(_TOLERANCE, 1.5 * 10.0 ** -len(other.partition(".")[2]))
        for one, other in pairs
    )
