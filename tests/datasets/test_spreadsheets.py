"""Files as people export them: read the right way round, or refused with a fix.

Every file holds the same six comparisons, the better response first in every other one.
"""

import json

import pandas as pd
import pytest

from embrm.datasets import read_pairs, read_preferences
from embrm.datasets.formats import RowReader, read_responses
from embrm.exceptions import DataError, EmbrmWarning, InvalidInputError

PROMPTS = [f"Question {n}?" for n in range(6)]
GOOD = [f"A sound answer to question {n}." for n in range(6)]
BAD = [f"No answer, {n}." for n in range(6)]
FLIPPED = [n % 2 for n in range(6)]
pytestmark = pytest.mark.filterwarnings("ignore::embrm.exceptions.MisreadWarning")


def _two(names=("response_a", "response_b"), prompt="prompt", **columns):
    """Write rows of two responses; other columns are made of whether second wins."""
    rows = []
    for n in range(6):
        sides = (GOOD[n], BAD[n])[:: -1 if FLIPPED[n] else 1]
        row = {prompt: PROMPTS[n], **dict(zip(names, sides, strict=True))}
        rows.append(row | {name: make(FLIPPED[n], n) for name, make in columns.items()})
    return rows


def _rated(good, bad, name="score", prompt="prompt", response="response"):
    return [
        {prompt: PROMPTS[n], response: text, name: value}
        for n in range(6)
        for text, value in ((GOOD[n], good), (BAD[n], bad))
    ]


def _turns(prompt, answer):
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": answer},
    ]


def _assert_right(read, n=6):
    """Check that in every pair the sound answer is preferred."""
    frame = read.to_frame()
    prompts = frame["prompt"].map(
        lambda p: p if isinstance(p, str) else p[0]["content"]
    )
    assert len(frame) == n
    sound = frame["first"].str.startswith("A sound")
    assert ((frame["y"] > 0.5) == sound).all()
    assert (frame["y"] != 0.5).all()
    assert sorted(set(prompts)) == PROMPTS


READ = {
    "the winner is a model": _two(
        model_a=lambda *_: "gpt",
        model_b=lambda *_: "llama",
        winner=lambda second, _: ("gpt", "llama")[second],
    ),
    "the winner is the text": _two(preferred_response=lambda _, n: GOOD[n]),
    "sentences": _two(
        ("Answer A", "Answer B"),
        "Question",
        Preference=lambda second, _: ("A is better", "B is slightly better")[second],
    ),
    "brackets": _two(verdict=lambda second, _: ("[[A]]", "[[B]]")[second]),
    "spaces and signs": _two(winner=lambda second, _: ("A >> B", "A < B")[second]),
    "numbers as text": _two(
        ("response_1", "response_2"), winner=lambda second, _: str(1 + second)
    ),
    "a probability called y": _two(y=lambda second, _: (0.9, 0.1)[second]),
    "a rank of each side": _two(
        ("response_1", "response_2"),
        rank_1=lambda second, _: 1 + second,
        rank_2=lambda second, _: 2 - second,
    ),
    "a reward of each side": _two(
        reward_a=lambda second, _: (2.5, -1.0)[second],
        reward_b=lambda second, _: (-1.0, 2.5)[second],
    ),
    "two responses in a list": [
        {"prompt": row["prompt"], "responses": [row["response_a"], row["response_b"]]}
        | {"winner": row["winner"]}
        for row in _two(winner=lambda second, _: "AB"[second])
    ],
    "a selection of a labelling tool": _two(
        overall=lambda second, _: {"selection": "AB"[second]}
    ),
    "ranks as text": _rated("1", "2", "rank"),
    "ratings as text": _rated("5", "2", "rating"),
    "good and bad": _rated("Good", "bad", "label"),
    "OpenAI's preference fine-tuning": [
        {
            "input": {"messages": [{"role": "user", "content": PROMPTS[n]}]},
            "preferred_output": [{"role": "assistant", "content": GOOD[n]}],
            "non_preferred_output": [{"role": "assistant", "content": BAD[n]}],
        }
        for n in range(6)
    ],
    "accepted and rejected": [
        {"query": PROMPTS[n], "answer_accepted": GOOD[n], "answer_rejected": BAD[n]}
        for n in range(6)
    ],
    "records of contents with ranks": [
        {"prompt": PROMPTS[n]}
        | {
            "responses": [
                {"content": BAD[n], "rank": 2},
                {"content": GOOD[n], "rank": 1},
            ]
        }
        for n in range(6)
    ],
    "scores beside chosen and rejected": [
        {"input": PROMPTS[n], "generations": [BAD[n], GOOD[n]], "rating": [1.0, 9.0]}
        | {"chosen": GOOD[n], "rejected": BAD[n], "status": "swapped"}
        for n in range(6)
    ],
}


