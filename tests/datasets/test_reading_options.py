"""What the user says about a file: columns, template, winner, direction, encoding."""

import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError, MisreadWarning

PAIR = {"prompt": "p", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([PAIR], {"columns": {"promt": "p"}}, "did you mean 'prompt'"),
        ([PAIR], {"columns": {"zzz": "p"}}, "'zzz', which embrm has no use for"),
        ([PAIR], {"columns": {"weight": "wait"}}, "'wait', which none of columns"),
        ([PAIR], {"columns": {"y": "rejectd"}}, "did you mean 'rejected'"),
        ([PAIR], {"winner": "first"}, "winner that maps values.*got str"),
        ([PAIR], {"images": "drop"}, "images 'refuse' or 'mark'; got 'drop'"),
        ([PAIR], {"prompt_template": "no braces"}, "names columns in braces"),
        ([PAIR], {"prompt_template": "{open"}, "names columns in braces"),
        ([PAIR], {"encoding": "utf-9"}, "an encoding that Python knows; got 'utf-9'"),
        ([PAIR], {"columns": {"score": "rank"}}, "pass lower_is_better=True or lower"),
    ],
)
def test_options_that_mean_nothing_are_refused(rows, options, message):
    """The nearest that would mean something is named."""
    with pytest.raises(InvalidInputError, match=message):
        read_preferences(rows, **options)


def test_a_template_writes_the_prompt_from_columns():
    """What is missing in a row is empty, and the columns are accounted for."""
    rows = [
        {"task": "Add.", "input": "2 and 2", "chosen": "4", "rejected": "5"},
        {"task": "Greet.", "input": None, "chosen": "Hi", "rejected": "No"},
    ]
    read = read_preferences(rows, prompt_template="{task}\n{input}")
    assert read.to_frame()["prompt"].tolist() == ["Add.\n2 and 2", "Greet."]
    assert read.read_report.columns["task"] == "prompt"
    with pytest.raises(DataError, match="the column 'topic', which the prompt_templ"):
        read_preferences(rows, prompt_template="{topic}")


TWO = {"prompt": "p", "response_a": "a", "response_b": "b"}


@pytest.mark.parametrize(
    ("winner", "meaning", "y"),
    [
        (0, {0: "first", 1: "second"}, 1.0),
        ("0", {0: "first", 1: "second"}, 1.0),
        (1.0, {0: "first", 1: "second"}, 0.0),
        (" Tie ", {"tie": 0.5}, 0.5),
        ("C", {"c": "both bad"}, 0.5),
        (3, {3: 0.9}, 0.9),
        (True, {True: "second"}, 0.0),
    ],
)
def test_a_winner_means_what_it_is_said_to_mean(winner, meaning, y):
    """Numbers and their texts are one; case and white space do not matter."""
    read = read_preferences([TWO | {"winner": winner}], winner=meaning)
    assert read.y.tolist() == [y]


@pytest.mark.parametrize("winner", [0, 1, 2, "1", "yes", "response_c", 10**25])
def test_a_winner_that_could_mean_two_things_is_refused(winner):
    """Letters name the responses here: whether 1 is the first, nobody can tell."""
    with pytest.raises(DataError, match="say what each value means") as caught:
        read_preferences([TWO | {"winner": winner}])
    assert f"{{{winner!r}:" not in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        TWO | {"winner": 10**400},
        {"prompt": "p", "responses": ["a", "b"], "ranks": [10**400, 1]},
    ],
)
def test_an_integer_beyond_all_floats_is_refused_in_one_line(row):
    """It is no winner and no rank; nothing of its 400 digits is printed."""
    with pytest.raises(DataError) as caught:
        read_preferences([row])
    assert "0" * 40 not in str(caught.value)


def test_zero_and_one_do_not_mean_one_and_two():
    """Responses 1 and 2 with a winner of 0 are refused, not shifted."""
    row = {"prompt": "p", "response_1": "a", "response_2": "b", "winner": 0}
    with pytest.raises(DataError, match=r"one of .*1 \(first\), 2 \(second\).*got 0"):
        read_preferences([row])
    assert read_preferences([row | {"winner": 2}]).y.tolist() == [0.0]


