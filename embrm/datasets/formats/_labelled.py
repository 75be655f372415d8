"""Formats of single responses that are labelled good or bad by themselves."""

from typing import Any

from embrm.datasets.formats._conversations import (
    is_conversation,
    messages_of,
    plain_if_single,
)
from embrm.datasets.formats._fields import (
    in_short,
    is_list,
    is_number,
)
from embrm.datasets.formats._texts import (
    RESPONSES,
    PromptColumns,
    read_prompt,
    response_beside_prompt,
    response_cell,
)
from embrm.datasets.formats.base import (
    MEANS_OTHERWISE,
    Format,
    Row,
    RowReader,
    has_columns,
    is_missing,
    static_roles,
)
from embrm.exceptions import DataError, NoPreferenceError
from embrm.messages import response_text

_LABELS = {
    **dict.fromkeys(("true", "1", "good", "correct", "right", "desirable"), True),
    **dict.fromkeys(("false", "0", "bad", "incorrect", "wrong", "undesirable"), False),
    **dict.fromkeys(("up", "thumbs up", "thumbs_up", "thumbsup"), True),
    **dict.fromkeys(("down", "thumbs down", "thumbs_down", "thumbsdown"), False),
}
"""Words that can only mean that a response is good, or that it is bad."""
_TRUE_IS_BAD = "true and 1 label bad responses, as lower_is_better says"
_LABEL_COLUMNS = ("label", "kto_tag")