@pytest.mark.parametrize("rows", READ.values(), ids=READ)
def test_a_file_is_read_the_right_way_round(rows):
    """Without any argument, the sound answer wins every comparison."""
    _assert_right(read_pairs(rows))


REFUSED = {
    "a label of 0 and 1 beside two responses": (
        _two(label=lambda second, _: second),
        r"got 0\. Fix: say what each value means: winner=",
        {"winner": {0: "first", 1: "second"}},
    ),
    "a label of 1 and -1 beside two responses": (
        _two(label=lambda second, _: (1, -1)[second]),
        "say what each value means",
        {"winner": {1: "first", -1: "second"}},
    ),
    "whether the first won": (
        _two(a_wins=lambda second, _: not second),
        r"'second': 'response_b', 'winner': 'your name for it'",
        {
            "columns": {"winner": "a_wins"},
            "winner": {True: "first", False: "second"},
        },
    ),
    "a probability of another name": (
        _two(preference=lambda second, _: (0.9, 0.1)[second]),
        r"pass columns=\{'y': 'your name for it'\}",
        {"columns": {"y": "preference"}},
    ),
    "a place in a list": (
        [
            {"prompt": row["prompt"], "responses": [*row.values()][1:3]}
            | {"winner": row["winner"]}
            for row in _two(winner=lambda second, _: second)
        ],
        "say what each value means",
        {"winner": {0: "first", 1: "second"}},
    ),
    "five stars called label": (
        _rated(5, 1, "label"),
        r"columns=\{'score': 'label'\}",
        {"columns": {"score": "label"}},
    ),
    "labels of 1 and -1": (
        _rated(1, -1, "label"),
        r"columns=\{'score': 'label'\}",
        {"columns": {"score": "label"}},
    ),
    "thumbs": (
        _rated(good=True, bad=False, name="thumbs_up"),
        r"if true means a good response: columns=\{'label': 'thumbs_up'\}",
        {"columns": {"label": "thumbs_up"}},
    ),
    "true of a bad response": (
        _rated(good=False, bad=True, name="is_toxic"),
        r"'is_toxic'\}; if a bad one, with lower_is_better=True as well",
        {"columns": {"label": "is_toxic"}, "lower_is_better": True},
    ),
    "words under another name": (
        _rated("good", "bad", "rating"),
        r"if that is it: columns=\{'label': 'rating'\}",
        {"columns": {"label": "rating"}},
    ),
    "stars": (
        _rated(5, 2, "stars"),
        r"with ratings in stars\. Fix: if one of them says how good a response is",
        {"columns": {"score": "stars"}},
    ),
    "headings, and a grade of another name": (
        _rated(5, 1, "Quality (1-5)", "Prompt", "Model Response"),
        r"ratings in Quality \(1-5\)",
        {"columns": {"score": "Quality (1-5)"}},
    ),
    "a dialogue of speakers": (
        [
            {"dialogue": [{"speaker": "user", "text": PROMPTS[n]}]}
            | {"chosen": GOOD[n], "rejected": BAD[n]}
            for n in range(6)
        ],
        r"columns=\{'prompt': 'dialogue'\}",
        {"columns": {"prompt": "dialogue"}},
    ),
    "misspelt columns": (
        [
            {"promt": PROMPTS[n], "chosenn": GOOD[n], "rejcted": BAD[n]}
            for n in range(6)
        ],
        r"if they are misspelt: columns=\{'prompt': 'promt', 'chosen': 'chosenn'",
        {"columns": {"prompt": "promt", "chosen": "chosenn", "rejected": "rejcted"}},
    ),
    "columns in German": (
        [{"frage": PROMPTS[n], "gut": GOOD[n], "schlecht": BAD[n]} for n in range(6)],
        r"columns=\{'prompt': 'your name for it', 'chosen': 'your name for it'",
        {"columns": {"prompt": "frage", "chosen": "gut", "rejected": "schlecht"}},
    ),
}


