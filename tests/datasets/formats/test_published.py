"""Rows in the true schema of data that people publish, read without any argument.

`golden/published.json` holds rows with every column of the published data, and by hand
what they say: pairs as [prompt, first, second, y], items as [prompt, response,
attributes]. The schemas are those of the data themselves, of their cards, or of the
code that writes them. Label Studio's are of a public export, its tags' pages and of
what its converter makes of it; MedicalGPT's, ms-swift's, LLaMA-Factory's and
OpenAssistant's of the samples in their repositories; Potato's of its exporters;
PRM800K's of the row that its authors print; Math-Shepherd's and ProcessBench's of the
code that writes or reads them. Argilla's are of its client's source; Gemini's of its
manual; Auto-J's, RLHFlow's and HelpSteer3's of their READMEs; PandaLM's, JudgeLM's,
MultiPref's, PRMBench's, HHH's, CValues', GAIR's, Search Arena's and Unified-Feedback's
of code that others read them with. Nobody's rows were at hand for torchtune and the
Feedback Collection: theirs are written from memory.
"""

import json
from itertools import product
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embrm import RewardModel
from embrm.datasets import read_preferences
from embrm.exceptions import DataError, MisreadWarning
from embrm.messages import prompt_key
from embrm.model.items import row_items

GOLDEN = Path(__file__).parents[1] / "golden" / "published.json"
CASES = json.loads(GOLDEN.read_text("utf-8"))
CONTAINERS = ["dicts", "jsonl", "parquet", "csv"]
_NO_PROMPT = "OpenAssistant, messages"
"""A message alone cannot be scored: its prompt is in other rows."""
_NOT_IN_CSV = "LLaMA-Factory, Alpaca with two outputs", "csv"
"""Its list of outputs cannot be told from an output that is a list."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::embrm.exceptions.MisreadWarning",
)


def _source(case, container, folder):
    if container == "dicts":
        return case["rows"]
    if container == "jsonl":
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in case["rows"]))
        return path
    if container == "csv":
        path = folder / "rows.csv"
        pd.DataFrame(case["rows"]).to_csv(path, index=False)
        return path
    path = folder / "rows.parquet"
    rows = [_without_empty(row) for row in case["rows"]]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _plain(prompt):
    """Write one turn of the user as its text: both spellings are the same prompt."""
    single = not isinstance(prompt, str) and len(prompt) == 1 and len(prompt[0]) == 2
    return prompt[0]["content"] if single else prompt


def _without_empty(value):
    """Parquet holds no struct without fields."""
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v != {}}
    return [_without_empty(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "container"), sorted({*product(CASES, CONTAINERS)} - {_NOT_IN_CSV})
)
def test_published_rows_say_what_they_say(name, container, tmp_path):
    """Format, prompts, texts, labels and columns are those written by hand."""
    case = CASES[name]
    named = case["format"] if case.get("named") else None
    read = read_preferences(_source(case, container, tmp_path), format=named)
    assert read.read_report.format == case["format"]
    assert read.read_report.n_kept == len(case["rows"])
    if "pairs" in case:
        texts = read.to_frame()[["prompt", "first", "second", "y"]]
        texts = texts.assign(prompt=texts["prompt"].map(_plain))
        assert texts.to_numpy(object).tolist() == case["pairs"]
    for column, values in case.get("columns", {}).items():
        found = [None if value != value else value for value in read.pairs[column]]
        assert found == values
    if "items" in case:
        _check_items(read.items, case["items"])


def _check_items(items, expected):
    items = items.assign(prompt=items["prompt"].map(_plain))
    assert items[["prompt", "response"]].to_numpy(object).tolist() == [
        row[:2] for row in expected
    ]
    for (*_, attributes), item in zip(expected, items.to_dict("records"), strict=True):
        assert {name: item[name] for name in attributes} == attributes


@pytest.mark.parametrize("name", CASES)
def test_every_column_of_published_rows_is_accounted_for(name):
    """Each is read as something, carried along, not used, or empty."""
    case = CASES[name]
    named = case["format"] if case.get("named") else None
    report = read_preferences(case["rows"], format=named).read_report
    assert set(report.columns) == {column for row in case["rows"] for column in row}
    assert all(report.columns.values())
    read_as = set(report.columns.values()) - {"carried along", "not used", "empty"}
    assert read_as


@pytest.mark.parametrize("name", CASES)
def test_published_rows_feed_a_head(name):
    """A model is fitted on each of them by one call."""
    case = CASES[name]
    rows = _more_prompts(case["rows"])
    attributes = case["items"][0][2] if "items" in case else {}
    head = "kto" if "label" in attributes else "linear"
    head = "regression" if "score" in attributes else head
    model = RewardModel(encoder="hashing:64", head=head)
    model.fit(rows, format=case["format"] if case.get("named") else None)
    assert model.read_report_.n_kept == len(rows)


@pytest.mark.parametrize("name", [name for name in CASES if name != _NO_PROMPT])
def test_the_texts_that_are_fitted_are_those_that_are_scored(name):
    """Scoring the rows of a format finds the same prompts and responses."""
    rows = CASES[name]["rows"]
    fitted = read_preferences(rows, on_error="skip").texts
    scored = row_items(pd.DataFrame(rows)).texts
    assert {(prompt_key(p), text) for p, text in fitted} == {
        (prompt_key(p), text) for p, text in scored
    }


def _more_prompts(rows):
    """Repeat rows with other prompts, so that there is something to fit on."""
    made = []
    for number in range(6):
        text = json.dumps(rows)
        for word in ("Hi", "Why?", "1 + 1?", "How?", "Add", "post."):
            text = text.replace(word, f"{word} {number}")
        for place in ('"message_id": "', '"parent_id": "'):
            text = text.replace(place, f"{place}{number}")
        again = json.loads(text)
        for row in again:
            if "solution_type" in row and number % 2:
                row["eval_solution"] = ["So"]
            for column in ("label", "kto_tag"):
                if isinstance(row.get(column), bool) and number % 2:
                    row[column] = not row[column]
            if "summary" in row:
                row["summary"]["axes"]["overall"] = number
        made += again
    return made


def test_the_safer_response_is_another_label():
    """The user says which column decides; the other one goes along."""
    rows = CASES["PKU-SafeRLHF"]["rows"]
    with pytest.warns(MisreadWarning, match=r"in all 2 rows the first response"):
        read = read_preferences(rows, columns={"winner": "safer_response_id"})
    assert read.y.tolist() == [1.0, 1.0]
    assert read.pairs["better_response_id"].tolist() == [1, 0]


def test_the_difference_of_scores_is_a_margin_on_request():
    """By itself it only goes along, and that it could be a margin is noted."""
    rows = CASES["ultrafeedback_binarized"]["rows"]
    plain = read_preferences(rows)
    assert plain.margin is None
    assert any("can be the margin" in note for note in plain.read_report.notes)
    columns = {"margin": "score_chosen - score_rejected"}
    assert read_preferences(rows, columns=columns).margin.tolist() == [3.5]


def test_the_ratio_of_votes_is_a_weight_on_request():
    """SHP's authors weigh by it; embrm does when it is told to."""
    rows = CASES["SHP"]["rows"]
    weighted = read_preferences(rows, columns={"weight": "score_ratio"})
    assert weighted.weight.tolist() == [4.0, 4.0]
    assert read_preferences(rows).weight is None


