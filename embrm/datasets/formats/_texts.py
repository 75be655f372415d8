"""Read the texts of a row: prompts of one or several columns, and answers.

Whatever spelling a file has, a prompt becomes a `str` or messages, and a response
becomes a `str`.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from string import Formatter
from typing import Any, NamedTuple

from embrm._typing import Message, Prompt
from embrm.datasets.formats._conversations import (
    WRITTEN,
    check_no_turns,
    is_conversation,
    is_transcript,
    messages_of,
    parsed_list,
    parsed_messages,
    transcript_turns,
)
from embrm.datasets.formats._fields import is_list, is_number
from embrm.datasets.formats.base import Row, RowReader, is_missing
from embrm.exceptions import DataError, InvalidInputError, invalid_input
from embrm.messages import (
    as_messages,
    prompt_key,
    prompt_text,
    response_text,
    with_tools,
)

PROMPTS = (
    *("prompt", "question", "instruction", "query", "problem", "user_prompt"),
    *("user_query", "user_input", "prompt_text", "input_text", "conversation_input"),
    *("conversations", "conversation", "messages", "trajectory", "contents"),
    *("context", "history", "post", "input", "inputs", "request", "question_body"),
)
"""Columns of prompts, the likeliest first."""

SYSTEMS = ("system", "system_prompt", "system_instruction", "systemInstruction")

RESPONSES = (
    *("response", "completion", "output", "answer", "generation", "reply"),
    *("model_response", "assistant", "solution"),
)
"""Columns of single responses."""

RESPONSE_LISTS = (
    *("responses", "completions", "generations", "candidates", "answers", "outputs"),
    "solutions",
)
"""Columns of several responses to a prompt."""

_TEXT_OF_RECORD = ("answer", "text", "response", "completion", "output")


class PromptColumns(NamedTuple):
    """Which columns of a row make its prompt."""

    main: str
    addition: str | None = None
    system: str | None = None
    history: str | None = None

    def roles(self) -> dict[str, str]:
        """Say what each column is read as."""
        beside = {
            self.addition: "prompt, below it",
            self.system: "system turn of the prompt",
            self.history: "earlier turns of the prompt",
        }
        named = {name: role for name, role in beside.items() if name is not None}
        return {self.main: "prompt"} | named


@lru_cache(maxsize=1024)
def prompt_columns(columns: tuple[str, ...]) -> PromptColumns | None:
    """Find the columns that make the prompt; None where there is none.

    An `input` stands below an `instruction`; `system` comes before; a `history` beside
    another column holds the turns before it.

    Examples
    --------
    >>> prompt_columns(("system", "question", "chosen", "rejected")).roles()
    {'question': 'prompt', 'system': 'system turn of the prompt'}
    """
    main = next((name for name in PROMPTS if name in columns), None)
    if main is None:
        return None
    below = "input" if main == "instruction" and "input" in columns else None
    system = next((name for name in SYSTEMS if name in columns), None)
    history = "history" if main != "history" and "history" in columns else None
    return PromptColumns(main, below, system, history)


def prompt_beside(row: Row, used: Collection[str] = ()) -> PromptColumns | None:
    """Find the columns of the prompt among those that nothing else uses."""
    return prompt_columns(tuple(name for name in row if name not in used))


def response_beside_prompt(row: Row) -> tuple[PromptColumns, str] | None:
    """Find the columns of the prompt and of one response; None where one is lacking."""
    response = next((name for name in RESPONSES if name in row), None)
    place = None if response is None else prompt_beside(row, (response,))
    return None if response is None or place is None else (place, response)


def prompt_roles(row: Row, used: Collection[str] = ()) -> dict[str, str]:
    """Say what the columns of the prompt are read as; nothing where there is none."""
    place = prompt_beside(row, used)
    return {} if place is None else place.roles()


def read_prompt_beside(
    row: Row, used: Collection[str], reader: RowReader
) -> Prompt | None:
    """Read the prompt from the columns that nothing else uses, or from the template.

    Raises
    ------
    KeyError
        If there is neither.
    """
    place = prompt_beside(row, used)
    if place is None and reader.options.prompt_template is None:
        raise KeyError("prompt")
    return read_prompt(row, place or PromptColumns("prompt"), reader)


def read_prompt(row: Row, columns: PromptColumns, reader: RowReader) -> Prompt | None:
    """Put the prompt of a row together.

    Raises
    ------
    DataError
        If a cell is neither text nor messages.
    """
    if reader.options.prompt_template is not None:
        reader.filled_template = True
        return fill_template(reader.options.prompt_template, row)
    prompt: Prompt | None = prompt_cell(row[columns.main], reader)
    if columns.addition is not None and _has_text(row[columns.addition]):
        prompt = f"{prompt}\n{row[columns.addition]}" if prompt else None
    before: list[Message] = []
    if columns.system is not None:
        before += _system_turn(row[columns.system], reader)
    if columns.history is not None:
        before += _earlier_turns(row[columns.history], reader)
    if not before or not (isinstance(prompt, str) or is_conversation(prompt)):
        return prompt
    turns = messages_of(prompt, reader)
    if before[0]["role"] == "system" and turns[:1] == before[:1]:
        before = before[1:]
    return [*before, *turns]


def template_columns(template: str) -> list[str]:
    r"""List the columns that a template of a prompt names.

    Raises
    ------
    InvalidInputError
        If it is malformed or names none.

    Examples
    --------
    >>> template_columns("{instruction}\n{input}")
    ['instruction', 'input']
    """
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name]
    except ValueError:
        names = []
    if not names:
        raise invalid_input(
            expected="a prompt_template that names columns in braces",
            got=repr(template)[:60],
            fix="write it as '{instruction}\\n{input}'; double other braces",
        )
    return names


def place_for_prompt(row: Row, template: str | None) -> Row:
    """Give a row whose prompt a template writes a column of that name."""
    return row if template is None else {"prompt": template, **row}


def fill_template(template: str, row: Row) -> str:
    """Write a prompt from several columns; what is missing is empty."""
    cells: dict[str, str] = {}
    for name in template_columns(template):
        if name not in row:
            raise no_column_of_template(name, row)
        cell = row[name]
        text = "" if is_missing(cell) else cell
        turns = is_conversation(text)
        cells[name] = prompt_text(list(as_messages(text))) if turns else str(text)
    return template.format(**cells).strip()


def no_column_of_template(name: str, row: Row) -> DataError:
    """Write the error for a row without a column that the template names."""
    near = difflib.get_close_matches(name, map(str, row), n=1)
    return DataError.of(
        expected=f"the column {name[:40]!r}, which the prompt_template names",
        got="a row without it",
        fix=f"did you mean {near[0][:40]!r}?"
        if near
        else "name columns that every row has",
        reason="no column of the template",
    )


def prompt_cell(cell: Any, reader: RowReader) -> Any:
    """Read a cell that holds a prompt; what is neither text nor turns stays as it is.

    Of a list, turns spelt `from` and `value` get `role` and `content`.
    """
    if isinstance(cell, str):
        written = parsed_messages(cell)
        if written is not None:
            reader.say(WRITTEN)
            return messages_of(written, reader)
        check_no_turns(cell)
        return cell
    if isinstance(cell, Mapping) and is_conversation(cell.get("messages")):
        cell = cell["messages"]
    if is_list(cell) and len(cell) == 1 and isinstance(cell[0], str):
        return cell[0]
    return messages_of(cell, reader) if is_conversation(cell) else cell


def response_cell(cell: Any, reader: RowReader) -> Any:
    """Read a cell that holds a response; what is no text or turns stays as it is.

    Raises
    ------
    DataError
        If messages do not begin with a turn of the assistant, or are malformed.
    """
    if isinstance(cell, str):
        written = parsed_messages(cell)
        if written is None:
            check_no_turns(cell)
            return cell
        reader.say(WRITTEN)
        cell = written
    if isinstance(cell, Mapping):
        cell = _text_of_record(cell, reader)
    if is_list(cell) and cell and all(isinstance(step, str) for step in cell):
        return "\n".join(cell)
    turns = [cell] if isinstance(cell, Mapping) else cell
    if not is_conversation(turns):
        return cell
    try:
        return response_text(
            messages_of(turns, reader), mark_images=reader.options.images == "mark"
        )
    except InvalidInputError as error:
        raise DataError(str(error), reason="completion is not one message") from error


def add_responses(
    row: Row, columns: Sequence[str], prompt: Any, reader: RowReader
) -> list[int]:
    """Add the response of each of these columns; return their numbers."""
    return [
        reader.item(prompt, response_cell(row[name], reader), origin=(name, None))
        for name in columns
    ]


def _text_of_record(record: Mapping[str, Any], reader: RowReader) -> Any:
    """Take the text of a record, as RMB ("answer") and summarize-from-feedback have."""
    texts: tuple[str, ...] = _TEXT_OF_RECORD
    if not record.keys() & {"role", "from"}:
        texts = (*texts, "content")
    key = next((key for key in texts if key in record), None)
    if key is None:
        return record
    beside = [
        name
        for name, cell in record.items()
        if name != key and is_number(cell) and not name.endswith("id")
    ]
    if beside:
        named = ", ".join(str(name)[:40] for name in beside[:5])
        reader.say(f"of responses that are records, {key} is read; {named} is not")
    return record[key]


def add_tools(row: Row, reader: RowReader) -> None:
    """Put the tools that a row defines beside its prompts, for chat templates.

    They stand in a column `tools`, or beside the messages of `input` (OpenAI), as a
    list or as JSON in a string. An empty list defines none.
    """
    place = row["input"] if "tools" not in row and "input" in row else row
    cell = place.get("tools") if isinstance(place, Mapping) else None
    tools = [tool for tool in parsed_list(cell) or () if isinstance(tool, Mapping)]
    if not tools:
        return
    reader.used_tools = True
    for item in reader.items:
        item["prompt"] = with_tools(item["prompt"], tools)
        item["key"] = prompt_key(item["prompt"])
    for pair in reader.pairs:
        pair.pop("tools", None)


def _system_turn(cell: Any, reader: RowReader) -> list[Message]:
    """Read the system turn: a text, or a message (Gemini's without a role)."""
    if isinstance(cell, Mapping) and cell:
        return messages_of([{**cell, "role": "system"}], reader)
    return [Message(role="system", content=cell)] if _has_text(cell) else []


def _earlier_turns(history: Any, reader: RowReader) -> list[Message]:
    """Read the turns before a prompt: messages, or pairs of question and answer."""
    turns: list[Message] = []
    if is_transcript(history):
        return transcript_turns(history)
    listed = parsed_list(history)
    if listed is None and _has_text(history):
        raise DataError.of(
            expected="a history of messages, or of pairs [question, answer]",
            got="a text",
            fix="if it belongs to the prompt, name both columns in prompt_template="
            "'{history}\\n\\n{prompt}'; else drop it",
            reason="malformed history",
        )
    for entry in listed or ():
        if isinstance(entry, Mapping):
            turns += messages_of([entry], reader)
        elif is_list(entry) and all(isinstance(text, str) for text in entry):
            turns += [
                Message(role=role, content=text)
                for role, text in zip(("user", "assistant"), entry, strict=False)
            ]
        else:
            raise DataError.of(
                expected="a history of messages, or of pairs [question, answer]",
                got=f"an entry that is a {type(entry).__name__}",
                fix="write it so, or name the prompt's columns with prompt_template=",
                reason="malformed history",
            )
    return turns


def _has_text(cell: Any) -> bool:
    return isinstance(cell, str) and bool(cell.strip())
