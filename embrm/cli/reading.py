"""Read a preference file for a command, and print its account once."""

import warnings
from typing import TYPE_CHECKING, Any

from embrm.cli.output import say
from embrm.exceptions import LeftOutWarning

if TYPE_CHECKING:
    from embrm.datasets import Preferences


def read_and_say(
    source: Any, *, as_json: bool, prefix: str = "", **options: Any
) -> "Preferences":
    """Read preferences and print what was read, kept and left out.

    Parameters
    ----------
    source
        As for `read_preferences`.
    as_json : bool
        Whether stdout belongs to a JSON result.
    prefix : str, default=""
        Words before the account.
    **options
        As for `read_preferences`.
    """
    from embrm.datasets import read_preferences

    with warnings.catch_warnings():
        # The warning holds the account, which is printed in any case.
        warnings.simplefilter("ignore", LeftOutWarning)
        preferences = read_preferences(source, **options)
    say(f"{prefix}{preferences.read_report}", as_json=as_json)
    return preferences