def test_a_frame_of_arrays_is_read_as_its_rows():
    """Lists in Parquet come back from pandas as arrays."""
    rows = CASES["Nectar"]["rows"]
    table = pa.Table.from_pylist(rows)
    frame = table.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert len(read_preferences(frame)) == 1


def test_tools_beside_messages_reach_the_prompt():
    """Wherever they stand, and not as a column of the pairs."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    turns = [{"role": "user", "content": "Hi"}]
    answers = {"chosen": "Hello", "rejected": "Go"}
    said = {
        "a column": {"prompt": "Hi", **answers, "tools": tools},
        "JSON in text": {"prompt": turns, **answers, "tools": json.dumps(tools)},
        "OpenAI": {"input": {"messages": turns, "tools": tools}, **answers},
    }
    for name, row in said.items():
        read = read_preferences([row])
        assert read.items["prompt"][0] == [turns[0] | {"tools": tools}], name
        assert "tools" not in read.pairs, name
    assert read_preferences([said["a column"]]).read_report.columns["tools"] == (
        "tools, for chat templates"
    )
    none = read_preferences([{"prompt": "Hi", **answers, "tools": "[]"}])
    assert none.items["prompt"][0] == "Hi"


def test_tools_are_scored_as_they_are_fitted():
    """Prompts of rows that are scored hold the tools, too."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    rows = [{"prompt": "Hi", "response": "Hello", "tools": tools}]
    items = row_items(pd.DataFrame(rows))
    assert items.texts == [
        ([{"role": "user", "content": "Hi", "tools": tools}], "Hello")
    ]


