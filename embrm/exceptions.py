"""Every error and warning embrm raises, and the form of their messages.

A message has three parts: what was expected, what was got, what to do about it.
`format_error` writes them, so that every error has a fix.
"""

import os
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Self


class EmbrmError(Exception):
    """Base of every error that embrm raises on purpose."""

    @classmethod
    def of(cls, expected: str, got: str, fix: str) -> Self:
        """Make an error whose message has the three parts of `format_error`."""
        return cls(format_error(expected=expected, got=got, fix=fix))


class InvalidInputError(EmbrmError, ValueError):
    """An argument has the wrong shape, type, range or content."""


class DataError(EmbrmError, ValueError):
    """A preference file or frame holds a row that cannot be used.

    Parameters
    ----------
    message : str
        The three-part message, which names file and line where there are any.
    reason : str, default="unusable data"
        Short reason, under which a read report counts the row.
    """

    def __init__(self, message: str, reason: str = "unusable data") -> None:
        # Both go to the base class: exceptions travel between processes by args.
        super().__init__(message, reason)
        self.reason = reason

    @classmethod
    def of(
        cls, expected: str, got: str, fix: str, reason: str = "unusable data"
    ) -> Self:
        """Make an error of the three parts, counted under `reason`."""
        return cls(format_error(expected=expected, got=got, fix=fix), reason)

    def __str__(self) -> str:
        return str(self.args[0])


class NoPreferenceError(DataError):
    """A row can be read, but says nothing: an empty text, equal responses, no label."""


class IntegrityError(EmbrmError):
    """Stored bytes are damaged, or do not belong to what they are used with."""


class FingerprintMismatchError(IntegrityError):
    """Vectors of one encoder were offered to a model fitted on another's."""


class MissingDependencyError(EmbrmError, ImportError):
    """An optional dependency is needed and not installed."""


class EmbrmWarning(UserWarning):
    """Base of every warning that embrm gives."""


class TruncationWarning(EmbrmWarning):
    """Some texts were longer than the encoder's limit."""


class DamagedSegmentWarning(EmbrmWarning):
    """A cache segment failed its checksum and was set aside."""


class LeakageWarning(EmbrmWarning):
    """Evaluation data share prompts with the training data."""


class MisreadWarning(EmbrmWarning):
    """Something in a file may mean another thing than what it was read as."""


class LeftOutWarning(EmbrmWarning):
    """A reader left rows out; its read report says which and why."""


def warn(message: str, category: type[Warning] = EmbrmWarning) -> None:
    """Warn at the line that called embrm, however deep in embrm the cause lies.

    Parameters
    ----------
    message : str
    category : class of Warning, default=EmbrmWarning

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("3 rows left out", LeftOutWarning)
    >>> caught[0].category.__name__
    'LeftOutWarning'
    """
    caller = sys._getframe(1)
    frame: FrameType | None = caller
    while frame is not None:
        # Libraries may lie between: the outermost frame of embrm counts.
        if frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
            caller = frame.f_back
        frame = frame.f_back
    while _is_import(caller) and caller.f_back is not None:
        caller = caller.f_back
    warnings.warn_explicit(
        message,
        category,
        caller.f_code.co_filename,
        caller.f_lineno,
        caller.f_globals.get("__name__"),
        caller.f_globals.setdefault("__warningregistry__", {}),
    )


def format_error(*, expected: str, got: str, fix: str) -> str:
    """Write an error message: what was expected, what was got, what to do.

    Parameters
    ----------
    expected, got, fix : str
        Sentence fragments without a final full stop.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> format_error(
    ...     expected="ids of shape (n_pairs, 2)",
    ...     got="shape (3,)",
    ...     fix="pass two columns: first and second",
    ... )
    'expected ids of shape (n_pairs, 2); got shape (3,). Fix: pass two columns: first and second.'
    """  # noqa: E501
    return f"expected {expected}; got {got}. Fix: {fix}."


def invalid_input(expected: str, got: str, fix: str) -> InvalidInputError:
    """Make the three-part error of an argument that is not what it should be."""
    return InvalidInputError.of(expected, got, fix)


def _is_import(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<frozen importlib")


_PACKAGE = f"{Path(__file__).parent}{os.sep}"
