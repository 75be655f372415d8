"""Formats of solutions in steps, each right or wrong by itself: process rewards.

A step is an item. Its prompt is the question and the steps before it, so that steps
which continue the same solution are compared with each other, and with nothing else.
"""

import re
from collections.abc import Mapping
from typing import Any

from embrm._typing import Message, Prompt
from embrm.datasets.formats._conversations import is_conversation, messages_of
from embrm.datasets.formats._fields import (
    in_short,
    is_list,
    is_number,
    is_text_list,
    list_of,
    record_of,
    whole_number,
)
from embrm.datasets.formats._labelled import conversation_column, good_or_bad
from embrm.datasets.formats._texts import PromptColumns, read_prompt
from embrm.datasets.formats.base import (
    MEANS_OTHERWISE,
    Format,
    Row,
    RowReader,
    has_columns,
    is_missing,
    lacking,
    static_roles,
)
from embrm.exceptions import DataError

_SIGNS = {"+": True, "-": False}
_TAG = "\u043a\u0438"  # Two Cyrillic letters, by which Math-Shepherd ends a step.
_FIRST_STEP = re.compile(r"step 1:", re.IGNORECASE)
_NOTE = (
    "each step is an item, whose prompt is the question and the steps before it; steps "
    "of one question may stand on both sides of a split by prompt"
)


class _Solution:
    """Adds the steps of one solution as items, one after the other."""

    def __init__(self, question: Prompt | None, reader: RowReader) -> None:
        self._question, self._reader = question, reader
        self._before: list[str] = []
        reader.say(_NOTE)

    def try_step(self, step: Any, column: str, **attributes: Any) -> None:
        """Add a step that may follow those before; there may be others."""
        self._reader.item(
            self._prompt(),
            step,
            origin=(column, len(self._before)),
            step=len(self._before),
            **attributes,
        )

    def step(self, step: Any, column: str, **attributes: Any) -> None:
        """Add a step, and continue from it."""
        self.try_step(step, column, **attributes)
        self.go_on(str(step))

    def go_on(self, step: str) -> None:
        """Continue from a step."""
        self._before.append(step)

    def _prompt(self) -> Any:
        question, before = self._question, "\n".join(self._before)
        if not before or is_missing(question):
            return question
        if is_conversation(question):
            turns = messages_of(question, self._reader)
            return [*turns, Message(role="assistant", content=before)]
        return f"{question}\n{before}"


def _is_stepwise(row: Row) -> bool:
    return row.keys() >= {"prompt", "completions", "labels"} and is_text_list(
        row["completions"]
    )


def _read_stepwise(row: Row, reader: RowReader) -> None:
    r"""Read the steps of a solution, each good or bad.

    References
    ----------
    TRL's type "stepwise supervision"; Lightman et al. 2023, arXiv:2305.20050.

    Examples
    --------
    >>> reader = RowReader()
    >>> row = {"prompt": "1 + 1?", "completions": ["So", "3"], "labels": [True, False]}
    >>> STEPWISE.read(row, reader)
    >>> [(item["prompt"], item["response"], item["label"]) for item in reader.items]
    [('1 + 1?', 'So', True), ('1 + 1?\nSo', '3', False)]
    """
    steps = list_of(row["completions"], "completions")
    labels = list_of(row["labels"], "labels", len(steps))
    question = read_prompt(row, PromptColumns("prompt"), reader)
    solution = _Solution(question, reader)
    for step, label in zip(steps, labels, strict=True):
        if is_number(label) and label not in (0, 1):
            raise DataError.of(
                expected="labels of steps that are true or false, 1 or 0, + or -",
                got=in_short(label),
                fix="write for each step whether it is right, e.g. label >= 0.5",
                reason=MEANS_OTHERWISE,
            )
        good = _SIGNS[label] if label in ("+", "-") else good_or_bad(label)
        solution.step(step, "completions", label=good)


STEPWISE = Format(
    name="stepwise",
    columns="prompt, completions [steps], labels [true or false, + or -]",
    about="steps of a solution, each right or wrong: TRL's stepwise supervision, PRM",
    detect=_is_stepwise,
    read=_read_stepwise,
    roles=static_roles(prompt="prompt", completions="steps", labels="labels"),
    needs=(("prompt",), ("completions",), ("labels",)),
)


