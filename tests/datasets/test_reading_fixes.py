"""Reading after an error: what each message says to do is done, and it works."""

import gzip
import json

import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError

PAIR = {"prompt": "p", "chosen": "a", "rejected": "b"}
RATED = {"prompt": "p", "response": "a"}
RATINGS = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
USER, ANSWER, OTHER = (
    {"role": "user", "content": "p"},
    {"role": "assistant", "content": "a"},
    {"role": "assistant", "content": "b"},
)

# What was read, what the message said, and what is read once it is followed.
FIXES = {
    "y of -1": (
        PAIR | {"y": -1},
        r"map the labels, e\.g\. -1/\+1 by \(y \+ 1\) / 2",
        PAIR | {"y": 0},
    ),
    "negative margin": (
        PAIR | {"margin": -2},
        "swap chosen and rejected and drop the sign",
        PAIR | {"chosen": "b", "rejected": "a", "margin": 2},
    ),
    "label with more than two values": (
        RATED | {"label": 4},
        r"numbers rate responses, name it as the score: columns=\{'score': 'label'\}",
        RATED | {"score": 4},
    ),
    "completion of several turns": (
        {"prompt": [USER], "completion": [USER, OTHER], "label": True},
        "move the turns before the answer into the prompt",
        {"prompt": [USER, ANSWER, USER], "completion": [OTHER], "label": True},
    ),
    "rating beyond the range": (
        RATED | dict.fromkeys(RATINGS, 5),
        "bring the values to that range",
        RATED | dict.fromkeys(RATINGS, 4),
    ),
    "fractional strength": (
        {"prompt": "p", "response_1": "a", "response_2": "b"}
        | {"preference_strength": 0.5},
        "round the values",
        {"prompt": "p", "response_1": "a", "response_2": "b"}
        | {"preference_strength": 0},
    ),
    "transcripts that part at once": (
        {
            "chosen": "\n\nHuman: p\n\nAssistant: a",
            "rejected": "\n\nHuman: q\n\nAssistant: b",
        },
        "give the prompt in a column of its own",
        PAIR,
    ),
    "texts without a common beginning": (
        {"chosen": "Yes it is", "rejected": "No it is not"},
        "write it as prompt, chosen and rejected",
        PAIR | {"chosen": "Yes it is", "rejected": "No it is not"},
    ),
    "response that is a number": (
        PAIR | {"chosen": 4},
        "write the response as a string",
        PAIR | {"chosen": "4"},
    ),
    "prompt that is one message": (
        PAIR | {"prompt": USER},
        r"pass the text, or \[\{'role': 'user', 'content': \.\.\.\}, \.\.\.\]",
        PAIR | {"prompt": [USER]},
    ),
    "turn without a role": (
        PAIR | {"prompt": [{"content": "p"}]},
        "write each turn as {'role': 'user', 'content': 'text'}",
        PAIR | {"prompt": [{"role": "user", "content": "text"}]},
    ),
    "integer of thousands of digits": (
        PAIR | {"votes": 10**5000},
        "write it as a string",
        PAIR | {"votes": "1" + "0" * 5000},
    ),
    "row that is no object": (
        ["p", "a", "b"],
        'write each row as {"prompt": ..., "chosen": ..., "rejected": ...}',
        {"prompt": "...", "chosen": "....", "rejected": "..."},
    ),
    "score that is a word": (
        RATED | {"score": "high"},
        "write a number, or leave the field empty where it is unknown",
        RATED | {"score": "5", "clarity": ""},
    ),
    "completions without fields": (
        {"context": [USER], "completions": [{"rank": 0, "completion": "a"}, "b"]},
        "drop the row, or compare it with the dataset's own files",
        {
            "context": [USER],
            "completions": [
                {"rank": 0, "completion": [ANSWER]},
                {"rank": 1, "completion": [OTHER]},
            ],
        },
    ),
    "benchmark row without its id": (
        {"id": None, "prompt": "p", "chosen": ["a"], "rejected": ["b"]}
        | {"num_correct": 1, "subset": "Ties"},
        "fill it in",
        {"id": "ref:0", "prompt": "p", "chosen": ["a"], "rejected": ["b"]}
        | {"num_correct": 1, "subset": "Ties"},
    ),
}


@pytest.mark.parametrize(("row", "fix", "fixed"), FIXES.values(), ids=FIXES)
def test_a_row_that_is_fixed_as_the_error_says_is_read(row, fix, fixed):
    """The advice of each message is sound."""
    with pytest.raises(DataError, match=rf"^rows, row 1: expected .*; got .*{fix}"):
        read_preferences([row])
    assert read_preferences([fixed]).read_report.n_kept == 1


OPTIONS = {
    "columns of other names": (
        [{"frage": "p", "chosen": "a", "rejected": "b"}],
        {"format": "pairs"},
        r"columns=\{'prompt': 'frage'\}",
        {"columns": {"prompt": "frage"}},
    ),
    "columns of no known format": (
        [{"frage": "p", "gut": "a", "schlecht": "b"}],
        {},
        r"name yours: columns=\{'prompt': 'your name for it', 'chosen': 'your name",
        {"columns": {"prompt": "frage", "chosen": "gut", "rejected": "schlecht"}},
    ),
    "another format": (
        [{"prompt": "p", "response": "a", "score": 1}],
        {"format": "pairs"},
        "or read as another format",
        {"format": "ratings"},
    ),
    "misspelt format": ([PAIR], {"format": "pars"}, "'pairs'", {"format": "pairs"}),
    "too few rows": ([PAIR], {"max_rows": 0}, "pass 1 or more", {"max_rows": 1}),
}


