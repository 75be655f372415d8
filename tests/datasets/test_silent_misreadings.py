"""Files that could be read wrong with a clean log: read right, refused, or said."""

import warnings

import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.datasets.paired import with_pairs
from embrm.exceptions import DataError, MisreadWarning

ANSWERS = {"chosen": "So.", "rejected": "No."}
TWO = {"prompt": "Why?", "response_1": "So.", "response_2": "No."}


def _notes(rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisreadWarning)
        return " | ".join(read_preferences(rows, **options).read_report.notes)


@pytest.mark.parametrize(
    "name", ["annotator", "annotator_id", "rater", "worker_id", "labeler", "judge"]
)
def test_ratings_of_different_annotators_are_not_compared(name):
    """Whatever the column is called, a strict one's best is not below a mild one's."""
    rated = [("So.", 2, 1), ("No.", 1, 1), ("So.", 5, 2), ("No.", 4, 2)]
    rows = [
        {"prompt": "Why?", "response": text, "score": score, name: who}
        for text, score, who in rated
    ]
    read = read_preferences(rows)
    assert read.read_report.columns[name].startswith("annotator")
    frame = with_pairs(read).to_frame()
    better = frame["first"].where(frame["y"] > 0.5, frame["second"])
    assert better.tolist() == ["So."] * 2
    assert sorted(frame["annotator"]) == ["1", "2"]


def test_a_mapped_annotator_is_called_one():
    """The account says what the column is, and who uses it."""
    rows = [{"prompt": "Why?", **ANSWERS, "who": "x"}]
    report = read_preferences(rows, columns={"annotator": "who"}).read_report
    assert report.columns["who"] == "annotator, carried along"
    assert "heads that estimate each annotator's noise use it" in report.notes[-1]
    told = _notes([{"prompt": "Why?", **ANSWERS, "rater": "x"}])
    assert "columns={'annotator': 'rater'}" in told


@pytest.mark.parametrize("name", ["winner", "tie", "swapped", "preference"])
def test_what_may_turn_a_pair_is_said_and_never_mapped(name):
    """A column that may mean another winner is named; no fix makes a tie a win."""
    rows = [{"prompt": "Why?", **ANSWERS, name: True}]
    with pytest.warns(MisreadWarning, match=f"the column '{name}' .* is not used"):
        read_preferences(rows)
    assert "columns={'y'" not in _notes(rows)


def test_another_winner_and_single_votes_are_named():
    """One column decides; those that may say otherwise are said."""
    row = {"prompt": "Why?", "response_a": "So.", "response_b": "No.", "winner": "A"}
    rows = [row | {"preference": "B", "rater_1": "A", "rater_2": "B"}]
    told = _notes([*rows, rows[0] | {"winner": "B"}])
    assert "columns={'winner': 'preference'} takes it instead" in told
    assert "'rater_1', 'rater_2' may be the votes of annotators" in told
    assert len(read_preferences(rows, format="votes")) == 2


def test_numbers_of_responses_are_no_votes():
    """label_1 may label response_1, as human_1 may not."""
    with pytest.raises(DataError, match="which of 'response_1' and 'response_2' is"):
        read_preferences([TWO | {"label_1": 1, "label_2": 2}])
    assert read_preferences([TWO | {"human_1": 1, "human_2": 2}]).y.tolist() == [1, 0]


@pytest.mark.parametrize(
    "cell",
    [[1, 2], {"response_1": 1, "response_2": 2}, [{"annotator": "x", "label": 1}]],
)
def test_numbers_that_may_be_scores_are_no_votes(cell):
    """Of a list of numbers, nobody knows whether they rate the responses."""
    with pytest.raises(DataError, match=r"winner|is better"):
        read_preferences([TWO | {"labels": cell}])
    votes = [{"annotator": "x", "winner": 1}, {"annotator": "y", "winner": 2}]
    assert read_preferences([TWO | {"annotations": votes}]).y.tolist() == [1, 0]


def test_a_rank_that_grows_with_the_score_is_said():
    """Both cannot be right where 1 is the best rank."""
    rows = [
        {"prompt": "Why?", "response": text, "rank": rank, "score": score}
        for text, rank, score in [("a", 1, 5), ("b", 2, 9)]
    ]
    with pytest.warns(MisreadWarning, match="by score; rank goes along, and grows"):
        read_preferences(rows)
    rows[0]["score"] = 10
    assert "by score; rank goes along" in _notes(rows)
    assert "grows" not in _notes(rows)


def test_a_history_that_is_a_text_is_refused():
    """It was called a part of the prompt, and left out."""
    row = {"history": "User: Hi", "question": "Why?", **ANSWERS}
    with pytest.raises(DataError, match=r"prompt_template='\{history\}"):
        read_preferences([row])
    told = read_preferences([row], prompt_template="{history}\n{question}")
    assert told.items["prompt"][0] == "User: Hi\nWhy?"
    written = read_preferences([row | {"history": '[["Hi", "Yes?"]]'}])
    assert [turn["content"] for turn in written.items["prompt"][0]] == [
        *("Hi", "Yes?", "Why?")
    ]


