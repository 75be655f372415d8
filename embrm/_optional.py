"""Import a heavy dependency at the moment it is needed, or name the extra."""

import importlib
from types import ModuleType

from embrm.exceptions import MissingDependencyError, format_error


def import_optional(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say which extra of embrm installs it.

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
        raise MissingDependencyError(
            format_error(
                expected=f"the optional package '{package}'",
                got="no such package in this environment",
                fix=f"pip install 'embrm[{extra}]'",
            )
        ) from error