@pytest.mark.parametrize(
    ("rows", "wrong", "fix", "right"), OPTIONS.values(), ids=OPTIONS
)
def test_options_that_the_error_names_help(rows, wrong, fix, right):
    """What to pass is spelt as it must be passed."""
    with pytest.raises((DataError, InvalidInputError), match=f"Fix: .*{fix}"):
        read_preferences(rows, **wrong)
    assert read_preferences(rows, **right).read_report.n_kept == 1


def _written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


LINE = json.dumps(PAIR)
FILES = {
    "literal Infinity": (
        ("a.jsonl", LINE.replace("}", ', "margin": Infinity}')),
        "write null for what is missing",
        ("a.jsonl", LINE.replace("}", ', "margin": null}')),
    ),
    "columns side by side": (
        ("a.json", pd.DataFrame([PAIR]).to_json()),
        r"write one object per line as \.jsonl, or a list of objects \(in pandas, orie",
        ("a.json", pd.DataFrame([PAIR]).to_json(orient="records")),
    ),
    "indented objects one after another": (
        ("a.jsonl", json.dumps(PAIR, indent=1)),
        r"write rows with a JSON library, one object per line in \.jsonl",
        ("a.jsonl", LINE),
    ),
    "latin-1": (
        ("a.jsonl", LINE.replace("p", "é").encode("latin-1")),
        "save the file as UTF-8",
        ("a.jsonl", LINE.replace('"p"', '"é"')),
    ),
    "comma without quotes": (
        ("a.csv", "prompt,chosen,rejected\np,a, b,c\n"),
        "quote the fields that hold commas or line ends",
        ("a.csv", 'prompt,chosen,rejected\np,"a, b",c\n'),
    ),
    "header with a name twice": (
        ("a.csv", "prompt,chosen,chosen\np,a,b\n"),
        "fix the first line of the file",
        ("a.csv", "prompt,chosen,rejected\np,a,b\n"),
    ),
    "unknown extension": (
        ("a.txt", LINE),
        "rename it by what it holds",
        ("a.jsonl", LINE),
    ),
    "half a gzip file": (
        ("a.jsonl.gz", gzip.compress(LINE.encode())[:20]),
        "copy or download it again",
        ("a.jsonl.gz", gzip.compress(LINE.encode())),
    ),
}


@pytest.mark.parametrize(("wrong", "fix", "right"), FILES.values(), ids=FILES)
def test_a_file_that_is_fixed_as_the_error_says_is_read(tmp_path, wrong, fix, right):
    """The advice for files is sound."""
    with pytest.raises(DataError, match=rf"^a\..*: expected .*; got .*Fix: .*{fix}"):
        read_preferences(_written(tmp_path, *wrong))
    assert read_preferences(_written(tmp_path, *right)).read_report.n_kept == 1


def test_a_limit_that_the_error_names_can_be_raised(tmp_path):
    """Long lines and large files are read if they are wanted."""
    lines = _written(tmp_path, "a.jsonl", LINE)
    whole = _written(tmp_path, "a.json", f"[{LINE}]")
    with pytest.raises(DataError, match="or raise max_line_bytes"):
        read_preferences(lines, max_line_bytes=10)
    with pytest.raises(DataError, match=r"as .jsonl, .*, or raise max_json_bytes"):
        read_preferences(whole, max_json_bytes=10)
    assert len(read_preferences(lines, max_line_bytes=100)) == 1
    assert len(read_preferences(whole, max_json_bytes=100)) == 1


def test_a_dict_of_columns_is_read_as_a_frame():
    """The error says how to turn it into one."""
    columns = {name: [text] for name, text in PAIR.items()}
    with pytest.raises(
        InvalidInputError, match=r"turn a dict of columns into pd\.DataF"
    ):
        read_preferences(columns)
    assert len(read_preferences(pd.DataFrame(columns))) == 1


def test_two_columns_of_a_frame_are_told_apart():
    """One of them is renamed or dropped."""
    frame = pd.DataFrame([["p", "a", "b", "c"]], columns=[*PAIR, "chosen"])
    with pytest.raises(DataError, match=r"'chosen' twice. Fix: rename or drop one"):
        read_preferences(frame)
    assert len(read_preferences(frame.iloc[:, :3])) == 1


def test_ratings_are_paired_by_a_column_that_the_error_names():
    """The numeric columns are listed."""
    rows = [RATED | {"clarity": 1}, RATED | {"response": "b", "clarity": 2}]
    rated = read_preferences(rows)
    with pytest.raises(InvalidInputError, match=r"numeric are: clarity. Fix: name"):
        rated.prefer_by_score()
    assert len(rated.prefer_by_score("clarity")) == 1