@pytest.mark.parametrize("rank", ["gold", [1, 2], {"a": 1}, None, True, 7])
def test_a_rank_of_any_kind_goes_along_beside_a_score(rank):
    """It decides nothing, so that nothing is asked of it."""
    rows = [
        {"prompt": "Why?", "response": text, "rank": rank, "score": score}
        for text, score in [("a", 1.0), ("b", 2.0)]
    ]
    read = read_preferences(rows)
    assert sorted(read.items["score"]) == [1.0, 2.0]


def test_a_system_column_and_a_system_turn_are_both_kept():
    """Two different ones are two turns; one that is repeated is one."""
    turns = [{"role": "system", "content": "X"}, {"role": "user", "content": "Why?"}]
    for system, kept in (
        ("Be brief.", ["Be brief.", "X", "Why?"]),
        ("X", ["X", "Why?"]),
    ):
        row = {"system": system, "prompt": turns, **ANSWERS}
        prompt = read_preferences([row]).items["prompt"][0]
        assert [turn["content"] for turn in prompt] == kept


@pytest.mark.parametrize(
    "begun",
    [
        "[INST] Why? [/INST]",
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant",
        "### Instruction:\nWhy?\n\n### Response:",
    ],
)
def test_answers_begin_where_the_template_says(begun):
    """Words that both answers share are no part of the prompt."""
    row = {"chosen": f"{begun} Yes, so.", "rejected": f"{begun} Yes, not so."}
    items = read_preferences([row]).items
    assert items["prompt"][0] == begun
    assert items["response"].tolist() == ["Yes, so.", "Yes, not so."]


def test_an_id_is_never_proposed_as_the_prompt():
    """However near its name."""
    row = {"prompt_id": "p1", "frage": "Why not?", **ANSWERS}
    with pytest.raises(DataError, match=r"columns=\{'prompt': 'frage'\}"):
        read_preferences([row])


def test_pictures_beside_texts_are_said():
    """A column of them is not seen."""
    row = {"prompt": "Why?", **ANSWERS, "images": ["x.png"]}
    with pytest.warns(MisreadWarning, match="'images' not used: embrm embeds text al"):
        read_preferences([row])


def test_one_message_written_as_json_is_a_message():
    """Its keys are no part of the answer; other JSON is the answer."""
    row = {"prompt": "Why?", "chosen": '{"role": "assistant", "content": "So."}'}
    read = read_preferences([row | {"rejected": '{"content": "No."}'}])
    assert read.items["response"].tolist() == ["So.", '{"content": "No."}']


def test_every_column_is_accounted_for_whatever_it_is_called():
    """Names that embrm's tables have, too, and names with an underscore before."""
    row = {"prompt": "Why?", **ANSWERS, "response": "So.", "prompt_id": "p", "_id": 3}
    assert read_preferences([row]).read_report.columns == {
        "prompt": "prompt",
        "chosen": "chosen",
        "rejected": "rejected",
        **dict.fromkeys(("response", "prompt_id", "_id"), "carried along"),
    }


def test_names_in_camel_case_are_read_and_said():
    """As those that differ in case and spaces."""
    row = {"userPrompt": "Why?", "chosenResponse": "So.", "rejectedResponse": "No."}
    assert len(read_preferences([row])) == 1
    assert "chosen_response from 'chosenResponse'" in _notes([row])


@pytest.mark.parametrize("how", ["JSON", "Python", "arrays"])
def test_lists_in_csv_are_lists(tmp_path, how):
    """Two rejected responses are not one that is a list."""
    path = tmp_path / "a.csv"
    cells = {
        "JSON": '["No.", "It\'s \\"no\\" \'so\'."]',
        "Python": str(["No.", "It's \"no\" 'so'."]),
        "arrays": "['No.' 'It\\'s \"no\" \\'so\\'.']",
    }
    row = {"prompt": "Why?", "chosen": "So.", "rejected": cells[how]}
    pd.DataFrame([row]).to_csv(path, index=False)
    read = read_preferences(path)
    expected = ["So.", "No.", "It's \"no\" 'so'."]
    assert read.items["response"].tolist() == expected
    assert "written as text, and parsed: rejected" in " ".join(read.read_report.notes)


def test_answers_that_are_lists_stay_answers(tmp_path):
    """What one was asked for may be JSON, in every row."""
    path = tmp_path / "a.csv"
    rows = [
        {"prompt": "JSON?", "chosen": '{"a": 1}', "rejected": "[1, 2]"},
        {"prompt": "Sort!", "chosen": '{"a": 2}', "rejected": "[2, 1]"},
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    assert read_preferences(path).items["response"].tolist() == [
        *('{"a": 1}', "[1, 2]", '{"a": 2}', "[2, 1]")
    ]


def test_whole_numbers_that_pandas_made_floats_are_whole(tmp_path):
    """The solution goes on from the step that was chosen."""
    step = {"completions": [{"text": "Add", "rating": 1}], "chosen_completion": 0.0}
    last = {"completions": [{"text": "2", "rating": 1}], "chosen_completion": None}
    row = {"question": {"problem": "1 + 1?"}, "label": {"steps": [step, last]}}
    assert read_preferences([row]).items["response"].tolist() == ["Add", "2"]