def test_what_is_not_read_of_messages_is_said():
    """A thought beside an answer is no part of it."""
    answer = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm."}
    row = {"prompt": "Hi", "chosen": [answer], "rejected": "Go"}
    row["rejected"] = [{"role": "assistant", "content": "Go"}]
    report = read_preferences([row]).read_report
    assert "reasoning_content of messages is not read" in report.notes


def test_a_third_response_is_never_a_tie():
    """Of three lettered responses, C is the third one."""
    row = {"prompt": "Hi", "response_a": "a", "response_b": "b", "response_c": "c"}
    read = read_preferences([row | {"winner": "C"}])
    assert read.to_frame()[["first", "second", "y"]].to_numpy().tolist() == [
        ["c", "a", 1.0],
        ["c", "b", 1.0],
    ]
    with pytest.raises(DataError, match="expected one of response_a, response_b"):
        read_preferences([row | {"winner": "tie"}])


def test_several_questions_that_compare_are_refused():
    """Helpful and harmless are two preferences: the user keeps one, or names it."""
    fields = {"prompt": "Hi", "response_a": "Hello", "response_b": "Go"}
    answers = {
        "helpful": [{"value": "response_a", "user_id": "u"}],
        "harmless": [{"value": "response_b", "user_id": "u"}],
    }
    with pytest.raises(
        DataError, match=r"one question that says .* got helpful, harml"
    ):
        read_preferences([{"fields": fields, "responses": answers}])
    answers["overall"] = answers["harmless"]
    read = read_preferences([{"fields": fields, "responses": answers}])
    assert read.y.tolist() == [0.0]
    assert any("not used: helpful, harmless" in note for note in read.read_report.notes)


def test_buckets_of_items_have_no_order():
    """Nothing says that one bucket is better than another."""
    data = {
        "prompt": "Hi",
        "items": [{"id": "a", "body": "x"}, {"id": "b", "body": "y"}],
    }
    value = {"ranker": {"good": ["a"], "bad": ["b"]}}
    result = {"type": "ranker", "from_name": "rank", "value": value}
    task = {"data": data, "annotations": [{"result": [result]}]}
    with pytest.raises(DataError, match=r"in one order, .* got buckets good, bad"):
        read_preferences([task])


def test_answers_mean_what_they_are_said_to_mean():
    """Words that embrm does not know are no answer until they are explained."""
    fields = {"prompt": "Hi", "response_a": "Hello", "response_b": "Go"}
    rows = [
        {**fields, "vote": [{"value": word, "user_id": "u", "status": "submitted"}]}
        for word in ("upper", "lower")
    ]
    with pytest.raises(DataError, match="a submitted answer that ranks, chooses or r"):
        read_preferences(rows)
    read = read_preferences(rows, winner={"upper": "first", "lower": "second"})
    assert read.y.tolist() == [1.0, 0.0]
    assert read.read_report.n_kept == 2
    answers = {"better": [{"value": 2, "user_id": "u"}], "why": [{"value": "Kinder."}]}
    record = [{"fields": fields, "responses": answers}]
    with pytest.raises(DataError, match="a submitted answer"):
        read_preferences(record)
    told = read_preferences(record, winner={1: "first", 2: "second"})
    assert told.y.tolist() == [0.0]


@pytest.mark.parametrize(
    ("answers", "attributes"),
    [
        ({"helpfulness": 4}, {"score": 4.0}),
        ({"overall": 4, "kind": 1}, {"score": 4.0, "overall": 4.0, "kind": 1.0}),
        ({"helpful": 4, "honest": 1}, {"helpful": 4.0, "honest": 1.0}),
        ({"rating": 4, "overall": 1}, {"rating": 4.0, "overall": 1.0}),
        ({"is_right": "good", "helpful": 2}, {"label": True, "score": 2.0}),
    ],
)
def test_the_score_among_several_ratings_is_not_guessed(answers, attributes):
    """The only one is it, or the only one that is called so."""
    told = {name: [{"value": value}] for name, value in answers.items()}
    record = {"fields": {"prompt": "Hi", "response": "Hello"}, "responses": told}
    item = read_preferences([record]).items.iloc[0]
    known = ("score", "label", *answers)
    assert {n: item[n] for n in known if n in item} == attributes
    two = {name: [{"value": "good"}] for name in ("is_right", "is_safe")}
    with pytest.raises(DataError, match=r"one question that .* got is_right, is_safe"):
        read_preferences([record | {"responses": two}])
