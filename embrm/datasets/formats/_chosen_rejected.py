"""Formats of chosen and rejected responses: plain pairs, messages, transcripts."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

from embrm._typing import Message, Prompt
from embrm.datasets.formats._conversations import (
    SPLIT_PROMPT_FIX,
    WRITTEN,
    check_no_turns,
    is_conversation,
    is_transcript,
    messages_of,
    parsed_messages,
    split_text,
    transcript_turns,
)
from embrm.datasets.formats._fields import (
    common_prefix_length,
    extras_of,
    is_list,
    needs_a_look,
)
from embrm.datasets.formats._labelled import split_last_answer
from embrm.datasets.formats._plain import PlainPair, PlainTurns
from embrm.datasets.formats._texts import (
    PromptColumns,
    prompt_beside,
    prompt_roles,
    read_prompt,
    read_prompt_beside,
    response_cell,
    template_columns,
)
from embrm.datasets.formats.base import (
    PAIR_ROLES,
    Format,
    ReadOptions,
    Row,
    RowReader,
    is_missing,
    no_text,
    static_roles,
)
from embrm.exceptions import DataError
from embrm.messages import as_messages, response_text

_STEMS = (
    *("response", "answer", "text", "output", "completion", "message", "messages"),
    *("conversation", "conversations"),
)
_WORDS = (
    *(("better", "worse"), ("best", "worst"), ("preferred", "dispreferred")),
    *(("accepted", "rejected"), ("winning", "losing"), ("win", "lose")),
)
_TAILS = ("", "_response", "_answer", "_completion")
SIDES = (
    ("chosen", "rejected"),
    ("chosen", "reject"),
    ("chosen", "rejected_response"),
    ("chosen", "rejected_responses"),
    ("chosen_response", "rejected_responses"),
    *((f"chosen_{stem}", f"rejected_{stem}") for stem in _STEMS),
    *((f"{stem}_chosen", f"{stem}_rejected") for stem in _STEMS),
    *(
        (f"{better}{tail}", f"{worse}{tail}")
        for better, worse in _WORDS
        for tail in _TAILS
    ),
    *(
        (f"{stem}_{better}", f"{stem}_{worse}")
        for stem in _STEMS
        for better, worse in _WORDS
    ),
    *(("preferred", "rejected"), ("preferred_response", "rejected_response")),
    # Of CValues-Comparison, and of HelpSteer3's edits.
    *(("pos_resp", "neg_resp"), ("good_edited_response", "bad_edited_response")),
    # Of OpenAI's preference fine-tuning, whose input holds the messages.
    ("preferred_output", "non_preferred_output"),
    *(("y_w", "y_l"), ("response_w", "response_l"), ("answer_w", "answer_l")),
    # Of stack-exchange-paired, whose j has more votes than k.
    ("response_j", "response_k"),
    # Of ms-swift: two whole conversations.
    ("messages", "rejected_messages"),
)
"""Columns of the better and the worse response."""

NAMES_OF_THINGS = frozenset(
    {
        *("id", "index", "source", "subset", "split", "domain", "category", "language"),
        *("model", "dataset", "annotator", "type", "tag", "tags", "lang", "task"),
        *("dataset_name", "category_path"),
    }
)
"""Columns of names, never of a prompt; so are those that end in one of them."""

_ASSISTANT = "\n\nAssistant:"
_TRANSCRIPT_FIX = "drop the row, or give the prompt in a column of its own"
_Answer: TypeAlias = tuple[str, tuple[str, int | None]]


def sides_of(row: Row) -> tuple[str, str] | None:
    """Find the columns of the two sides; None where there are none."""
    return next((s for s in SIDES if s[0] in row and s[1] in row), None)


def is_name(column: str) -> bool:
    """Say whether a column holds a name, an id or a kind, by what it is called.

    Examples
    --------
    >>> is_name("prompt_id"), is_name("chosen_model"), is_name("frage")
    (True, True, False)
    """
    return column.rsplit("_", 1)[-1] in NAMES_OF_THINGS or column in NAMES_OF_THINGS


def _prompt_place(row: Row) -> PromptColumns | None:
    return prompt_beside(row, sides_of(row) or ())


def _is_pair(row: Row) -> bool:
    return sides_of(row) is not None and _prompt_place(row) is not None


def _pair_roles(row: Row) -> dict[str, str]:
    chosen, rejected = sides_of(row) or ("chosen", "rejected")
    prompts = prompt_roles(row, sides_of(row) or ())
    named = {name: role for name, role in PAIR_ROLES.items() if name in row}
    return prompts | {chosen: "chosen", rejected: "rejected"} | named


def _read_pair(row: Row, reader: RowReader) -> None:
    """Read one pair; `y` is the probability that chosen is preferred, else 1.

    Either side may be a list of responses: each chosen one is compared with each
    rejected one.
    """
    sides = _filled_sides(row)
    _keep_pairs(row, reader, read_prompt_beside(row, sides, reader), sides)


def _filled_sides(row: Row) -> tuple[str, str]:
    """Find the columns of the two sides; refuse a row that lacks one of them."""
    sides = sides_of(row)
    if sides is None:
        raise KeyError("rejected" if "chosen" in row else "chosen")
    if any(is_missing(row[side]) for side in sides):
        raise no_text("missing", "response")
    return sides


def _keep_pairs(
    row: Row, reader: RowReader, prompt: Any, sides: tuple[str, str]
) -> None:
    better, worse = (_answers(row[side], side, reader) for side in sides)
    used = {*sides, *_pair_roles(row)} - {"y", "margin", "weight"}
    columns = extras_of(row, *used, *_template_columns(reader))
    compared = list(product(better, worse))
    different = [pair for pair in compared if pair[0][0] != pair[1][0]]
    if different and len(different) < len(compared):
        reader.say("responses that stand on both sides of a row are not compared")
    numbers: dict[tuple[str, int | None], int] = {}
    # With none left, comparing the two as they stand gives the refusal its usual words.
    for answers in different or compared[:1]:
        for text, origin in answers:
            if origin not in numbers:
                numbers[origin] = reader.item(prompt, text, origin=origin)
        reader.pair(numbers[answers[0][1]], numbers[answers[1][1]], **columns)


def _template_columns(reader: RowReader) -> list[str]:
    template = reader.options.prompt_template
    return [] if template is None else template_columns(template)


def _answers(cell: Any, column: str, reader: RowReader) -> list[_Answer]:
    """Read one response, or a list of several."""
    if is_list(cell) and cell and not is_conversation(cell):
        return [
            (response_cell(each, reader), (column, n)) for n, each in enumerate(cell)
        ]
    return [(response_cell(cell, reader), (column, None))]


def _plain_pair(row: Row, _: ReadOptions) -> PlainPair | None:
    """Say where the three texts are, if nothing else in a row needs a look."""
    sides, place = sides_of(row), _prompt_place(row)
    if sides is None or place is None or len(place.roles()) > 1:
        return None
    texts = (place.main, *sides)
    others = tuple(name for name in row if name not in texts)
    if needs_a_look(others):
        return None
    return PlainPair(tuple(row), *texts, others)


PAIRS = Format(
    name="pairs",
    columns="prompt (text or messages), chosen, rejected; optional margin (nats, "
    ">= 0), weight, y (probability that chosen is preferred), and any others",
    about="one better and one worse response, or lists of them; the prompt may be "
    "called question, instruction (+ input), query, ... with a system turn and a "
    "history beside it (Alpaca, Orca, MedicalGPT, NeMo, Skywork, UltraInteract, "
    "LLaMA-Factory's ShareGPT, Argilla, distilabel)",
    detect=_is_pair,
    read=_read_pair,
    roles=_pair_roles,
    plain=_plain_pair,
    needs=(("prompt",), *zip(*SIDES, strict=True)),
)


def _is_trl(row: Row) -> bool:
    """Recognise messages, or text without a prompt; text with a prompt is `pairs`."""
    sides = sides_of(row)
    if sides is None:
        return False
    chosen, rejected = (_turns_in(row[side]) for side in sides)
    if chosen is not None and rejected is not None:
        return True
    is_text = all(isinstance(row[side], str) for side in sides)
    return (
        is_text
        and _prompt_place(row) is None
        and not unused_texts(row)
        and not is_transcript(row[sides[0]])
    )


def unused_texts(row: Row) -> list[str]:
    """Name the columns of text beside the two sides, any of which may be the prompt."""
    sides = sides_of(row) or ()
    return [
        name
        for name, cell in row.items()
        if name not in sides and not is_name(name) and _holds_text(cell)
    ]


def _holds_text(cell: Any) -> bool:
    first = cell[0] if is_list(cell) and cell else cell
    return isinstance(first, str) or (first is not cell and isinstance(first, Mapping))


def _turns_in(cell: Any) -> Sequence[Mapping[str, Any]] | None:
    """Return the messages of a cell, also those written as JSON in text."""
    if isinstance(cell, str):
        return parsed_messages(cell)
    return cell if is_conversation(cell) else None


def _read_trl(row: Row, reader: RowReader) -> None:
    """Read TRL's formats: text or messages, with the prompt apart or repeated.

    Explicit rows have a prompt beside the two sides; implicit rows only the two sides,
    both of which begin with the prompt. https://huggingface.co/docs/trl/dataset_formats
    A response may be several turns, where the assistant calls tools.
    """
    sides = _filled_sides(row)
    cells = [row[side] for side in sides]
    turns = [_turns_in(cell) for cell in cells]
    if turns[0] is not None and turns[1] is not None:
        if any(isinstance(cell, str) for cell in cells):
            reader.say(WRITTEN)
        prompt, chosen, rejected = _split_messages(row, turns[0], turns[1], reader)
    elif _prompt_place(row) is not None or reader.options.prompt_template is not None:
        _keep_pairs(row, reader, read_prompt_beside(row, sides, reader), sides)
        return
    elif isinstance(cells[0], str) and isinstance(cells[1], str):
        _check_no_text_beside(row)
        for cell in cells:
            check_no_turns(cell)
        prompt, chosen, rejected = split_text(cells[0], cells[1])
        reader.say(
            "there is no column with a prompt: the words that both sides begin with "
            "are read as the prompt"
        )
    else:
        raise DataError.of(
            expected="chosen and rejected that are both text or both lists of messages",
            got=" and ".join(type(cell).__name__ for cell in cells),
            fix=SPLIT_PROMPT_FIX,
            reason="chosen and rejected differ in kind",
        )
    used = {*sides, *_trl_roles(row)} - {"y", "margin", "weight"}
    reader.pair(
        reader.item(prompt, chosen, origin=(sides[0], None)),
        reader.item(prompt, rejected, origin=(sides[1], None)),
        **extras_of(row, *used),
    )


def _check_no_text_beside(row: Row) -> None:
    """Refuse to look for a prompt in texts while another column may hold it."""
    texts = unused_texts(row)
    if texts:
        raise DataError.of(
            expected="a column with the prompt",
            got=f"none of a known name; text is also in {', '.join(texts[:5])}"[:120],
            fix=f"say which: columns={{'prompt': {texts[0][:40]!r}}} if that is it; "
            "drop columns of other texts if none is",
            reason="no prompt",
        )


def _split_messages(
    row: Row, chosen: Any, rejected: Any, reader: RowReader
) -> tuple[Prompt, str, str]:
    """Take the turns after the common ones as responses, which are the assistant's."""
    a, b = (tuple(messages_of(turns, reader)) for turns in (chosen, rejected))
    n_shared = min(common_prefix_length(a, b), len(a) - 1, len(b) - 1)
    for turns in (a, b):
        _check_ending(turns, n_shared, len(a), len(b))
    prompt = _joined(row, a[:n_shared], reader)
    return prompt, response_text(a[n_shared:]), response_text(b[n_shared:])