@pytest.mark.parametrize("column", ["label", "preference"])
def test_a_label_of_responses_zero_and_one_is_not_their_number(column):
    """In one file 1 means that the first won, in another that response 1 did."""
    row = {"prompt": "p", "response_0": "a", "response_1": "b", column: 1}
    with pytest.raises(DataError, match="say what each value means"):
        read_preferences([row])


def test_a_prompt_is_not_looked_for_beside_a_text():
    """Words that both answers share are no prompt while a column may hold it."""
    row = {"frage": "Is tea a drink?", "chosen": "Yes, it is", "rejected": "Yes, no"}
    with pytest.raises(DataError, match=r"columns=\{'prompt': 'frage'\}"):
        read_preferences([row])
    read = read_preferences([row], columns={"prompt": "frage"})
    assert read.to_frame()["first"].tolist() == ["Yes, it is"]


def test_a_text_that_is_no_part_of_the_prompt_is_named():
    """A context beside a question may be half of the prompt."""
    rows = [PAIR | {"context": "Long ago"}]
    with pytest.warns(MisreadWarning, match=r"template='\{context\}\\n\\n\{prompt\}'"):
        read = read_preferences(rows)
    assert read.read_report.columns["context"] == "carried along"


def test_every_column_has_a_use():
    """Read, carried along, not used or empty."""
    rows = [PAIR | {"id": 3, "tags": ["x"], "note": None, "margin": 1}]
    uses = read_preferences(rows).read_report.columns
    assert uses == {
        "prompt": "prompt",
        "chosen": "chosen",
        "rejected": "rejected",
        "id": "carried along",
        "tags": "not used",
        "note": "empty",
        "margin": "margin",
    }


def test_lower_scores_can_be_better():
    """The sign is turned once, so that higher is better in all that follows."""
    rows = [
        {"prompt": "p", "response": "good", "score": 1},
        {"prompt": "p", "response": "bad", "score": 9},
    ]
    read = read_preferences(rows, lower_is_better=True).prefer_by_score()
    better = read.items["response"][read.pairs["first"][read.y == 1]]
    assert set(better) | set(read.items["response"][read.pairs["second"][read.y == 0]])
    assert read.items["score"].tolist() == [-1.0, -9.0]


IMAGE = {"type": "image_url", "image_url": {"url": "x"}}


def test_an_image_is_refused_or_marked():
    """embrm embeds text alone, and says so."""
    asked = [{"role": "user", "content": [{"type": "text", "text": "See"}, IMAGE]}]
    row = PAIR | {"prompt": asked}
    with pytest.raises(DataError, match=r"images='mark', which writes \[image\]"):
        read_preferences([row])
    read = read_preferences([row], images="mark")
    assert read.items["prompt"][0] == [{"role": "user", "content": "See\n[image]"}]


def test_calls_of_tools_are_kept():
    """Nothing of a conversation is dropped: null content, calls, answers of tools."""
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}
    prompt = [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    answers = [{"role": "assistant", "content": None, "tool_calls": [call]}] * 2
    rows = [
        {
            "prompt": prompt,
            "chosen": [{"role": "assistant", "content": "One."}],
            "rejected": [*answers[:1], {"role": "tool", "content": "2"}],
        }
    ]
    with pytest.raises(DataError, match="end with a turn of the assistant"):
        read_preferences(rows)
    rows[0]["rejected"].append({"role": "assistant", "content": "Two."})
    frame = read_preferences(rows).to_frame()
    assert frame["prompt"][0][1]["tool_calls"] == [call]
    assert frame["prompt"][0][2]["tool_call_id"] == "c"
    assert frame["second"][0] == 'f({"a": 1})\n\nTool: 2\n\nAssistant: Two.'


LINES = "".join(json.dumps(PAIR | {"prompt": f"p{n}"}) + "\n" for n in range(3))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "cp1252"])
def test_other_encodings_are_read_when_named(tmp_path, encoding):
    """By themselves they are refused with the name of the option."""
    path = tmp_path / "a.csv"
    path.write_bytes("prompt,chosen,rejected\nä,b,c\n".encode(encoding))
    with pytest.raises(DataError, match="encoding="):
        read_preferences(path)
    read = read_preferences(path, encoding=encoding)
    assert read.items["prompt"][0] == "ä"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_found_and_said(tmp_path, separator):
    """The one that divides the header into most names."""
    path = tmp_path / ("a.tsv" if separator == "\t" else "a.csv")
    rows = [["prompt", "chosen", "rejected"], ["p, q", "a", "b"]]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    read = read_preferences(path)
    assert read.items["prompt"][0] == "p, q"
    assert any("separated by" in note for note in read.read_report.notes)


