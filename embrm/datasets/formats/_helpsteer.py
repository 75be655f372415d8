"""NVIDIA's HelpSteer: ratings of responses, and preferences with their strength."""

import math
import re
from typing import Any

from embrm._typing import Message
from embrm.datasets.formats._fields import (
    check_rated,
    is_list,
    list_of,
    number,
    texts_among,
    whole_number,
)
from embrm.datasets.formats._rated import HELPSTEER_ATTRIBUTES
from embrm.datasets.formats._texts import add_responses, prompt_cell
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    has_columns,
    static_roles,
)

_TURN = re.compile(r"\n?<extra_id_[01]>(System|User|Assistant)(?:\n|\Z)")


def _conversation(prompt: Any) -> Any:
    """Split a prompt at its turn markers; one without them stays as it is."""
    if not isinstance(prompt, str):
        return prompt
    # The first turn has no marker: it is the user's.
    parts = ["User", *_TURN.split(prompt)]
    if len(parts) == 2:
        return prompt
    return [
        Message(role=role.lower(), content=content)
        for role, content in zip(parts[::2], parts[1::2], strict=True)
        if content.strip()
    ]


def _read_helpsteer_2(row: Row, reader: RowReader) -> None:
    several = all(is_list(row[name]) for name in HELPSTEER_ATTRIBUTES)
    if several:
        reader.say("of the ratings of several people, the mean is read")
    attributes: dict[str, Any] = {
        name: _mean_rating(row[name], name)
        if several
        else number(row[name], name, low=0, high=4)
        for name in HELPSTEER_ATTRIBUTES
    }
    check_rated(attributes.values())
    reader.item(
        _conversation(row["prompt"]),
        row["response"],
        score=attributes["helpfulness"],
        **attributes,
    )


def _mean_rating(cell: Any, name: str) -> float:
    """Read the mean of the ratings of several people, who are not told apart."""
    rated = [number(each, name, low=0, high=4) for each in list_of(cell, name)]
    known = [rating for rating in rated if not math.isnan(rating)]
    return math.fsum(known) / len(known) if known else math.nan


def _read_strength(
    row: Row,
    reader: RowReader,
    prompt: Any,
    sides: tuple[str, str],
    column: str,
    *carried: str,
) -> None:
    r"""Read HelpSteer: rated responses (1 and 2), and preferences (2 and 3).

    Rated rows become items with the five attributes (0 to 4, NaN where one is missing)
    and `score`, which is `helpfulness`. Preference rows become pairs: a *negative*
    strength means that the first response is better, 0 is a tie (y = 0.5), and the
    column `strength` (0 to 3) is its size. Pass `strength` as `sample_weight` for
    scaled Bradley-Terry, or as `margin`; embrm chooses neither.

    A prompt of several turns, in which lines `<extra_id_1>Assistant` and
    `<extra_id_1>User` stand between the turns, becomes a list of messages.

    References
    ----------
    Wang et al. 2023, arXiv:2311.09528; 2024, arXiv:2406.08673 and arXiv:2410.01257;
    2025, arXiv:2505.11475. The sign of the strength: NeMo-Aligner, regression reward
    model.

    Examples
    --------
    >>> reader = RowReader()
    >>> HELPSTEER_2_PREFERENCE.read(
    ...     {
    ...         "prompt": "Hi\n<extra_id_1>Assistant\nYes?\n<extra_id_1>User\n2 + 2?",
    ...         "response_1": "4",
    ...         "response_2": "5",
    ...         "preference_strength": -3,
    ...     },
    ...     reader,
    ... )
    >>> reader.pairs[0]["y"], reader.pairs[0]["strength"]
    (1.0, 3)
    >>> [message["role"] for message in reader.items[0]["prompt"]]
    ['user', 'assistant', 'user']
    """
    strength = whole_number(row[column], column, low=-3, high=3)
    prompt = prompt_cell(prompt, reader)
    first, second = add_responses(row, sides, prompt, reader)
    y = 0.5 if strength == 0 else float(strength < 0)
    columns = texts_among(row, *carried)
    reader.pair(first, second, y, strength=abs(strength), **columns)


def _read_helpsteer_2_preference(row: Row, reader: RowReader) -> None:
    sides = ("response_1", "response_2")
    prompt = _conversation(row["prompt"])
    _read_strength(row, reader, prompt, sides, "preference_strength", "split")


def _read_helpsteer_3(row: Row, reader: RowReader) -> None:
    sides, prompt = ("response1", "response2"), row["context"]
    carried = ("domain", "language")
    _read_strength(row, reader, prompt, sides, "overall_preference", *carried)


HELPSTEER_2 = Format(
    name="helpsteer2",
    columns="prompt, response, helpfulness, correctness, coherence, complexity, "
    "verbosity (0 to 4, or lists of them)",
    about="HelpSteer and HelpSteer2: five ratings from 0 to 4; of its disagreements, "
    "the means",
    detect=has_columns("prompt", "response", *HELPSTEER_ATTRIBUTES),
    read=_read_helpsteer_2,
    roles=static_roles(
        prompt="prompt",
        response="response",
        **dict.fromkeys(HELPSTEER_ATTRIBUTES, "rating"),
    ),
)

HELPSTEER_2_PREFERENCE = Format(
    name="helpsteer2-preference",
    columns="prompt, response_1, response_2, preference_strength (-3 to 3)",
    about="HelpSteer2-Preference; a negative strength prefers response 1",
    detect=has_columns("prompt", "response_1", "response_2", "preference_strength"),
    read=_read_helpsteer_2_preference,
    roles=static_roles(
        prompt="prompt",
        response_1="first",
        response_2="second",
        preference_strength="winner and strength",
    ),
    says_winner=True,
)

HELPSTEER_3 = Format(
    name="helpsteer3",
    columns="context, response1, response2, overall_preference (-3 to 3)",
    about="HelpSteer3; a negative strength prefers response 1",
    detect=has_columns("context", "response1", "response2", "overall_preference"),
    read=_read_helpsteer_3,
    roles=static_roles(
        context="prompt",
        response1="first",
        response2="second",
        overall_preference="winner and strength",
    ),
    says_winner=True,
)

HELPSTEER = (HELPSTEER_2, HELPSTEER_2_PREFERENCE, HELPSTEER_3)
"""In the order in which they are tried."""
