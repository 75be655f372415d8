"""YAML of plain data, read within bounds: texts, numbers, lists and mappings.

PyYAML's safe loader builds no foreign objects, but takes 3,000 nested lists to the end
of Python's stack, and 312 bytes of aliases of aliases to a gigabyte. The events of a
text are looked at first, which takes neither stack nor memory.
"""

from pathlib import Path
from typing import Any

import yaml

_DEEPEST = 20
_MAX_BYTES = 1_000_000
_MOST_VALUES = 100_000
_LONGEST_NUMBER = 400
_OPEN = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSE = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlError(ValueError):
    """A text is not YAML of plain data; the message says where, by line and column."""


def read_yaml_file(path: Path) -> tuple[yaml.Node | None, Any]:
    """Read a file as `parse_yaml` reads a text.

    Raises
    ------
    YamlError
        Also if the file cannot be read, is too large, or is no text.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise YamlError(f"more than {_MAX_BYTES:,} bytes")
        if not path.is_file():
            raise YamlError("no regular file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise YamlError(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise YamlError("bytes that are not UTF-8") from error
    return parse_yaml(text)


def parse_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """Parse YAML.

    Parameters
    ----------
    text : str

    Returns
    -------
    root : yaml.Node or None
        The tree, which has keys that stand twice.
    value : dict, list, str, int, float, bool or None

    Raises
    ------
    YamlError
        If it is malformed, nested deeper than 20, has more than 100,000 values once
        its aliases are unfolded, or holds itself, dates, binary data, or numbers of hundreds of digits.

    Examples
    --------
    >>> parse_yaml("seeds: [1, 2]")[1]
    {'seeds': [1, 2]}
    >>> parse_yaml("a: [")
    Traceback (most recent call last):
    ...
    embrm._yaml.YamlError: expected the node content, but found '<stream end>' in line 1, column 5
    """  # noqa: E501
    try:
        _check_events(text)
        root = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        what = str(getattr(error, "problem", None) or "not YAML")
        where = _place(getattr(error, "problem_mark", None))
        raise YamlError(f"{what[:100]}{where}") from error
    except YamlError:
        raise
    except (ValueError, RecursionError) as error:
        raise YamlError("a value that is no text or number of ordinary size") from error
    _check_plain(value)
    return root, value


def _check_events(text: str) -> None:
    """Refuse deep nesting, long numbers, and aliases that unfold without end."""
    n_values = 0
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        where = _place(event.start_mark)
        if isinstance(event, _OPEN):
            open_anchors.append((event.anchor, n_values))
            if len(open_anchors) > _DEEPEST:
                raise YamlError(f"values nested deeper than {_DEEPEST}{where}")
        elif isinstance(event, _CLOSE):
            anchor, before = open_anchors.pop()
            if anchor is not None:
                sizes[anchor] = n_values - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in [anchor for anchor, _ in open_anchors]:
                raise YamlError(f"a value that holds itself (*{event.anchor}){where}")
            n_values += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent) and _is_long_number(event.value):
            raise YamlError(f"a number of {len(event.value):,} digits{where}")
        n_values += 1
        if n_values > _MOST_VALUES:
            raise YamlError(f"more than {_MOST_VALUES:,} values{where}")


def _is_long_number(text: str) -> bool:
    return len(text) > _LONGEST_NUMBER and text.strip("+-").isdigit()


def _check_plain(value: Any) -> None:
    """Refuse what YAML makes of dates and binary data."""
    if isinstance(value, dict):
        for name, each in value.items():
            _check_plain(name)
            _check_plain(each)
    elif isinstance(value, list):
        for each in value:
            _check_plain(each)
    elif not (value is None or isinstance(value, str | bool | int | float)):
        kind = type(value).__name__
        raise YamlError(f"a {kind}; write it in quotes, as {str(value)[:40]!r}")


def _place(mark: Any) -> str:
    return "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