def test_zstd_is_unpacked(tmp_path):
    """Also half of a file is noticed."""
    path = tmp_path / "a.jsonl.zst"
    packed = zstandard.compress((LINES * 50).encode())
    path.write_bytes(packed)
    assert len(read_preferences(path)) == 150
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="expected a whole zstd file"):
        read_preferences(path)


def test_several_files_are_read_as_one(tmp_path):
    """A list, a pattern and a directory; places name the file and the line."""
    for number in range(3):
        (tmp_path / f"train-{number}.jsonl").write_text(LINES)
    (tmp_path / "README.md").write_text("about")
    paths = sorted(tmp_path.glob("*.jsonl"))
    for source in (paths, tmp_path, str(tmp_path / "train-*.jsonl")):
        assert len(read_preferences(source)) == 9
    paths[1].write_text(LINES + "{\n")
    with pytest.raises(DataError, match=r"train-1\.jsonl, line 4: .*malformed JSON"):
        read_preferences(tmp_path)


def test_files_of_two_splits_are_not_mixed(tmp_path):
    """Test rows must not slip into the training data."""
    for name in ("train-0.jsonl", "test-0.jsonl"):
        (tmp_path / name).write_text(LINES)
    with pytest.raises(DataError, match="the files of one split; got test-0"):
        read_preferences(tmp_path)


class DatasetDict(dict):
    """Splits, as the package `datasets` names them."""


def test_a_split_must_be_chosen():
    """Several splits are several data sets."""
    with pytest.raises(
        DataError, match=r"none of train, test\. Fix: .*dataset\['train"
    ):
        read_preferences(DatasetDict(train=[PAIR], test=[PAIR]))
    assert len(read_preferences(DatasetDict(train=[PAIR]))) == 1


@pytest.mark.parametrize(
    "made",
    [
        pl.DataFrame,
        pa.Table.from_pylist,
        lambda rows: pa.Table.from_pylist(rows).to_batches()[0],
        lambda rows: pa.Table.from_pylist(rows).to_pandas(types_mapper=pd.ArrowDtype),
        lambda rows: pd.DataFrame(rows).astype("string"),
        lambda rows: pd.DataFrame(rows).astype("category"),
    ],
    ids=["polars", "arrow", "batch", "arrow in pandas", "string", "category"],
)
def test_frames_and_tables_are_read(made):
    """However rows are held in memory."""
    rows = [PAIR, PAIR | {"chosen": "c"}]
    assert read_preferences(made(rows)).to_frame()["first"].tolist() == ["a", "c"]


@pytest.mark.parametrize("orient", ["columns", "split", "index"])
def test_other_orients_of_pandas_are_named(tmp_path, orient):
    """The error says what pandas should write."""
    path = tmp_path / "a.json"
    pd.DataFrame([PAIR, PAIR]).to_json(path, orient=orient)
    said = f"as pandas writes with orient='{orient}'.*'records'"
    with pytest.raises(DataError, match=said):
        read_preferences(path)


def test_a_date_beyond_python_is_refused(tmp_path):
    """Parquet holds years that Python's dates do not."""
    path = tmp_path / "a.parquet"
    dates = pa.array([10**9], type=pa.int32()).cast(pa.date32())
    columns = {name: pa.array([text]) for name, text in PAIR.items()}
    pq.write_table(pa.table(columns | {"when": dates}), path)
    with pytest.raises(DataError, match=r"^a\.parquet: expected dates and durations"):
        read_preferences(path)