def good_or_bad(value: Any, column: str = "label") -> bool:
    """Read true or false, also as 1 and 0 and as words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _LABELS:
        return _LABELS[value.strip().lower()]
    if is_number(value) and value in (0, 1):
        return bool(value)
    missing = is_missing(value)
    error = NoPreferenceError if missing else DataError
    raise error.of(
        expected="a label that is true or false, or 1 or 0",
        got=in_short(value),
        fix="write true for a good response, false for a bad one; if its numbers rate "
        f"responses, name it as the score: columns={{'score': {column[:40]!r}}}",
        reason="missing label"
        if missing
        else MEANS_OTHERWISE
        if is_number(value)
        else "label is not true or false",
    )


def _turned(label: bool, reader: RowReader) -> bool:
    """Take true for bad where the user said that lower is better."""
    if not reader.options.lower_is_better:
        return label
    reader.say(_TRUE_IS_BAD)
    return not label


def is_label(value: Any) -> bool:
    """Say whether a word can only mean good or bad.

    Examples
    --------
    >>> is_label("Good"), is_label("1"), is_label("fine")
    (True, False, False)
    """
    word = value.strip().lower() if isinstance(value, str) else ""
    return word in _LABELS and not word.isdigit()


def _label_column(row: Row) -> str | None:
    return next((name for name in _LABEL_COLUMNS if name in row), None)


def _places(row: Row) -> tuple[PromptColumns, str, str] | None:
    """Find the columns of prompt, response and label."""
    label, found = _label_column(row), response_beside_prompt(row)
    return None if label is None or found is None else (*found, label)


def _is_unpaired(row: Row) -> bool:
    places = _places(row)
    # Lists of steps and of labels are another format, numbers with a score too.
    return places is not None and "score" not in row and not is_list(row[places[2]])


def _unpaired_roles(row: Row) -> dict[str, str]:
    places = _places(row)
    if places is None:
        return {}
    return places[0].roles() | {places[1]: "response", places[2]: "label: good or bad"}


def _read_unpaired(row: Row, reader: RowReader) -> None:
    """Read one response in each row, labelled good or bad by itself (KTO).

    A completion is text or, in conversational data, a list of messages of the
    assistant.

    References
    ----------
    Ethayarajh et al. 2024, arXiv:2402.01306; TRL's type "unpaired preference".

    Examples
    --------
    >>> reader = RowReader()
    >>> UNPAIRED.read({"prompt": "2 + 2?", "completion": "4", "label": True}, reader)
    >>> reader.items[0]["label"]
    True
    """
    places = _places(row)
    if places is None:
        raise KeyError("label" if _label_column(row) is None else "completion")
    place, column, label = places
    good = _turned(good_or_bad(row[label], label), reader)
    prompt = read_prompt(row, place, reader)
    text = response_cell(row[column], reader)
    reader.item(prompt, text, origin=(column, None), label=good)


UNPAIRED = Format(
    name="unpaired",
    columns="prompt, completion (or response), label (true or false)",
    about="responses that are good or bad by themselves (KTO): TRL, LLaMA-Factory",
    detect=_is_unpaired,
    read=_read_unpaired,
    roles=_unpaired_roles,
    needs=(("prompt",), RESPONSES, _LABEL_COLUMNS),
)


def conversation_column(row: Row) -> str | None:
    """Find the column that holds a conversation."""
    columns = ("messages", "conversations", "conversation")
    return next((name for name in columns if is_conversation(row.get(name))), None)


def _is_labelled_messages(row: Row) -> bool:
    return (
        conversation_column(row) is not None
        and _label_column(row) is not None
        and not any(name in row for name in RESPONSES)
        and not row.keys() & {"chosen", "rejected"}
    )


def _read_labelled_messages(row: Row, reader: RowReader) -> None:
    """Read a conversation of which the last answer is good or bad."""
    column, label = conversation_column(row), _label_column(row)
    if column is None or label is None:
        raise KeyError("messages" if column is None else "label")
    good = _turned(good_or_bad(row[label], label), reader)
    prompt, text = split_last_answer(row[column], reader)
    reader.item(prompt, text, origin=(column, None), label=good)


def split_last_answer(cell: Any, reader: RowReader) -> tuple[Any, str]:
    """Split a conversation into all up to the last user turn, and the answer to it.

    Raises
    ------
    DataError
        If it does not end with turns of the assistant after one of the user.
    """
    turns = messages_of(cell, reader)
    asked = [n for n, turn in enumerate(turns) if turn["role"] == "user"]
    cut = asked[-1] + 1 if asked else 0
    if not 0 < cut < len(turns) or turns[cut]["role"] != "assistant":
        raise DataError.of(
            expected="a conversation that ends with an answer of the assistant",
            got=f"a last turn of {turns[-1]['role'][:40]!r}" if turns else "no turn",
            fix="drop the row, or write it as prompt and response",
            reason="last turn is not the assistant's",
        )
    return plain_if_single(turns[:cut]), response_text(turns[cut:])


def _labelled_messages_roles(row: Row) -> dict[str, str]:
    column, label = conversation_column(row), _label_column(row)
    roles = {} if column is None else {column: "prompt and response"}
    return roles if label is None else roles | {label: "label: good or bad"}


LABELLED_MESSAGES = Format(
    name="labelled-messages",
    columns="messages (or conversations), label (or kto_tag)",
    about="conversations whose last answer is good or bad (KTO): OpenRLHF, ms-swift",
    detect=_is_labelled_messages,
    read=_read_labelled_messages,
    roles=_labelled_messages_roles,
    needs=(("messages", "conversations"), _LABEL_COLUMNS),
)


_SOLUTIONS = {"chosen": True, "rejected": False}


def _read_rewardmath(row: Row, reader: RowReader) -> None:
    """Read RewardMATH: solutions in steps, one chosen and nine rejected a problem.

    References
    ----------
    Kim et al. 2024, arXiv:2410.01729.
    """
    kind = row["solution_type"]
    if not isinstance(kind, str) or kind not in _SOLUTIONS:
        missing = is_missing(kind)
        error = NoPreferenceError if missing else DataError
        raise error.of(
            expected="solution_type 'chosen' or 'rejected'",
            got=in_short(kind),
            fix="drop the row",
            reason="missing label" if missing else "unknown label",
        )
    text = response_cell(row["eval_solution"], reader)
    reader.item(
        row["problem"],
        text,
        origin=("eval_solution", None),
        label=_SOLUTIONS[kind],
        benchmark_id=str(row.get("problem_id", "")),
    )


REWARDMATH = Format(
    name="rewardmath",
    columns="problem, eval_solution [steps], solution_type (chosen or rejected), "
    "problem_id",
    about="RewardMATH, one solution a row",
    detect=has_columns("problem", "eval_solution", "solution_type"),
    read=_read_rewardmath,
    roles=static_roles(
        problem="prompt",
        eval_solution="response",
        solution_type="label: good or bad",
        problem_id="benchmark_id",
    ),
)
