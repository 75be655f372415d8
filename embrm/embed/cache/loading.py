"""Map the segments of a store, check them, and set aside what is damaged."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from embrm.embed.base import Fingerprint
from embrm.embed.cache.names import list_segments
from embrm.embed.cache.remote import Place
from embrm.embed.cache.segment import (
    Segment,
    SegmentDamageError,
    read_segment,
    set_aside,
)
from embrm.exceptions import EmbrmError, three_parts

ATTEMPTS = 10
"""How often a reader looks again where others compact meanwhile."""

_N_THREADS = min(8, os.cpu_count() or 1)

A = TypeVar("A")
R = TypeVar("R")


class Loader:
    """Knows which segments of a directory were found whole, and which damaged.

    Parameters
    ----------
    directory : Path or RemotePath
        Of the segments.
    fingerprint : Fingerprint
        Of the store they belong to.
    """

    def __init__(self, directory: Place, fingerprint: Fingerprint) -> None:
        self.directory, self.fingerprint = directory, fingerprint
        self._damaged: set[str] = set()
        self._whole: set[str] = set()

    def load(self, known: Iterable[Segment]) -> tuple[Segment, ...]:
        """List the segments in order; map those that are not known yet.

        Tries again where another process compacts them meanwhile.
        """
        by_name = {segment.name: segment for segment in known}
        loaded = None
        for _ in range(ATTEMPTS):
            paths = list_segments(self.directory)
            try:
                loaded = self._map(paths, by_name)
            except FileNotFoundError:
                continue
            if list_segments(self.directory) == paths:
                break
        if loaded is None:
            raise restless(self.directory)
        return tuple(loaded)

    def add(self, path: Place) -> Segment:
        """Map a segment that this process just wrote: its bytes need no check."""
        segment = read_segment(path, self.fingerprint, verify=False)
        self._whole.add(segment.name)
        return segment

    def check(self, segments: Iterable[Segment]) -> bool:
        """Compare segments with their digests, each once.

        Returns
        -------
        bool
            False if a segment is damaged, and now set aside, or gone: load again.
        """
        unknown = [one for one in segments if one.name not in self._whole]
        outcomes = _each(Segment.check, unknown)
        for segment, error in zip(unknown, outcomes, strict=True):
            if error is None:
                self._whole.add(segment.name)
            elif isinstance(error, SegmentDamageError):
                self._set_aside(segment.path)
            elif not isinstance(error, FileNotFoundError):
                raise error
        return not any(outcomes)

    def _map(self, paths: Iterable[Place], known: dict[str, Segment]) -> list[Segment]:
        """Map segments that are not known yet; set damaged ones aside."""
        paths = [path for path in paths if path.name not in self._damaged]
        new = [path for path in paths if path.name not in known]
        outcomes = _each(self._read, new)
        for path, outcome in zip(new, outcomes, strict=True):
            if isinstance(outcome, Segment):
                known[path.name] = outcome
            elif isinstance(outcome, SegmentDamageError):
                self._set_aside(path)
            else:
                raise outcome
        return [known[path.name] for path in paths if path.name in known]

    def _read(self, path: Place) -> Segment:
        return read_segment(path, self.fingerprint, verify=False)

    def _set_aside(self, path: Place) -> None:
        self._damaged.add(path.name)
        set_aside(path)


def restless(directory: Place) -> EmbrmError:
    """Make the error for segments that others delete faster than they are read."""
    return EmbrmError(
        three_parts(
            expected="segments that stay while they are read",
            got=f"some gone, {ATTEMPTS} times, in {directory}",
            cure="wait until no other process compacts this cache",
        )
    )


def _each(task: Callable[[A], R], arguments: Sequence[A]) -> list[R | Exception]:
    """Do a task for each argument, several at once; return results and errors."""

    def attempt(argument: A) -> R | Exception:
        try:
            return task(argument)
        except Exception as error:  # noqa: BLE001
            return error

    if len(arguments) < 2:
        return [attempt(argument) for argument in arguments]
    with ThreadPoolExecutor(_N_THREADS) as pool:
        return list(pool.map(attempt, arguments))
