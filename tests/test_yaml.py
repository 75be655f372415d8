"""YAML is read within bounds, and what is wrong is said with line and column."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm._yaml import YamlError, parse_yaml

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 3000 + "]" * 3000, "nested deeper than 20 in line 1, column 2"),
        ("a: " + "{b: " * 3000, "nested deeper than 20 in line 1"),
        (BOMB, "more than 100,000 values in line"),
        ("param:\n  a: &a {b: *a}", r"a value that holds itself \(\*a\) in line 2"),
        (f"seed: {'9' * 5000}", "a number of 5,000 digits in line 1, column 7"),
        ("when: 2020-01-01", "a date; write it in quotes, as '2020-01-01'"),
        ("when: 2020-99-99", "a value that is no text or number of ordinary size"),
        ("a: !!binary aGk=", "a bytes; write it in quotes"),
        ("a: !!python/name:os.system", "could not determine a constructor.*in line 1"),
        ("a: [", "in line 1, column 5"),
        ("a: b\n c: d: e", "in line 2"),
        ("- x\n" * 200_000, "more than 100,000 values"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_not_plain_data_is_refused(text, message):
    """Neither the stack nor the memory ends."""
    with pytest.raises(YamlError, match=message):
        parse_yaml(text)


def test_an_alias_is_what_it_stands_for():
    """People write a value once and refer to it."""
    assert parse_yaml("a: &x [1, 2]\nb: *x")[1] == {"a": [1, 2], "b": [1, 2]}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text("ab:- ", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(VALUES)
def test_plain_data_comes_back(value):
    """What PyYAML writes is read as it was."""
    assert parse_yaml(yaml.safe_dump(value))[1] == value
