"""OpenAssistant: trees of messages, whole or one message a row."""

from collections.abc import Iterator, Mapping
from typing import Any

from embrm._typing import Message
from embrm.datasets.formats._conversations import plain_if_single
from embrm.datasets.formats._fields import is_list, record_of
from embrm.datasets.formats._ranked import keep_ranked
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    has_columns,
    lacking,
    static_roles,
)

_ROLES = {"prompter": "user", "assistant": "assistant"}


def _turn(message: Mapping[str, Any]) -> Message:
    role = _ROLES.get(str(message.get("role")), "user")
    return Message(role=role, content=str(message.get("text") or ""))


def _ranked_replies(
    message: Mapping[str, Any], before: list[Message]
) -> Iterator[tuple[list[Message], list[Mapping[str, Any]]]]:
    """Walk a tree; yield each conversation with the ranked answers to it."""
    turns = [*before, _turn(message)]
    replies = message.get("replies")
    replies = [r for r in replies if isinstance(r, Mapping)] if is_list(replies) else []
    ranked = [r for r in replies if r.get("rank") is not None]
    if turns[-1]["role"] == "user" and len(ranked) > 1:
        yield turns, ranked
    for reply in replies:
        yield from _ranked_replies(reply, turns)


def _root(row: Row) -> Mapping[str, Any]:
    """Take the first message: in `prompt`, or the row itself in exports of messages."""
    prompt = row.get("prompt")
    if isinstance(prompt, Mapping):
        return prompt
    is_message = row.keys() >= {"text", "role"} and is_list(row.get("replies"))
    return row if is_message else {}


def _read_tree(row: Row, reader: RowReader) -> None:
    """Read a tree: of every prompt, the answers that were ranked (0 is best).

    References
    ----------
    Koepf et al. 2023, arXiv:2304.07327.
    """
    root = _root(row) or record_of(row["prompt"], "prompt")
    for turns, replies in _ranked_replies(root, []):
        part = RowReader(reader.options)
        texts = [reply.get("text") for reply in replies]
        ranks = [reply.get("rank") for reply in replies]
        keep_ranked(part, plain_if_single(turns), texts, ranks)
        start = len(reader.items)
        reader.items += part.items
        reader.origins += [("prompt", start + n) for n in range(len(part.items))]
        for pair in part.pairs:
            ends = {"first": pair["first"] + start, "second": pair["second"] + start}
            reader.pairs.append(pair | ends)
    if not reader.pairs:
        raise lacking(
            "a tree with two ranked answers to one prompt",
            reason="no ranked answers",
            fix="drop the tree: it compares nothing",
        )


OASST_TREE = Format(
    name="oasst-tree",
    columns="message_tree_id, prompt {text, role, replies [{text, rank, replies}]}; or "
    "text, role, replies",
    about="OpenAssistant's trees of messages",
    detect=lambda row: "replies" in _root(row),
    read=_read_tree,
    roles=static_roles(
        prompt="prompt, responses and ranks",
        text="prompt",
        role="whose turn",
        replies="responses and ranks",
    ),
)


def _gathered(rows: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
    """Give each message the conversation before it and the answers to it."""
    by_id = {_id(row, "message_id"): row for _, row in rows}
    replies: dict[str, list[Row]] = {}
    for _, row in rows:
        replies.setdefault(_id(row, "parent_id"), []).append(row)
    return [
        (
            number,
            {
                **row,
                "_before": _thread(row, by_id),
                "_replies": replies.get(_id(row, "message_id"), []),
            },
        )
        for number, row in rows
    ]


def _id(row: Row, column: str) -> str:
    return str(row.get(column))


def _thread(row: Row, by_id: Mapping[str, Row]) -> list[Message]:
    """List the turns up to and with a message, the first one first."""
    turns: list[Message] = []
    seen: set[str] = set()
    current: Row | None = row
    while current is not None and _id(current, "message_id") not in seen:
        seen.add(_id(current, "message_id"))
        turns.append(_turn(current))
        current = by_id.get(_id(current, "parent_id"))
    return turns[::-1]


def _read_message(row: Row, reader: RowReader) -> None:
    """Read a prompt with the ranked answers to it; other messages are context."""
    ranked = [
        reply for reply in row.get("_replies", ()) if reply.get("rank") is not None
    ]
    if _turn(row)["role"] != "user" or len(ranked) < 2:
        reader.is_context = True
        return
    texts = [reply.get("text") for reply in ranked]
    ranks = [reply.get("rank") for reply in ranked]
    keep_ranked(reader, plain_if_single(row["_before"]), texts, ranks)


OASST_MESSAGES = Format(
    name="oasst-messages",
    columns="message_id, parent_id, text, role, rank (0 is best)",
    about="OpenAssistant's messages, one a row; held in memory whole",
    detect=has_columns("message_id", "parent_id", "text", "role", "rank"),
    read=_read_message,
    roles=static_roles(
        message_id="place in the tree",
        parent_id="place in the tree",
        text="prompt and responses",
        role="whose turn",
        rank="ranks",
    ),
    gather=_gathered,
)
