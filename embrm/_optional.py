"""Import a heavy dependency at the moment it is needed, or say how to install it."""

import importlib
import re
from importlib import metadata
from types import ModuleType

from embrm.exceptions import MissingDependencyError


def import_optional(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say what to install.

    Parameters
    ----------
    module : str
        Dotted name, e.g. `"torch"`.
    extra : str
        Name of the extra that brings it, e.g. `"torch"` for `embrm[torch]`.

    Returns
    -------
    module

    Raises
    ------
    MissingDependencyError
        If the top-level package of `module` is not installed. An installed package
        that fails inside its own import raises its own error.

    Examples
    --------
    >>> import_optional("json", extra="torch").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingDependencyError.of(
            expected=f"the optional package '{package}'",
            got="no such package in this environment",
            fix=install_command(extra),
        ) from error


def install_command(*extras: str) -> str:
    """Write the command that installs what extras of embrm ask for.

    It names the packages themselves, so that it holds however embrm was installed:
    from a package index, a wheel or a checkout.

    Parameters
    ----------
    *extras : str
        Names of extras, e.g. `"torch"`.

    Returns
    -------
    str

    Examples
    --------
    >>> install_command("plot")
    "pip install 'matplotlib>=3.9' (what embrm[plot] asks for)"
    """
    try:
        declared = metadata.requires("embrm") or []
    except metadata.PackageNotFoundError:
        declared = []
    wanted = [_of_extras(requirement, extras) for requirement in declared]
    words = " ".join(f"'{one}'" for one in dict.fromkeys(wanted) if one)
    names = ",".join(extras)
    if not words:
        return f"install embrm with its extra: pip install '.[{names}]' in a checkout"
    return f"pip install {words} (what embrm[{names}] asks for)"


def _of_extras(requirement: str, extras: tuple[str, ...]) -> str | None:
    """Return a requirement without its condition on an extra, if it is of these."""
    package, _, condition = requirement.partition(";")
    named = re.search(r"""extra == ['"]([\w-]+)['"]""", condition)
    if named is None or named[1] not in extras:
        return None
    system = condition.replace(named[0], "").replace("'", '"').strip()
    system = system.removesuffix("and").strip(" ()")
    return f"{package.strip()}; {system}" if system else package.strip()
