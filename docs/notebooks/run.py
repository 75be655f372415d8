"""Run the tutorial notebooks from top to bottom, and store what they print.

    python docs/notebooks/run.py              # all of them
    python docs/notebooks/run.py first_model  # this one

Each runs in a kernel and a directory of its own. Beside `NAME.ipynb` the same is
written as a page, `NAME.md`, with its pictures, for readers without Jupyter.
"""

import base64
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ORDER = ("first_model", "noise_and_labels", "choose_and_serve")
SECONDS = 120
"""That a cell may take."""


def executed(name: str) -> Any:
    """Run a notebook in a new kernel; return it with what it printed."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as place:
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            resources={"metadata": {"path": place}},
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute(
            # One thread: on cores that are shared, two wait for each other.
            env={"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::FutureWarning"}
            | os.environ
            | {"PYTHONPATH": path}
        )
    return notebook


def printed(notebook: Any) -> str:
    """Join what the cells of a notebook printed, without pictures."""
    return "\n".join(
        text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if (text := _text(output))
    )


def page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Write a notebook as Markdown; return it, and its pictures by file name.

    Text in italics below a picture is what it says to those who cannot see it.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell, below in itertools.pairwise([*notebook.cells, None]):
        if cell.cell_type == "markdown":
            parts.append(cell.source.replace(".ipynb)", ".md)"))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png")
            if picture:
                file = f"{name}-{len(pictures) + 1}.png"
                pictures[file] = base64.b64decode(picture)
                alt = " ".join(below.source.split("*")[1].split())
                parts.append(f"![{alt}]({file})")
            elif _text(output):
                parts.append(f"```text\n{_text(output)}\n```")
    parts.append(f"[This page as a notebook]({name}.ipynb)")
    return "\n\n".join(parts) + "\n", pictures


def _text(output: Any) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return ""
    return str(output.get("text") or data.get("text/plain", "")).rstrip()


def main() -> None:
    """Run what is asked for, and store it."""
    import nbformat

    for name in sys.argv[1:] or ORDER:
        notebook = executed(name)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            for output in cell.get("outputs", []):
                output.get("data", {}).pop("text/html", None)
        nbformat.write(notebook, HERE / f"{name}.ipynb")
        text, pictures = page(notebook, name)
        (HERE / f"{name}.md").write_text(text, "utf-8")
        for file, picture in pictures.items():
            (HERE / file).write_bytes(picture)
        size = (HERE / f"{name}.ipynb").stat().st_size
        print(f"{name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
