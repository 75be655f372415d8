"""Pages from templates: one file each, escaped, without scripts or links."""

import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def write_page(path: str | os.PathLike[str], template: str, **values: Any) -> Path:
    """Fill a template of this package and write it, replacing what is there.

    Parameters
    ----------
    path : path
        Directories above it are made.
    template : str
        File name.
    **values
        What the template names, besides `version` and `created`.

    Returns
    -------
    Path
    """
    environment = Environment(
        loader=PackageLoader("embrm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(
        version=version("embrm"),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target