def _is_math_shepherd(row: Row) -> bool:
    written, label = row.get("input"), row.get("label")
    return isinstance(written, str) and isinstance(label, str) and _TAG in written


def _read_math_shepherd(row: Row, reader: RowReader) -> None:
    """Read Math-Shepherd: `label` has + or - where `input` has the tag of a step.

    References
    ----------
    Wang et al. 2024, arXiv:2312.08935.
    """
    written, label = (str(row[name]) for name in ("input", "label"))
    *parts, rest = written.split(_TAG)
    signs, at = [], 0
    for part in parts:
        at += len(part)
        signs.append(_SIGNS.get(label[at : at + 1]))
        at += 1
    begins = list(_FIRST_STEP.finditer(parts[0] if parts else ""))
    if None in signs or rest.strip() or not begins:
        raise DataError.of(
            expected=f"a question, then 'Step 1: ... {_TAG}' and so on in input, and "
            "the same text in label with + or - for each tag",
            got="another text",
            fix="drop the row",
            reason="input and label differ" if begins else "no first step",
        )
    cut = begins[-1].start()
    solution = _Solution(parts[0][:cut].strip(), reader)
    for text, good in zip((parts[0][cut:], *parts[1:]), signs, strict=True):
        solution.step(text.strip(), "input", label=good)


MATH_SHEPHERD = Format(
    name="math-shepherd",
    columns=f"input (question, 'Step 1: ... {_TAG}', ...), label (the same with + or "
    "-), task",
    about="Math-Shepherd, as published and as distilabel writes it",
    detect=_is_math_shepherd,
    read=_read_math_shepherd,
    roles=static_roles(input="question and steps", label="label: good or bad"),
)


def _is_prm800k(row: Row) -> bool:
    question, label = row.get("question"), row.get("label")
    return (
        isinstance(question, Mapping)
        and "problem" in question
        and isinstance(label, Mapping)
        and "steps" in label
    )


def _read_prm800k(row: Row, reader: RowReader) -> None:
    """Read PRM800K: several completions of a step, each rated -1, 0 or 1.

    The rating is the score: completions of the same step are compared by it. 1 is
    also a good label and -1 a bad one; 0 (neither wrong nor any progress) is none.
    The solution goes on from the completion that was chosen, or that a person wrote.

    References
    ----------
    Lightman et al. 2023, arXiv:2305.20050.
    """
    question, label = (record_of(row[name], name) for name in ("question", "label"))
    solution = _Solution(question.get("problem"), reader)
    for each in list_of(label.get("steps"), "label.steps"):
        step = record_of(each, "step")
        listed = step.get("completions")
        listed = [] if listed in (None, []) else list_of(listed, "completions")
        completions = [record_of(entry, "completion") for entry in listed]
        for completion in completions:
            rating = completion.get("rating")
            if is_missing(rating):
                continue
            score = whole_number(rating, "rating", low=-1, high=1)
            solution.try_step(
                completion.get("text"),
                "label",
                score=float(score),
                **({} if score == 0 else {"label": score > 0}),
            )
        chosen = step.get("chosen_completion")
        human = step.get("human_completion")
        # pandas makes whole numbers floats where some are missing.
        if is_number(chosen) and not is_missing(chosen) and chosen < len(completions):
            solution.go_on(str(completions[int(chosen)].get("text")))
        elif human is not None:
            text = human.get("text") if isinstance(human, Mapping) else human
            solution.step(text, "label", score=1.0, label=True)
        else:
            break
    if not reader.items:
        raise lacking("a step that was rated", reason="no rating")


PRM800K = Format(
    name="prm800k",
    columns="question {problem}, label {steps [{completions [{text, rating}], "
    "chosen_completion, human_completion}]}",
    about="OpenAI's PRM800K",
    detect=_is_prm800k,
    read=_read_prm800k,
    roles=static_roles(question="prompt", label="steps and ratings"),
)


def _is_processbench(row: Row) -> bool:
    return row.keys() >= {"problem", "steps", "label"} and is_list(row["steps"])


