"""YAML files of grids, and the errors that name a key."""

import pytest

from embrm.exceptions import InvalidInputError
from embrm.experiment.grid import count_at, counts_at, read_yaml, share_at, under


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "grid.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_yaml(path)

    return read


def test_plain_data_is_read(read):
    """Nested as it stands."""
    assert read("heads: [linear, {mlp: {alpha: 1}}]\n") == {
        "heads": ["linear", {"mlp": {"alpha": 1}}]
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "got no keys"),
        ("- a\n", "got a list"),
        ("a: [1\n", "expected ',' or ']', but got '<stream end>' in line 2"),
        (
            "a: !!python/object/apply:os.getcwd []\n",
            "could not determine a constructor",
        ),
        ("a: \xff".encode("latin-1"), "not UTF-8"),
        ("[" * 5000, "nested deeper than 20"),
        ("a: 1 #" + " " * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_other_content_is_refused(read, content, words):
    """The message says what is wrong, and where the parser knows it."""
    with pytest.raises(InvalidInputError, match="expected a YAML file") as caught:
        read(content)
    assert words in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    """As the system says it."""
    with pytest.raises(InvalidInputError, match="got No such file or directory"):
        read_yaml(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("a: 1\na: 2\n", "a"),
        ("a: [x, {b: {c: 1, c: 2}}]\n", r"a\[1\].b.c"),
        ("a: &one {c: 1, c: 2}\nb: *one\n", "a.c"),
    ],
)
def test_a_key_that_stands_twice_is_refused(read, content, path):
    """YAML would silently keep the last one."""
    with pytest.raises(InvalidInputError, match=f"^{path}: expected each key once"):
        read(content)


def test_counts_are_one_integer_or_several():
    """A single one is a list of one."""
    assert counts_at("budgets", 5, low=1) == (5,)
    assert counts_at("budgets", [5, 7], low=1) == (5, 7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("1e4", r"^budgets: expected an integer >= 1; got '1e4'. .* not 1e4"),
        ([100, True], r"^budgets\[1\]: expected an integer >= 1; got True"),
        ([0], r"^budgets\[0\]: expected an integer >= 1; got 0"),
        (None, "^budgets: expected an integer >= 1; got nothing"),
        ({"a": 1}, "^budgets: expected an integer >= 1; got a mapping of 1"),
        ([], "^budgets: expected one or more different budgets; got none"),
        ([7, 7], "^budgets: expected one or more different budgets; got one twice"),
    ],
)
def test_what_is_no_count_is_refused(given, words):
    """The path of the key comes first."""
    with pytest.raises(InvalidInputError, match=words):
        counts_at("budgets", given, low=1)


@pytest.mark.parametrize("given", [0, 1, True, "half", -0.1, float("nan"), None])
def test_what_is_no_share_is_refused(given):
    """Neither nothing nor all."""
    with pytest.raises(InvalidInputError, match=r"^test_share: expected a number "):
        share_at("test_share", given)


def test_errors_from_within_get_the_place_before_them():
    """And stay errors of the same kind."""
    with (
        pytest.raises(InvalidInputError, match=r"^grid.yaml: seeds: expected an int"),
        under("grid.yaml"),
    ):
        count_at("seeds", "x", low=0)
