"""Read the texts of a row: prompts of one or several columns, answers, conversations.

Whatever spelling a file has, a prompt becomes a `str` or messages, and a response
becomes a `str`: messages with `role` and `content` or `from` and `value`, one message,
lists written as JSON in a string, transcripts marked "Human:" and "Assistant:".
"""

import ast
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from string import Formatter
from typing import Any, NamedTuple, TypeGuard

from embrm._typing import Message, Prompt
from embrm.datasets.formats._fields import is_list, is_number
from embrm.datasets.formats.base import Row, RowReader, is_missing, refusal
from embrm.exceptions import DataError, InvalidInputError, invalid_input
from embrm.messages import as_messages, prompt_text, response_text

PROMPTS = (
    *("prompt", "question", "instruction", "query", "problem", "user_prompt"),
    *("user_query", "user_input", "prompt_text", "input_text", "conversation_input"),
    *("conversations", "conversation", "messages", "trajectory", "context"),
    *("history", "post", "input", "inputs", "request"),
)
"""Columns of prompts, the likeliest first."""

SYSTEMS = ("system", "system_prompt")

RESPONSES = (
    *("response", "completion", "output", "answer", "generation", "reply"),
    *("model_response", "assistant", "solution"),
)
"""Columns of single responses."""

RESPONSE_LISTS = (
    *("responses", "completions", "generations", "candidates", "answers", "outputs"),
)
"""Columns of several responses to a prompt."""