def _check_ending(turns: Sequence[Message], start: int, n_a: int, n_b: int) -> None:
    roles = [turn["role"] for turn in turns[start:]]
    if "user" in roles[:-1]:
        raise DataError.of(
            expected="conversations that differ in the last turn alone",
            got=f"a difference at message {start}, of {n_a} and {n_b}",
            fix=SPLIT_PROMPT_FIX,
            reason="conversations part before the last turn",
        )
    for role in (roles[-1], roles[0]):
        if role != "assistant":
            raise DataError.of(
                expected="conversations that end with a turn of the assistant",
                got=f"a last turn of {role[:40]!r}",
                fix=SPLIT_PROMPT_FIX,
                reason="last turn is not the assistant's",
            )


def _joined(row: Row, shared: tuple[Message, ...], reader: RowReader) -> Any:
    """Join the prompt with the shared turns, unless they repeat it already."""
    place = _prompt_place(row)
    templated = reader.options.prompt_template is not None
    if place is None and not templated:
        return list(shared)
    # Only a column named so is certain to be a prompt, and not, say, a kind of task.
    if shared and not templated and place is not None and place.main != "prompt":
        return list(shared)
    prompt = read_prompt(row, place or PromptColumns("prompt"), reader)
    if is_missing(prompt):
        return list(shared) or prompt
    if not shared:
        return prompt
    own = as_messages(prompt)  # type: ignore[arg-type]
    starts = range(len(shared) - len(own) + 1)
    if own and any(shared[at : at + len(own)] == own for at in starts):
        return list(shared)
    return [*own, *shared]


