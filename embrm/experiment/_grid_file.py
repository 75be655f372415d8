"""Grid files: YAML read with care, and values checked by the path of their key."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from embrm._validation import Integer, Real
from embrm._yaml import YamlError, parse_yaml
from embrm.exceptions import InvalidInputError, format_error, invalid_input


def read_yaml(file: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file, of plain data alone.

    Raises
    ------
    InvalidInputError
        If there is no such file, it holds no mapping, or a key stands twice in it.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise _unreadable(f"more than {_MAX_BYTES:,} bytes")
        text = file.read_text(encoding="utf-8")
        root, value = parse_yaml(text)
    except OSError as error:
        raise _unreadable(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise _unreadable("bytes that are not UTF-8") from error
    except YamlError as error:
        raise _unreadable(str(error)) from error
    if not isinstance(value, dict):
        raise _unreadable("no keys" if value is None else f"a {type(value).__name__}")
    _refuse_twins(root, "", set())
    return value


@contextmanager
def under(place: str) -> Iterator[None]:
    """Put the file or the path of the key before the message of an error.

    Examples
    --------
    >>> with under("seeds"):
    ...     raise InvalidInputError("expected three")
    Traceback (most recent call last):
    ...
    embrm.exceptions.InvalidInputError: seeds: expected three
    """
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error


def wrong_at(path: str, expected: str, got: str, fix: str) -> InvalidInputError:
    """Make the three-part error for the value of a key."""
    message = format_error(expected=expected, got=got, fix=fix)
    return InvalidInputError(f"{path}: {message}")


def counts_at(key: str, given: Any, *, low: int) -> tuple[int, ...]:
    """Take an integer >= low, or a list of different ones.

    Examples
    --------
    >>> counts_at("budgets", [100, 500], low=1)
    (100, 500)
    """
    values = given if isinstance(given, list) else [given]
    path = "{}[{}]" if isinstance(given, list) else "{}"
    counts = [count_at(path.format(key, n), v, low=low) for n, v in enumerate(values)]
    if not counts or len(set(counts)) < len(counts):
        got = "one twice" if counts else "none"
        raise wrong_at(key, f"one or more different {key}", got, "name each once")
    return tuple(counts)


def count_at(path: str, value: Any, *, low: int) -> int:
    """Take an integer >= low."""
    if not Integer(low).accepts(value):
        fix = "write it in digits: 10000, not 1e4"
        raise wrong_at(path, f"an integer >= {low}", shortly(value), fix)
    return int(value)


def share_at(path: str, value: Any) -> float:
    """Take a number between 0 and 1."""
    if not Real(0, 1, closed="neither").accepts(value):
        fix = "write 0.25 for a quarter"
        raise wrong_at(path, "a number between 0 and 1", shortly(value), fix)
    return float(value)


def shortly(value: Any) -> str:
    """Write a value into a message; lists and mappings by their size.

    Examples
    --------
    >>> shortly({"a": 1}), shortly(None), shortly("1e4")
    ('a mapping of 1', 'nothing', "'1e4'")
    """
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value)}"
    return "nothing" if value is None else repr(value)[:40]


def _refuse_twins(node: Any, path: str, seen: set[int]) -> None:
    """Refuse a duplicate key in one mapping: YAML would keep the last."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for n, part in enumerate(node.value):
            _refuse_twins(part, f"{path}[{n}]", seen)
        return
    keys: set[str] = set()
    for key, part in node.value:
        name = str(key.value)[:40]
        place = f"{path}.{name}" if path else name
        if name in keys:
            raise wrong_at(place, "each key once", "it twice", "keep one of them")
        keys.add(name)
        _refuse_twins(part, place, seen)


def _unreadable(got: str) -> InvalidInputError:
    return invalid_input(
        expected="a YAML file that maps the factors of a grid to their levels",
        got=got,
        fix="start from the example that embrm simulate --help shows",
    )


_MAX_BYTES = 1_000_000