def test_endless_blank_lines_are_refused(tmp_path):
    """A file of a gigabyte of line ends is not walked to its end."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n" * 1_500_000)
    with pytest.raises(DataError, match="1,000,001 blank lines in a row"):
        read_preferences(path)


def test_keys_that_stand_twice_are_refused_in_nested_objects_too(tmp_path):
    """Which value was meant, nobody can tell."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": [{"role": "user", "content": "a", "content": "b"}]}')
    with pytest.raises(DataError, match="'content' twice"):
        read_preferences(path)


def test_columns_that_differ_in_case_and_spaces_are_read_and_said():
    """A sheet with capitals, as people make them, is read; the report says so."""
    sides = {"Response 1": "a", "Response-2": "b"}
    winners = ["Response 2", "Response 1"]
    rows = [{"Prompt": f"ask {w}", **sides, "Winner": w} for w in winners]
    prefs = read_preferences(rows)
    report = prefs.read_report
    assert prefs.y.tolist() == [0.0, 1.0]
    assert report.columns["Response 1"] == "first"
    assert any("spelt otherwise" in note for note in report.notes)


def test_columns_that_two_spellings_fit_are_not_guessed():
    """`Prompt` beside `PROMPT`: the file does not say which, and nor does embrm."""
    row = {"Prompt": "p", "PROMPT": "q", "Chosen": "a", "Rejected": "b"}
    with pytest.raises(DataError, match="expected"):
        read_preferences([row])


def test_two_texts_without_a_verdict_are_not_called_chosen_and_rejected():
    """The fix names both, and leaves it to the caller which is better."""
    with pytest.raises(DataError) as caught:
        read_preferences([{"prompt": "p", "left": "a", "right": "b"}])
    message = str(caught.value)
    assert "which of 'left' and 'right' is better" in message
    assert "{'chosen': 'left'" not in message


_TEMPLATED = {
    "pairs": {"chosen": "a", "rejected": "b"},
    "two responses": {"response_a": "a", "response_b": "b", "winner": "a"},
    "two scores": {"response_a": "a", "response_b": "b", "score_a": 2, "score_b": 1},
    "ranks": {"responses": ["a", "b"], "ranks": [1, 2]},
    "scores": {"responses": ["a", "b"], "scores": [1, 2]},
    "ratings": {"response": "a", "score": 1},
    "labels": {"completion": "a", "label": True},
    "messages": {"chosen": [{"role": "assistant", "content": "a"}]}
    | {"rejected": [{"role": "assistant", "content": "b"}]},
}


@pytest.mark.parametrize("row", _TEMPLATED.values(), ids=_TEMPLATED)
def test_a_template_writes_prompts_whatever_their_columns_are_called(row):
    """No column need be one that embrm knows as a prompt."""
    rows = [{"topic": "t", "ask": f"q{n}", **row} for n in range(2)]
    rows[1] |= {"winner": "b"} if "winner" in row else {}
    prefs = read_preferences(rows, prompt_template="{topic}: {ask}")
    assert set(prefs.items["prompt"]) == {"t: q0", "t: q1"}
    columns = prefs.read_report.columns
    assert (columns["topic"], columns["ask"]) == ("prompt", "prompt")
    assert "prompt" not in columns


def test_a_template_that_a_format_has_no_use_for_is_refused():
    """HelpSteer3's prompts are its contexts; a template would go unused."""
    row = {"context": [{"role": "user", "content": "hi"}], "domain": "g"}
    row |= {"response1": "a", "response2": "b", "overall_preference": 2}
    with pytest.raises(InvalidInputError, match="has prompts of its own"):
        read_preferences([row], prompt_template="{domain}")


def test_a_prompt_beside_a_template_that_does_not_name_it_is_not_called_the_prompt():
    """The account of columns says what was read, not what could have been."""
    row = {"prompt": "p", "ask": "q", "chosen": "a", "rejected": "b"}
    prefs = read_preferences([row], prompt_template="{ask}")
    assert prefs.items["prompt"].unique().tolist() == ["q"]
    assert prefs.read_report.columns["prompt"] != "prompt"