def _trl_roles(row: Row) -> dict[str, str]:
    roles = _pair_roles(row)
    place = _prompt_place(row)
    turns = [_turns_in(row[side]) for side in sides_of(row) or ()]
    if place is None or place.main == "prompt" or len(turns) < 2:
        return roles
    if turns[0] and turns[1] and common_prefix_length(turns[0], turns[1]):
        roles = {name: role for name, role in roles.items() if "prompt" not in role}
    return roles


def _plain_turns(row: Row, _: ReadOptions) -> PlainTurns | None:
    """Say where two conversations are, if nothing else in a row needs a look."""
    sides, place = sides_of(row), _prompt_place(row)
    if sides is None or (place is not None and len(place.roles()) > 1):
        return None
    # By another name than prompt, a column goes along.
    prompt = "prompt" if place is not None and place.main == "prompt" else ""
    others = tuple(name for name in row if name not in (*sides, prompt))
    if needs_a_look(others):
        return None
    return PlainTurns(tuple(row), *sides, others, prompt)


TRL = Format(
    name="trl",
    columns="chosen, rejected (text or messages), optional prompt; optional "
    "margin, weight, y, and any others",
    about="TRL's preference data, conversational or implicit; ultrafeedback_binarized",
    detect=_is_trl,
    read=_read_trl,
    roles=_trl_roles,
    plain=_plain_turns,
    needs=(*zip(*SIDES, strict=True),),
)