_TEXT_OF_RECORD = ("answer", "text", "response", "completion", "output")
_ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "bot", "chatgpt", "model", "assistant"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("tool", "observation"), "tool"),
    **dict.fromkeys(("function_response", "tool_response"), "tool"),
    "system": "system",
}
_HUMAN = "\n\nHuman:"
_ASSISTANT = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(Human|Assistant):")
_BETWEEN = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|\}\s*\{""", re.DOTALL)
"""A text in quotes, which stays as it is, or the place between two entries."""

_MOST_PYTHON = 500_000
"""Letters of a list in Python's form that are parsed, at 2 microseconds each."""

_WRITTEN_TURN = re.compile(r"\s*\[\s*\{\s*['\"](role|from|content|value)['\"]\s*:")
_WRITTEN = "messages were written as JSON in text: they were parsed"


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
def prompt_columns(
    columns: tuple[str, ...], names: tuple[str, ...] = PROMPTS
) -> PromptColumns | None:
    """Find the columns that make the prompt; None where there is none.

    An `input` stands below an `instruction`; `system` comes before; a `history` beside
    another column holds the turns before it.

    Examples
    --------
    >>> prompt_columns(("system", "question", "chosen", "rejected")).roles()
    {'question': 'prompt', 'system': 'system turn of the prompt'}
    """
    main = next((name for name in names if name in columns), None)
    if main is None:
        return None
    below = "input" if main == "instruction" and "input" in columns else None
    system = next((name for name in SYSTEMS if name in columns), None)
    history = "history" if main != "history" and "history" in columns else None
    return PromptColumns(main, below, system, history)


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
    if columns.system is not None and _has_text(row[columns.system]):
        before.append(Message(role="system", content=row[columns.system]))
    if columns.history is not None and is_list(row[columns.history]):
        before += _earlier_turns(row[columns.history], reader)
    if not before or not (isinstance(prompt, str) or is_conversation(prompt)):
        return prompt
    turns = messages_of(prompt, reader)
    if before[0]["role"] == "system" and turns[:1] and turns[0]["role"] == "system":
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
    return refusal(
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
            _say(reader, _WRITTEN)
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
        _say(reader, _WRITTEN)
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
        _say(reader, f"of responses that are records, {key} is read; {named} is not")
    return record[key]


def messages_of(cell: Any, reader: RowReader) -> list[Message]:
    """Read messages, in either spelling of their keys.

    Raises
    ------
    DataError
        If a turn is malformed.
    """
    if not isinstance(cell, str) and not is_list(cell):
        raise refusal(
            expected="a list of messages",
            got=type(cell).__name__,
            fix="write [{'role': 'user', 'content': 'text'}, ...]",
            reason="malformed messages",
        )
    turns = cell
    if not isinstance(cell, str):
        turns = [turn for entry in cell for turn in _respelt(entry)]
    mark = reader.options.images == "mark"
    try:
        return list(as_messages(turns, mark_images=mark))
    except InvalidInputError as error:
        raise DataError(str(error), reason="malformed messages") from error


def is_conversation(value: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    """Say whether a cell holds messages, though perhaps malformed ones."""
    return (
        is_list(value)
        and len(value) > 0
        and all(isinstance(turn, Mapping) for turn in value)
    )


def parsed_messages(text: str) -> list[Any] | None:
    """Read messages that are written as JSON or Python in a string; None of a text.

    pandas writes lists into CSV as Python does, and arrays without commas.

    Examples
    --------
    >>> parsed_messages('[{"role": "user", "content": "Hi"}]')
    [{'role': 'user', 'content': 'Hi'}]
    >>> parsed_messages("[{'role': 'user', 'content': 'Hi'}]")
    [{'role': 'user', 'content': 'Hi'}]
    >>> parsed_messages("[1, 2]") is None
    True
    """
    if not text.lstrip().startswith(("[{", "[ {", "[\n")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _parsed_python(text)
    spelt = {"role", "from"}
    if is_conversation(value) and all(spelt & turn.keys() for turn in value):
        return list(value)
    return None


def _parsed_python(text: str) -> Any:
    if len(text) > _MOST_PYTHON or not _WRITTEN_TURN.match(text):
        return None
    try:
        # Arrays are written without commas between their entries.
        return ast.literal_eval(
            _BETWEEN.sub(lambda found: found[1] or "}, {", text.strip())
        )
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def check_no_turns(text: str) -> None:
    """Refuse a text that begins as messages do, written in a form that is not read.

    Raises
    ------
    DataError
        If it does: it is no prompt and no response as it stands.
    """
    if _WRITTEN_TURN.match(text):
        raise refusal(
            expected="messages written as JSON, or a text",
            got="messages in another form, or cut off",
            fix="write lists by json.dumps before to_csv, or write .jsonl or .parquet",
            reason="malformed messages",
        )


def parsed_list(cell: Any) -> list[Any] | None:
    """Read a list, also one that is written as JSON in a string."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    return list(cell) if is_list(cell) else None


def is_transcript(text: Any) -> bool:
    r"""Say whether a text is an HH transcript; copies may lack its leading line ends.

    Examples
    --------
    >>> is_transcript("\n\nHuman: Hi\n\nAssistant: Hello!")
    True
    >>> is_transcript("Human: Hi\n\nAssistant: Hello!"), is_transcript("Human: Hi")
    (True, False)
    """
    if not isinstance(text, str):
        return False
    # By itself, a text that begins with "Human:" may be about anything.
    return text.startswith(_HUMAN) or (
        text.lstrip().startswith(_HUMAN.lstrip()) and _ASSISTANT in text
    )


def transcript_turns(transcript: str) -> list[Message]:
    r"""Split a transcript into its turns; an empty last one is left out.

    Examples
    --------
    >>> transcript_turns("\n\nHuman: Hi\n\nAssistant: ")
    [{'role': 'user', 'content': 'Hi'}]
    """
    _, *parts = _TURN.split(f"\n\n{transcript.lstrip()}")
    turns = [
        Message(role=_ROLES[speaker.lower()], content=text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    return turns[:-1] if turns and not turns[-1]["content"] else turns


def plain_if_single(turns: Sequence[Message]) -> Prompt:
    """Write a conversation of one user turn as its text."""
    single = len(turns) == 1 and turns[0]["role"] == "user"
    return turns[0]["content"] if single else list(turns)


def _respelt(turn: Any) -> list[Any]:
    """Give a turn spelt `from` and `value` the keys `role` and `content`.

    Of `{"human": ..., "assistant": ...}`, as ms-swift writes a round, there are two.
    """
    if not isinstance(turn, Mapping):
        return [turn]
    if turn.keys() == {"human", "assistant"}:
        roles = (("user", turn["human"]), ("assistant", turn["assistant"]))
        return [{"role": role, "content": text} for role, text in roles if text]
    role = turn.get("role", turn.get("from", turn.get("speaker")))
    known = _ROLES.get(role.lower(), role) if isinstance(role, str) else role
    if "content" not in turn and "value" not in turn and "text" in turn:
        return [{"role": known, "content": turn["text"]}]
    if "content" in turn or "value" not in turn:
        named = {**turn, "role": known} if "role" in turn else turn
        return [_with_plain_parts(named)]
    return [{"role": known, "content": turn["value"]}]


def _with_plain_parts(turn: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write parts of a content as others spell them: `value`, and calls of tools.

    LLaMA-Factory writes `{"type": "text", "value": ...}`; Anthropic puts calls of tools
    and what they answer among the parts.
    """
    parts = turn.get("content")
    if not is_list(parts) or all(isinstance(part, str) for part in parts):
        return turn
    calls, texts = [], []
    for part in parts:
        given = part if isinstance(part, Mapping) else {}
        if given.get("type") == "tool_use":
            arguments = given.get("input")
            calls.append(
                {"function": {"name": given.get("name"), "arguments": arguments}}
            )
        elif given.get("type") == "tool_result":
            answer = given.get("content")
            texts += [answer] if isinstance(answer, str) else list(answer or ())
        elif isinstance(given.get("value"), str) and "text" not in given:
            texts.append(given["value"])
        else:
            texts.append(part)
    answers = all(
        isinstance(part, Mapping) and part.get("type") == "tool_result"
        for part in parts
    )
    called = {"tool_calls": calls} if calls else {}
    role = {"role": "tool"} if answers else {}
    return {**turn, **role, "content": texts or None if calls else texts, **called}


def _earlier_turns(history: Iterable[Any], reader: RowReader) -> list[Message]:
    """Read the turns before a prompt: messages, or pairs of question and answer."""
    turns: list[Message] = []
    for entry in history:
        if isinstance(entry, Mapping):
            turns += messages_of([entry], reader)
        elif is_list(entry) and all(isinstance(text, str) for text in entry):
            turns += [
                Message(role=role, content=text)
                for role, text in zip(("user", "assistant"), entry, strict=False)
            ]
        else:
            raise refusal(
                expected="a history of messages, or of pairs [question, answer]",
                got=f"an entry that is a {type(entry).__name__}",
                fix="write it so, or name the prompt's columns with prompt_template=",
                reason="malformed history",
            )
    return turns


def _has_text(cell: Any) -> bool:
    return isinstance(cell, str) and bool(cell.strip())


def _say(reader: RowReader, note: str) -> None:
    if note not in reader.said:
        reader.said.append(note)
