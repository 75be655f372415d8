"""Exchange with other labelling tools: prioritised tasks out, labels in."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embrm._validation import check_choice
from embrm.active import LabelLoop
from embrm.datasets import Preferences
from embrm.embed.cache.durable import output_text
from embrm.exceptions import invalid_input
from embrm.label.journal import write_lines
from embrm.label.tasks import Task, Texts, is_swapped, propose_tasks
from embrm.messages import prompt_text

_WINNERS = {1.0: "first", 0.0: "second"}
_Row = dict[str, Any]


def write_tasks(
    loop: LabelLoop, texts: Texts, out: Path, *, tool: str, n: int, seed: int = 0
) -> int:
    """Write the pairs to label next, the most wanted first.

    Parameters
    ----------
    loop : LabelLoop
    texts : Texts
        Of its pool.
    out : Path
    tool : {"label-studio", "argilla", "arena"}
        Label Studio takes a JSON list of tasks (prompt, answer1, answer2), for the
        label config that is written beside it (see `config_of`). Argilla takes records
        with a ranking question of response-1 and response-2 (JSON lines), "arena" pairs
        of conversations (JSON lines). All keep `pair_id`, `strategy`, `propensity`,
        `held_out`, `position` and `priority` as metadata, which come back with the
        labels.
    n : int
        Pairs; fewer where there are no more.
    seed : int, default=0
        Of the sides.

    Returns
    -------
    int
        How many tasks were written.

    Raises
    ------
    InvalidInputError
        If a pair is of two prompts, for which these tools have no place.
    """
    check_choice(tool, "tool", tuple(_TOOLS))
    rows = []
    for at, task in enumerate(propose_tasks(loop, texts, n)):
        sides = [task.first, task.second]
        if texts.prompt(task.first) != texts.prompt(task.second):
            raise invalid_input(
                "pairs of responses to one prompt",
                f"two prompts in pair {task.id}",
                "pair within prompts, or label on the page of embrm label",
            )
        if is_swapped(seed, task.id, tool, 0):
            sides.reverse()
        rows.append(_TOOLS[tool](texts, sides, _metadata(task, at)))
    if tool == "label-studio":
        out.parent.mkdir(parents=True, exist_ok=True)
        with output_text(out) as stream:
            json.dump(rows, stream, ensure_ascii=False, indent=1)
        with output_text(config_of(out)) as stream:
            stream.write(LABEL_CONFIG)
    else:
        write_lines(out, rows)
    return len(rows)


LABEL_CONFIG = """\
<View>
  <Text name="prompt" value="$prompt"/>
  <Pairwise name="comparison" toName="answer1,answer2"/>
  <View style="display: grid; grid-template-columns: 1fr 1fr; gap: 1em">
    <Text name="answer1" value="$answer1"/>
    <Text name="answer2" value="$answer2"/>
  </View>
</View>
"""
"""What a Label Studio project needs as its labelling interface, for these tasks."""


def config_of(out: Path) -> Path:
    """Name the label config beside a file of tasks for Label Studio.

    Examples
    --------
    >>> config_of(Path("tasks.json")).name
    'tasks.config.xml'
    """
    return out.with_name(f"{out.stem}.config.xml")


def add_labels(read: Preferences, out: Path) -> tuple[int, int]:
    """Add what another tool exported to a table of labels.

    Parameters
    ----------
    read : Preferences
        `read_preferences` knows the exports of Label Studio, Argilla, Arena and others.
    out : Path
        The table; made if it is not there.

    Returns
    -------
    added, known : int
        Labels that are new, and that the table holds already: the same texts, winner
        and annotator.
    """
    rows = list(_as_rows(read))
    there: list[_Row] = []
    if out.exists():
        there = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    known = {_identity(row) for row in there}
    new = []
    for row in rows:
        if _identity(row) not in known:
            known.add(_identity(row))
            new.append(row)
    write_lines(out, [*there, *new])
    return len(new), len(rows) - len(new)


def learn_labels(loop: LabelLoop, texts: Texts, read: Preferences) -> tuple[int, int]:
    """Fit a loop on labels, where their texts are in its pool.

    Returns
    -------
    learned, unknown : int
    """
    places = {
        (texts.prompt(item), texts.response(item)): item
        for item in range(len(texts.texts))
    }
    items = [
        places.get((prompt_text(prompt), response), -1)
        for prompt, response in read.texts
    ]
    ids = np.array(items, dtype=np.intp)[read.pairs[["first", "second"]].to_numpy()]
    found = (ids >= 0).all(axis=1)
    held_out = np.zeros(len(ids), dtype=bool)
    if "held_out" in read.pairs:
        held_out = read.pairs["held_out"].fillna(value=False).to_numpy(dtype=bool)
    if found.any():
        # Without a record of how pairs were chosen they count as drawn at random.
        is_random = np.ones(len(ids), dtype=bool)
        if "strategy" in read.pairs:
            is_random = read.pairs["strategy"].isin(["random"]).to_numpy()
        loop.add(
            ids[found],
            read.y[found],
            is_random=is_random[found],
            held_out=held_out[found],
        )
        loop.refit()
    return int(found.sum()), int((~found).sum())


def _metadata(task: Task, place: int) -> _Row:
    return {
        "pair_id": task.id,
        "priority": place + 1,
        "strategy": task.strategy,
        "propensity": task.propensity,
        "held_out": task.held_out,
        # Of what comes back, first is what stood first.
        "position": "first first",
    }


def _label_studio(texts: Texts, sides: list[int], metadata: _Row) -> _Row:
    first, second = sides
    return {
        "data": {
            "prompt": texts.prompt(first),
            "answer1": texts.response(first),
            "answer2": texts.response(second),
            **metadata,
        }
    }


def _argilla(texts: Texts, sides: list[int], metadata: _Row) -> _Row:
    first, second = sides
    return {
        "id": metadata["pair_id"],
        "fields": {
            "prompt": texts.prompt(first),
            "response-1": texts.response(first),
            "response-2": texts.response(second),
        },
        "metadata": metadata,
    }


def _arena(texts: Texts, sides: list[int], metadata: _Row) -> _Row:
    prompt = {"role": "user", "content": texts.prompt(sides[0])}
    both = [
        [prompt, {"role": "assistant", "content": texts.response(item)}]
        for item in sides
    ]
    return {
        "question_id": metadata["pair_id"],
        "model_a": "a",
        "model_b": "b",
        "conversation_a": both[0],
        "conversation_b": both[1],
        **metadata,
    }


_TOOLS: Mapping[str, Callable[[Texts, list[int], _Row], _Row]] = {
    "label-studio": _label_studio,
    "argilla": _argilla,
    "arena": _arena,
}


def _as_rows(read: Preferences) -> Any:
    """Write labels as rows of the table, with all that is known of them."""
    for row in read.to_frame().drop(columns="source_row").to_dict("records"):
        y = row.pop("y")
        base = {name: row.pop(name) for name in ("prompt", "first", "second")}
        base["prompt"] = prompt_text(base["prompt"])
        others = {str(name): value for name, value in row.items() if _is_plain(value)}
        yield {**base, "winner": _WINNERS.get(y, "tie"), **others}


def _is_plain(value: Any) -> bool:
    """Say whether JSON has such a value; NaN it has not."""
    return isinstance(value, str | bool | int) or (
        isinstance(value, float) and bool(np.isfinite(value))
    )


def _identity(row: _Row) -> tuple[Any, ...]:
    names = ("prompt", "first", "second", "winner", "annotator")
    return tuple(row.get(name) for name in names)