def _is_hh(row: Row) -> bool:
    return (
        _prompt_place(row) is None
        and is_transcript(row.get("chosen"))
        and is_transcript(row.get("rejected"))
    )


def _read_hh(row: Row, reader: RowReader) -> None:
    r"""Read whole transcripts, as Anthropic's HH data writes them.

    `"\n\nHuman: ...\n\nAssistant: ..."`, chosen and rejected alike up to the turn in
    which they differ [1]_. The prompt is the common beginning, cut at its last
    `"\n\nAssistant:"`.

    Where they part before the last turn, each response is all that follows the last
    common `"\n\nAssistant:"`, later turns included.

    References
    ----------
    .. [1] Bai et al., "Training a Helpful and Harmless Assistant with Reinforcement
       Learning from Human Feedback", arXiv:2204.05862.
    """
    chosen, rejected = row["chosen"], row["rejected"]
    if is_missing(chosen) or is_missing(rejected):
        raise no_text("missing", "response")
    if not (is_transcript(chosen) and is_transcript(rejected)):
        raise DataError.of(
            expected="transcripts that begin with '\\n\\nHuman:'",
            got="another text",
            fix=_TRANSCRIPT_FIX,
            reason="not a transcript",
        )
    chosen, rejected = (f"\n\n{text.lstrip()}" for text in (chosen, rejected))
    shared = chosen[: common_prefix_length(chosen, rejected)]
    cut = shared.rfind(_ASSISTANT)
    if cut < 0:
        raise DataError.of(
            expected=f"transcripts with a common beginning up to an {_ASSISTANT!r}",
            got="two that part before it",
            fix=_TRANSCRIPT_FIX,
            reason="no common prompt",
        )
    prompt = transcript_turns(shared[:cut])
    start = cut + len(_ASSISTANT)
    reader.pair(
        reader.item(prompt, chosen[start:].strip(), origin=("chosen", None)),
        reader.item(prompt, rejected[start:].strip(), origin=("rejected", None)),
        **extras_of(row, "chosen", "rejected"),
    )


HH = Format(
    name="hh",
    columns="chosen, rejected (whole transcripts, '\\n\\nHuman: ...')",
    about="Anthropic's HH data: whole transcripts up to the turn that differs",
    detect=_is_hh,
    read=_read_hh,
    roles=static_roles(
        chosen="prompt and chosen", rejected="prompt and rejected", **PAIR_ROLES
    ),
)


def _is_swift(row: Row) -> bool:
    return is_conversation(row.get("messages")) and "rejected_response" in row


def _read_swift(row: Row, reader: RowReader) -> None:
    """Read messages that end with the chosen response, and the rejected one beside.

    The response is what follows the last turn of the user, calls of tools included:
    `rejected_response` stands in its place.
    """
    prompt, chosen = split_last_answer(row["messages"], reader)
    rejected = _answers(row["rejected_response"], "rejected_response", reader)
    first = reader.item(prompt, chosen, origin=("messages", None))
    columns = extras_of(row, "messages", "rejected_response")
    for text, origin in rejected:
        reader.pair(first, reader.item(prompt, text, origin=origin), **columns)


SWIFT = Format(
    name="ms-swift",
    columns="messages (those after the last of the user are the chosen response), "
    "rejected_response",
    about="ms-swift's preference data; with rejected_messages it is read as trl",
    detect=_is_swift,
    read=_read_swift,
    roles=static_roles(
        messages="prompt and chosen", rejected_response="rejected", **PAIR_ROLES
    ),
    needs=(("messages",), ("rejected_response",)),
)
