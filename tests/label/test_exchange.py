"""Tasks go to other tools in their form, and labels come back from their exports."""

import json
import warnings
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError, MisreadWarning
from embrm.label import Texts
from embrm.label.exchange import add_labels, config_of, learn_labels, write_tasks
from embrm.label.tasks import distinct_items, make_loop, make_task
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
    names = {"from_name": "comparison", "to_name": "comparison"}
    result = {"id": "Sba4", "type": "pairwise", "value": value, **names}
    annotation = {
        "completed_by": 7,
        "was_cancelled": False,
        "lead_time": 12.5,
        "created_at": "2026-11-29T14:00:00Z",
        "result": [result],
    }
    return {"id": 1, "annotations": [annotation], "drafts": [], **task}


def label_studio_min(task, left_is_better):
    """JSON_MIN, where the data and the annotation are columns."""
    selected = "left" if left_is_better else "right"
    named = {"annotator": 7, "annotation_id": 2, "lead_time": 12.5, "id": 1}
    return {**task["data"], **named, "comparison": [{"selected": selected}]}


def ranking(left_is_better):
    """The answer to Argilla's ranking question, options as they were offered."""
    ranks = (1, 2) if left_is_better else (2, 1)
    names = ("response-1", "response-2")
    return [{"value": n, "rank": r} for n, r in zip(names, ranks, strict=True)]


def argilla(task, left_is_better):
    """An Argilla record with a submitted ranking, as its server answers."""
    values = {"ranking": {"value": ranking(left_is_better)}}
    response = {"user_id": "u", "status": "submitted", "values": values}
    return task | {"external_id": task["id"], "responses": [response]}


def argilla_on_the_hub(task, left_is_better):
    """Fields, questions and metadata are columns."""
    answer = {"user_id": "u", "status": "submitted", "value": ranking(left_is_better)}
    metadata = {f"metadata.{name}": value for name, value in task["metadata"].items()}
    return {**task["fields"], "ranking": [answer], **metadata}


def arena(task, left_is_better):
    """A cleaned row of an arena."""
    return task | {"winner": "model_a" if left_is_better else "model_b"}


TOOLS = {
    label_studio: "label-studio",
    label_studio_min: "label-studio",
    argilla: "argilla",
    argilla_on_the_hub: "argilla",
    arena: "arena",
}


@pytest.mark.parametrize(("judge", "tool"), TOOLS.items())
def test_tasks_come_back_as_labels(loop, tmp_path, judge, tool):
    """Written, judged there, read again: the same pairs, in the same order."""
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


@pytest.mark.parametrize(("judge", "tool"), TOOLS.items())
def test_how_pairs_were_chosen_comes_back_with_the_labels(loop, tmp_path, judge, tool):
    """Held-out pairs are not fitted on, chosen ones are not taken for random."""
    tasks, exported, out = (tmp_path / name for name in ("t", "e.json", "l.jsonl"))
    write_tasks(loop, Texts(TEXTS), tasks, tool=tool, n=20)
    written = (
        json.loads(tasks.read_text()) if tool == "label-studio" else rows_of(tasks)
    )
    exported.write_text(json.dumps([judge(row, True) for row in written]))
    add_labels(read(exported), out)
    for table in (exported, out):
        again = make_loop(TEXTS, loop.pool.prompt_ids, loop.pool.items, random_state=0)
        learn_labels(again, Texts(TEXTS), read(table))
        assert again.held_out.sum() == 2
        # Two of the warm start, a fifth of the fitted ones, and those held out.
        assert again.is_random.sum() == 7
    rows = rows_of(out)
    assert {row["strategy"] for row in rows} == {"random", "VOptimal"}
    assert all(("propensity" in r) == (r["strategy"] == "random") for r in rows)
    assert {row["position"] for row in rows} == {"first first"}
    if judge is label_studio:
        assert rows[0]["seconds"] == 12.5
        assert rows[0]["time"] == 1795960800.0


def test_the_label_config_names_what_the_tasks_hold(loop, tmp_path):
    """Its variables are in the data; the tag compares what stands left and right."""
    out = tmp_path / "tasks.json"
    write_tasks(loop, Texts(TEXTS), out, tool="label-studio", n=3)
    config = ET.fromstring(config_of(out).read_text())  # noqa: S314
    texts = {text.get("name"): text.get("value") for text in config.iter("Text")}
    for task in json.loads(out.read_text()):
        assert {value.removeprefix("$") for value in texts.values()} <= set(
            task["data"]
        )
    (tag,) = config.iter("Pairwise")
    left, right = tag.get("toName").split(",")
    assert (texts[left], texts[right]) == ("$answer1", "$answer2")


def test_pairs_across_prompts_are_refused_by_tools_that_show_one(tmp_path):
    """With where they can be labelled."""
    vectors = np.random.default_rng(0).normal(size=(len(TEXTS), 3))
    prompts = np.unique([prompt for prompt, _ in TEXTS], return_inverse=True)[1]
    loop = make_loop(TEXTS, prompts, vectors, pairing="cross", random_state=0)
    with pytest.raises(InvalidInputError, match="label on the page of embrm label"):
        write_tasks(loop, Texts(TEXTS), tmp_path / "t", tool="argilla", n=2)


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


def test_small_propensities_keep_their_digits():
    """Among billions of pairs a chance is no zero, which could not be weighed by."""
    task = make_task(Texts(TEXTS), np.array([0, 1]), "random", 1 / 3e9, False)
    assert task.propensity == pytest.approx(1 / 3e9, rel=1e-8)