def _read_processbench(row: Row, reader: RowReader) -> None:
    """Read ProcessBench: `label` is the place of the first wrong step, -1 for none.

    What follows the first wrong step was not judged, and is left out.

    References
    ----------
    Zheng et al. 2024, arXiv:2412.06559.
    """
    steps = list_of(row["steps"], "steps")
    wrong = whole_number(row["label"], "label", low=-1, high=len(steps) - 1)
    solution = _Solution(row["problem"], reader)
    for n, step in enumerate(steps if wrong < 0 else steps[: wrong + 1]):
        if not isinstance(step, str):
            raise DataError.of(
                expected="steps that are text",
                got=in_short(step),
                fix="drop the row",
                reason="response is not text",
            )
        solution.step(step, "steps", label=n != wrong)


PROCESSBENCH = Format(
    name="processbench",
    columns="problem, steps [list], label (place of the first wrong step, or -1)",
    about="ProcessBench",
    detect=_is_processbench,
    read=_read_processbench,
    roles=static_roles(
        problem="prompt", steps="steps", label="label: first wrong step"
    ),
)


def _is_signed_turns(row: Row) -> bool:
    column = conversation_column(row)
    turns = () if column is None else row[column]
    answers = [turn.get("content") for turn in turns if turn.get("role") == "assistant"]
    return bool(answers) and all(answer in ("+", "-") for answer in answers)


def _read_signed_turns(row: Row, reader: RowReader) -> None:
    """Read steps as turns of the user, each answered with + or -.

    The first turn holds the question and the first step. Where "Step 1:" does not part
    them, it is the question of the steps after it, and its label is left out.

    References
    ----------
    RLHFlow's process and outcome rewards: Xiong et al. 2024, "An Implementation of
    Generative PRM".
    """
    column = conversation_column(row)
    if column is None:
        raise KeyError("conversations")
    turns = messages_of(row[column], reader)
    steps = [turn["content"].strip() for turn in turns if turn["role"] == "user"]
    signs = [_SIGNS[t["content"]] for t in turns if t["role"] == "assistant"]
    begins = list(_FIRST_STEP.finditer(steps[0])) if steps else []
    if len(steps) != len(signs) or not (begins or len(steps) > 1):
        raise DataError.of(
            expected="steps as turns of the user, each answered with + or -, the "
            "first after the question and 'Step 1:'",
            got=f"{len(steps)} turns of the user and {len(signs)} answers",
            fix="drop the row, or write it as prompt, completion and label",
            reason="no steps",
        )
    if begins:
        cut = begins[-1].start()
        question, steps[0] = steps[0][:cut].strip(), steps[0][cut:]
    else:
        question, steps, signs = steps[0], steps[1:], signs[1:]
        reader.say(
            "the first turn holds question and first step: its label is left out"
        )
    solution = _Solution(question, reader)
    for step, good in zip(steps, signs, strict=True):
        solution.step(step, column, label=good)


SIGNED_TURNS = Format(
    name="signed-turns",
    columns="conversations: turns of the user with a step each, answered with + or -",
    about="RLHFlow's process and outcome reward data",
    detect=_is_signed_turns,
    read=_read_signed_turns,
    roles=lambda row: {str(conversation_column(row)): "question, steps and labels"},
)


def _read_prmbench(row: Row, reader: RowReader) -> None:
    """Read PRMBench: the steps whose numbers `error_steps` lists, from 1, are wrong.

    References
    ----------
    Song et al. 2025, arXiv:2501.03124.
    """
    steps = list_of(row["modified_process"], "modified_process")
    listed = row["error_steps"]
    wrong = {
        whole_number(number, "error_steps", low=1, high=len(steps))
        # Where no step is wrong, the list is empty.
        for number in ([] if listed in (None, []) else list_of(listed, "error_steps"))
    }
    solution = _Solution(row["modified_question"], reader)
    for n, step in enumerate(steps, start=1):
        solution.step(step, "modified_process", label=n not in wrong)


PRMBENCH = Format(
    name="prmbench",
    columns="modified_question, modified_process [steps], error_steps [numbers from 1]",
    about="PRMBench; the original process is not used",
    detect=has_columns("modified_question", "modified_process", "error_steps"),
    read=_read_prmbench,
    roles=static_roles(
        modified_question="prompt", modified_process="steps", error_steps="labels"
    ),
)

PUBLISHED_STEPS = (PRM800K, MATH_SHEPHERD, PROCESSBENCH, PRMBENCH, SIGNED_TURNS)
"""Those of one data set, in the order in which they are tried."""