@pytest.mark.parametrize(("rows", "said", "then"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_what_could_be_either_way_is_refused_until_it_is_said(
    rows, said, then, on_error
):
    """The error says what to pass; with it the sound answer wins every comparison.

    Leaving out the rows that do not fit would keep those that were misread.
    """
    with pytest.raises(DataError, match=said):
        read_pairs(rows, on_error=on_error)
    _assert_right(read_pairs(rows, on_error=on_error, **then))


def test_a_stray_label_is_a_slip_and_left_out():
    """One of two hundred labels is 2: the others are what they seem."""
    rows = [
        {"prompt": f"p{n}", "response": "a", "label": n % 2} for n in range(199)
    ] + [{"prompt": "p", "response": "a", "label": 2}]
    with pytest.warns(EmbrmWarning):
        read = read_preferences(rows, on_error="skip")
    assert (read.read_report.n_kept, read.read_report.n_left_out) == (199, 1)


@pytest.mark.parametrize("name", ["perplexity", "eval_loss", "n_errors", "Rank"])
def test_a_score_whose_name_suggests_that_low_is_good_needs_a_direction(name):
    """Named as the score, it is refused until its direction is said."""
    rows = _rated(1.5, 7.0, name)
    with pytest.raises(InvalidInputError, match="pass lower_is_better=True"):
        read_pairs(rows, columns={"score": name})
    _assert_right(read_pairs(rows, columns={"score": name}, lower_is_better=True))


def test_pandas_writes_messages_into_csv_as_python_does(tmp_path):
    """Lists come back as lists, also those of arrays, which have no commas."""
    rows = [
        {"chosen": _turns(p, g), "rejected": _turns(p, b)}
        for p, g, b in zip(PROMPTS, GOOD, BAD, strict=True)
    ]
    plain, of_arrays = tmp_path / "plain.csv", tmp_path / "arrays.csv"
    pd.DataFrame(rows).to_csv(plain, index=False)
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "rows.parquet")
    pd.read_parquet(tmp_path / "rows.parquet").to_csv(of_arrays, index=False)
    # As the datasets library writes it: without line breaks either.
    in_one_line = tmp_path / "one_line.csv"
    one_line = [
        {name: str(turns).replace("}, {", "} {") for name, turns in row.items()}
        for row in rows
    ]
    pd.DataFrame(one_line).to_csv(in_one_line, index=False)
    for path in (plain, of_arrays, in_one_line):
        read = read_preferences(path)
        frame = read.to_frame()
        assert frame["first"].tolist() == GOOD
        assert [turns[0]["content"] for turns in frame["prompt"]] == PROMPTS


def test_messages_that_were_cut_off_are_no_text():
    """A list of turns that cannot be parsed is refused, not taken as a prompt."""
    cut = "[{'role': 'user', 'content': 'Hi'}, {'role': 'assis"
    with pytest.raises(DataError, match="messages in another form, or cut off"):
        read_preferences([{"chosen": cut + "x y", "rejected": cut + "x z"}])
    with pytest.raises(DataError, match=r"write lists by json\.dumps"):
        read_preferences([{"prompt": cut, "chosen": "a", "rejected": "b"}])


def test_calls_of_tools_among_the_parts_of_a_message_are_read():
    """As Anthropic writes them: a call, and the answer in a turn of the user."""
    chosen = [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t", "name": "weather", "input": {"at": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Sun"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
    ]
    row = {"prompt": "Weather?", "chosen": chosen, "rejected": "No idea."}
    text = read_preferences([row]).items["response"][0]
    assert text == 'I look.\nweather({"at": 1})\n\nTool: Sun\n\nAssistant: Sunny.'


def test_a_number_beside_the_text_of_a_response_is_said_not_to_be_read():
    """Of `chosen {text, score}` only the text is read, and the report says so."""
    row = {"prompt": "p", "chosen": {"text": "a", "score": 5}, "rejected": "b"}
    notes = read_preferences([row]).read_report.notes
    assert any("text is read; score is not" in note for note in notes)


def test_a_word_for_nothing_as_a_response_is_counted():
    """A missing value that was exported as text is read as one, and said."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "nan"}]
    notes = read_preferences(rows).read_report.notes
    assert any("1 response of the word nan" in note for note in notes)


def test_a_decimal_comma_is_named(tmp_path):
    """What Excel writes in many countries is refused with how to read it."""
    path = tmp_path / "scores.csv"
    frame = pd.DataFrame(_rated(4.5, 1.5))
    frame.to_csv(path, index=False, sep=";", decimal=",")
    with pytest.raises(DataError, match=r"sep=';', decimal=','"):
        read_preferences(path)
    _assert_right(read_pairs(pd.read_csv(path, sep=";", decimal=",")))


def test_the_first_error_is_in_the_report_where_most_rows_were_left_out():
    """Left out, the rows say why, and what to do."""
    rows = _rated("5/5", "1/5")
    with pytest.warns(EmbrmWarning, match="most rows were left out, the first as"):
        report = read_preferences(rows, on_error="skip").read_report
    assert any("a finite number as score; got '5/5'" in note for note in report.notes)
    assert set(report.columns.values()) == {"not used"}


def test_chats_in_a_log_of_votes_are_no_votes():
    """FastChat logs chats of one model between the votes."""
    state = {"roles": ["USER", "ASSISTANT"], "offset": 0}
    states = [
        state | {"messages": [["USER", "Hi"], ["ASSISTANT", text]]}
        for text in ("Hello", "Go")
    ]
    chat = {"tstamp": 1.0, "type": "chat", "model": "m", "state": states[0], "ip": ""}
    vote = {"tstamp": 2.0, "type": "leftvote", "models": ["m", "n"], "states": states}
    with pytest.warns(EmbrmWarning, match="1 no vote"):
        read = read_preferences([chat, vote], on_error="skip-uninformative")
    assert read.y.tolist() == [1.0]


def test_errors_name_the_columns_of_the_file():
    """Not those that a template or the user's names add."""
    rows = [{"sys": "s", "q": "p", "a1": "a", "a2": "b"}]
    with pytest.raises(DataError, match=r"got columns sys, q, a1, a2\.") as caught:
        read_preferences(rows, prompt_template="{sys} {q}")
    assert "which of 'a1' and 'a2' is better" in str(caught.value)
    with pytest.raises(DataError, match="how good 'a1' is"):
        read_preferences(rows, prompt_template="{sys} {q}", columns={"response": "a1"})
    with pytest.raises(DataError, match="the column 'ask', which the prompt_template"):
        read_preferences(rows, prompt_template="{sys} {ask}")


def test_label_studio_does_not_say_which_text_stood_left():
    """Where no two fields tell, the flat export does: its columns have names."""
    result = {"type": "pairwise", "from_name": "pw", "to_name": "pw"}
    task = {
        "id": 1,
        "data": {"prompt": "p", "here": "a", "there": "b"},
        "annotations": [{"result": [result | {"value": {"selected": "left"}}]}],
    }
    with pytest.raises(DataError, match="export as JSON-MIN, whose columns"):
        read_preferences([task])
    flat = {
        **task["data"],
        "pw": [{"selected": "left"}],
        "annotator": 1,
        "annotation_id": 2,
        "lead_time": 1.5,
    }
    columns = {"first": "here", "second": "there", "winner": "pw"}
    read = read_preferences([flat], columns=columns)
    assert read.to_frame()[["first", "second", "y"]].to_numpy().tolist() == [
        ["a", "b", 1.0]
    ]


def test_a_task_without_annotations_says_nothing(tmp_path):
    """Label Studio exports it too, without the column of the pairwise tag."""
    known = {"prompt": "p", "answer1": "a", "answer2": "b", "lead_time": 1.5}
    rows = [
        known | {"annotator": {}, "annotation_id": None},
        known | {"annotator": 2, "annotation_id": 5, "pw": [{"selected": "right"}]},
    ]
    path = tmp_path / "min.json"
    path.write_text(json.dumps(rows))
    with pytest.warns(EmbrmWarning, match="1 no annotation"):
        read = read_preferences(path, on_error="skip-uninformative")
    assert read.y.tolist() == [0.0]


def test_votes_without_texts_are_said_to_be_such():
    """Nothing can be embedded: no column could be named that would help."""
    vote = {"question_id": "q", "model_a": "m", "model_b": "n", "winner": "model_a"}
    with pytest.raises(DataError, match="add their texts as response_a and response_b"):
        read_preferences([vote | {"judge": "j", "turn": 1, "language": "English"}])
    with pytest.raises(DataError, match="of which 'chosen' names the better one"):
        read_preferences([{"prompt": "Why is it so?", "chosen": "A", "who": "u"}])


def test_a_score_of_chosen_below_that_of_rejected_is_counted():
    """Where most are below, the sides may be turned, which is a warning."""
    rows = [
        {
            "prompt": p,
            "chosen": b,
            "rejected": g,
            "score_chosen": 1,
            "score_rejected": 3,
        }
        for p, g, b in zip(PROMPTS, GOOD, BAD, strict=True)
    ]
    with pytest.warns(EmbrmWarning, match="in 6 of 6 pairs score_chosen is below"):
        read_preferences(rows)


def test_a_list_of_turns_beside_two_texts_may_be_the_prompt():
    """The words that both answers share are none, whatever else the row holds."""
    row = {"dialogue": [{"speaker": "u", "text": "Why?"}]}
    row |= {"chosen": "Yes, it is.", "rejected": "Yes, no."}
    with pytest.raises(DataError, match=r"columns=\{'prompt': 'dialogue'\}"):
        read_preferences([row])


def test_responses_may_hold_their_ranks():
    """As records of a text and a rank, 1 the best."""
    rows = [
        {"prompt": p, "answers": [{"text": b, "rank": 2}, {"text": g, "rank": 1}]}
        for p, g, b in zip(PROMPTS, GOOD, BAD, strict=True)
    ]
    _assert_right(read_pairs(rows))


def test_labels_of_one_kind_order_nothing():
    """The error says what to add."""
    rows = [{"prompt": p, "completion": "a", "label": True} for p in PROMPTS]
    with pytest.raises(DataError, match="add bad responses: labels of one kind"):
        read_pairs(rows)


def test_rankings_whose_ranks_were_lost_are_refused():
    """Argilla's client lists the options as they were offered, whatever was said."""
    fields = {"prompt": "p", "reply-1": "a", "reply-2": "b"}
    names = ["reply-1", "reply-2"]
    nested = {
        "fields": fields,
        "responses": {"ranking": [{"value": names, "user_id": "u"}]},
    }
    flat = {
        **fields,
        "ranking.responses": [names],
        "ranking.responses.users": ["u"],
        "ranking.responses.status": ["submitted"],
    }
    for record in (nested, flat):
        with pytest.raises(DataError, match=r"loses the ranks.*the server's API"):
            read_preferences([record])


def test_steps_are_scored_as_they_were_fitted():
    """With the steps before them in the prompt, not as answers by themselves."""
    row = {"prompt": "1 + 1?", "completions": ["Add.", "3"], "labels": [True, False]}
    reader = RowReader()
    read_responses(row, reader)
    fitted = read_preferences([row]).items
    assert [item["prompt"] for item in reader.items] == fitted["prompt"].tolist()


def test_a_ranking_that_may_be_an_order_is_said_to_be_read_as_ranks():
    """Second, third, first: as ranks, the third response is best."""
    row = {"prompt": "p", "responses": ["a", "b", "c"], "ranking": [1, 2, 0]}
    read = read_preferences([row])
    assert any("read as the rank of each" in note for note in read.read_report.notes)
    assert read.items.sort_values("rank")["response"].tolist() == ["c", "a", "b"]
    both = read_preferences([row | {"ranking": [1, 0, 2]}]).read_report
    assert not any("read as the rank" in note for note in both.notes)


def test_true_and_false_as_a_score_are_labels():
    """The error says how to read them, and that works."""
    rows = _rated(good=True, bad=False)
    with pytest.raises(DataError, match=r"columns=\{'label': 'score'\}"):
        read_pairs(rows)
    _assert_right(read_pairs(rows, columns={"label": "score"}))


def test_soft_labels_of_steps_are_refused():
    """A share of right continuations is no label; the error says how to make one."""
    row = {"prompt": "p", "completions": ["a", "b"], "labels": [0.9, 0.2]}
    with pytest.raises(DataError, match=r"e\.g\. label >= 0\.5"):
        read_preferences([row])


def test_a_column_is_not_called_carried_because_a_table_has_one_of_its_name():
    """Beside a winner, `y` is not used; beside chosen and rejected, it is the label."""
    row = {"prompt": "p", "response_a": "a", "response_b": "b", "winner": "A", "y": 0}
    assert read_preferences([row]).read_report.columns["y"] == "not used"
    pair = {
        f"{side}": f"\n\nHuman: p\n\nAssistant: {side}"
        for side in ("chosen", "rejected")
    }
    read = read_preferences([pair | {"y": 0.25, "margin": 1.5}])
    assert read.y.tolist() == [0.25]
    assert read.read_report.columns["y"].startswith("label")
    assert read.read_report.columns["margin"] == "margin"
