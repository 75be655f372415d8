"""Find the responses in a row that is to be scored, whatever else it says."""

from embrm.datasets.formats._chosen_rejected import sides_of
from embrm.datasets.formats._conversations import is_conversation, parsed_list
from embrm.datasets.formats._fields import is_list
from embrm.datasets.formats._labelled import conversation_column, split_last_answer
from embrm.datasets.formats._numbered import numbered_columns
from embrm.datasets.formats._texts import (
    RESPONSE_LISTS,
    RESPONSES,
    prompt_beside,
    read_prompt,
    response_cell,
    template_columns,
)
from embrm.datasets.formats.base import (
    ReadOptions,
    Row,
    RowReader,
    is_missing,
    no_text,
)
from embrm.exceptions import DataError


def find_responses(row: Row, reader: RowReader) -> bool:
    """Add the responses of a row by its column names alone; False where none fits.

    One response, a conversation that ends with one, both sides of a pair, or a list.
    """
    template = reader.options.prompt_template
    # What the prompt is written from is no response, whatever its name.
    used = set() if template is None else {*template_columns(template)} - {"prompt"}
    whole, row = row, {name: cell for name, cell in row.items() if name not in used}
    single = next((name for name in RESPONSES if name in row), None)
    listed = next((n for n in RESPONSE_LISTS if parsed_list(row.get(n))), None)
    sides = sides_of(row) or numbered_columns(tuple(row))[0]
    names = sides or (() if single is None else (single,))
    place = prompt_beside(row, (*names, listed or ""))
    conversation = conversation_column(row)
    if not sides and single is None and listed is None and conversation:
        prompt, text = split_last_answer(row[conversation], reader)
        reader.item(prompt, text, origin=(conversation, None))
        return True
    if place is None or not (names or listed):
        return False
    prompt = read_prompt(whole, place, reader)
    if is_missing(prompt):
        raise no_text("missing", "prompt")
    if listed is not None and not names:
        for n, cell in enumerate(parsed_list(row[listed]) or ()):
            reader.item(prompt, response_cell(cell, reader), origin=(listed, n))
        return bool(reader.items)
    for name in names:
        _add(row, name, prompt, reader)
    return True


def _add(row: Row, name: str, prompt: object, reader: RowReader) -> None:
    """Add the response, or the list of responses, of one column."""
    cell = row[name]
    if is_list(cell) and cell and not is_conversation(cell):
        for n, each in enumerate(cell):
            reader.item(prompt, response_cell(each, reader), origin=(name, n))
        return
    reader.item(prompt, response_cell(cell, reader), origin=(name, None))


def no_responses(row: Row, got: str, options: ReadOptions) -> DataError:
    """Write the error for a row in which there is nothing to score."""
    templated = options.prompt_template is not None
    has_prompt = templated or prompt_beside(row) is not None
    lacking = "response" if has_prompt else "prompt"
    return DataError.of(
        expected=f"one column {lacking!r}, or another that is read as such",
        got=f"0 among the {got}",
        fix=f"rename the columns, or name yours: columns={{{lacking!r}: 'yours'}}",
        reason="missing column",
    )
