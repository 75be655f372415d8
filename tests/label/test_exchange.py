"""Tasks go to other tools in their form, and labels come back from their exports."""

import json
import warnings

import numpy as np
import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError, MisreadWarning
from embrm.label import Texts
from embrm.label.exchange import add_labels, learn_labels, write_tasks
from embrm.label.launch import distinct_items, make_loop
from embrm.model.items import row_items
from tests.label.conftest import make_texts

TEXTS = make_texts()


@pytest.fixture
def loop():
    prompts = np.unique([prompt for prompt, _ in TEXTS], return_inverse=True)[1]
    vectors = np.random.default_rng(0).normal(size=(len(TEXTS), 3))
    return make_loop(TEXTS, prompts, vectors, random_state=0, warm_start=2)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read(path):
    with warnings.catch_warnings():
        # Of rankings the winner is always first.
        warnings.simplefilter("ignore", MisreadWarning)
        return read_preferences(path)


def label_studio(task, left_is_better):
    """What Label Studio exports after an annotator has taken one answer."""
    value = {"selected": "left" if left_is_better else "right"}
    result = {"type": "pairwise", "value": value, "to_name": "answer1,answer2"}
    return task | {"annotations": [{"completed_by": 7, "result": [result]}]}


def argilla(task, left_is_better):
    """An Argilla record with a submitted ranking."""
    names = ["response-1", "response-2"]
    order = names if left_is_better else names[::-1]
    ranking = [{"value": name, "rank": n + 1} for n, name in enumerate(order)]
    values = {"ranking": {"value": ranking}}
    response = {"user_id": "u", "status": "submitted", "values": values}
    return task | {"responses": [response]}


def arena(task, left_is_better):
    """A cleaned row of an arena."""
    return task | {"winner": "model_a" if left_is_better else "model_b"}


@pytest.mark.parametrize("judge", [label_studio, argilla, arena])
def test_tasks_come_back_as_labels(loop, tmp_path, judge):
    """Written, judged there, read again: the same pairs, in the same order."""
    tool = judge.__name__.replace("_", "-")
    tasks, exported, out = (tmp_path / name for name in ("t", "e.json", "l.jsonl"))
    assert write_tasks(loop, Texts(TEXTS), tasks, tool=tool, n=5) == 5
    written = (
        json.loads(tasks.read_text()) if tool == "label-studio" else rows_of(tasks)
    )
    assert [str(row).count("'priority'") for row in written] == [1] * 5
    answers = [True, False, False, True, True]
    judged = [judge(row, y) for row, y in zip(written, answers, strict=True)]
    exported.write_text(json.dumps(judged))
    assert add_labels(read(exported), out) == (5, 0)
    assert add_labels(read(exported), out) == (0, 5)
    for row, better, task in zip(rows_of(out), answers, written, strict=True):
        left, right = sides_of(task)
        winner = row[row["winner"]]
        assert winner == (left if better else right)
    assert learn_labels(loop, Texts(TEXTS), read(exported)) == (5, 0)
    assert loop.n_labels == 5


def sides_of(task):
    """The two responses of a task, whatever the tool."""
    if "data" in task:
        return task["data"]["answer1"], task["data"]["answer2"]
    if "fields" in task:
        return task["fields"]["response-1"], task["fields"]["response-2"]
    return task["conversation_a"][1]["content"], task["conversation_b"][1]["content"]


def test_tools_that_are_not_known_are_named(loop, tmp_path):
    """With those that are."""
    with pytest.raises(InvalidInputError, match="label-studio, argilla, arena"):
        write_tasks(loop, Texts(TEXTS), tmp_path / "t", tool="paper", n=2)


def test_labels_of_other_texts_are_counted_and_left_out(loop, tmp_path):
    """They are not in the pool."""
    row = {"prompt": "Prompt 0", "first": "Answer 0 to 0", "second": "Answer 1 to 0"}
    other = {"prompt": "P", "first": "a", "second": "b"}
    rows = [row | {"winner": "first"}, other | {"winner": "second"}]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert learn_labels(loop, Texts(TEXTS), read(path)) == (1, 1)
    assert loop.ids.tolist() == [[0, 1]]


def test_every_response_is_an_item_once():
    """Whatever labels the file has; single responses are nothing to compare."""
    rows = [
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "chosen": "a", "rejected": "c"},
        {"prompt": "q", "chosen": "a", "rejected": "b"},
    ]
    texts, prompts = distinct_items(row_items(rows))
    assert texts == [("p", "a"), ("p", "b"), ("p", "c"), ("q", "a"), ("q", "b")]
    assert np.bincount(prompts).tolist() in ([3, 2], [2, 3])
    with pytest.raises(DataError, match="two different responses to some prompt"):
        distinct_items(row_items([{"prompt": "p", "response": "a"}]))


def test_a_model_is_what_is_believed_first(loop):
    """And labels update a copy of its head."""
    from embrm.heads import LinearBradleyTerry

    pairs = loop.pool.pairs(loop.pool.same_prompt_ids())
    head = LinearBradleyTerry(alpha=1.0).fit(pairs)
    before = head.coef_.copy()
    believing = make_loop(
        TEXTS, loop.pool.prompt_ids, loop.pool.items, head, random_state=0
    )
    np.testing.assert_allclose(believing.posterior.reward, head.reward(loop.pool.items))
    proposal = believing.propose(10)
    believing.add(proposal.ids, np.zeros(10), is_random=proposal.is_random)
    believing.refit()
    assert (head.coef_ == before).all()
    assert (believing.head_.coef_ != before).any()


def test_labels_of_the_page_are_read_back(tmp_path, make_queue):
    """The table of a session is preference data like any other."""
    out = tmp_path / "labels.jsonl"
    queue = make_queue(out)
    for _ in range(2):
        shown = queue.next("me")
        queue.judge("me", shown.key, "first" if not shown.swapped else "tie", {})
    assert len(read_preferences(out)) == 2
