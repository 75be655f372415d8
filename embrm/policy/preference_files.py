"""Rows of training files: pairs and demonstrations as four trainers read them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from embrm._typing import Prompt
from embrm._validation import check_choice
from embrm.exceptions import DataError
from embrm.messages import as_messages

Row: TypeAlias = dict[str, Any]

_SHAREGPT = {
    "user": "human",
    "assistant": "gpt",
    "tool": "observation",
}


@dataclass(frozen=True)
class TrainingFormat:
    """How a trainer reads preferences and demonstrations.

    Attributes
    ----------
    pair : callable
        Makes a row of (prompt, chosen, rejected).
    demonstration : callable
        Makes a row of (prompt, response).
    use_pairs, use_demonstrations : str
        Settings by which the trainer reads such a file, with {file} for its name.
    """

    pair: Callable[[Prompt, str, str], Row]
    demonstration: Callable[[Prompt, str], Row]
    use_pairs: str
    use_demonstrations: str


def _turns(prompt: Prompt) -> list[Row]:
    return [dict(message) for message in as_messages(prompt)]


def _answer(response: str) -> Row:
    return {"role": "assistant", "content": response}


def _trl_pair(prompt: Prompt, chosen: str, rejected: str) -> Row:
    return {
        "prompt": _turns(prompt),
        "chosen": [_answer(chosen)],
        "rejected": [_answer(rejected)],
    }


def _trl_demonstration(prompt: Prompt, response: str) -> Row:
    return {"prompt": _turns(prompt), "completion": [_answer(response)]}


def _openrlhf_pair(prompt: Prompt, chosen: str, rejected: str) -> Row:
    turns = _turns(prompt)
    return {
        "chosen": [*turns, _answer(chosen)],
        "rejected": [*turns, _answer(rejected)],
    }


def _openrlhf_demonstration(prompt: Prompt, response: str) -> Row:
    return {"input": _turns(prompt), "output": [_answer(response)]}


def _sharegpt(prompt: Prompt) -> Row:
    turns = _turns(prompt)
    system = turns.pop(0)["content"] if turns and turns[0]["role"] == "system" else None
    strange = [turn["role"] for turn in turns if turn["role"] not in _SHAREGPT]
    if strange or any("tool_calls" in turn for turn in turns):
        raise DataError.of(
            expected="turns of user, assistant and tool after the system's",
            got=repr((strange or ["calls of tools"])[0])[:40],
            fix="write this file for trl, openrlhf or axolotl",
            reason="turns that the format has no word for",
        )
    said = [{"from": _SHAREGPT[t["role"]], "value": t["content"]} for t in turns]
    return {"conversations": said} | ({} if system is None else {"system": system})


def _llama_factory_pair(prompt: Prompt, chosen: str, rejected: str) -> Row:
    return {
        **_sharegpt(prompt),
        "chosen": {"from": "gpt", "value": chosen},
        "rejected": {"from": "gpt", "value": rejected},
    }


def _llama_factory_demonstration(prompt: Prompt, response: str) -> Row:
    row = _sharegpt(prompt)
    row["conversations"].append({"from": "gpt", "value": response})
    return row


def _axolotl_pair(prompt: Prompt, chosen: str, rejected: str) -> Row:
    return {
        "messages": _turns(prompt),
        "chosen": _answer(chosen),
        "rejected": _answer(rejected),
    }


def _axolotl_demonstration(prompt: Prompt, response: str) -> Row:
    return {"messages": [*_turns(prompt), _answer(response)]}


_TRL = """\
data = load_dataset("json", data_files="{{file}}", split="train")
{trainer}(..., train_dataset=data)"""

_LLAMA_FACTORY_PAIRS = """\
In `dataset_info.json`:
{{"mined": {{"file_name": "{file}", "formatting": "sharegpt", "ranking": true,
 "columns": {{"messages": "conversations", "chosen": "chosen",
 "rejected": "rejected", "system": "system"}}}}}}"""

_LLAMA_FACTORY_DEMONSTRATIONS = """\
In `dataset_info.json`:
{{"mined": {{"file_name": "{file}", "formatting": "sharegpt",
 "columns": {{"messages": "conversations", "system": "system"}}}}}}"""

_AXOLOTL_PAIRS = """\
rl: dpo
datasets:
  - path: {file}
    ds_type: json
    split: train
    type: chat_template.default"""

_AXOLOTL_DEMONSTRATIONS = """\
datasets:
  - path: {file}
    ds_type: json
    type: chat_template"""

TRAINING_FORMATS: Mapping[str, TrainingFormat] = {
    "trl": TrainingFormat(
        _trl_pair,
        _trl_demonstration,
        _TRL.format(trainer="DPOTrainer"),
        _TRL.format(trainer="SFTTrainer"),
    ),
    "openrlhf": TrainingFormat(
        _openrlhf_pair,
        _openrlhf_demonstration,
        "--dataset {file} --chosen_key chosen --rejected_key rejected "
        "--apply_chat_template",
        "--dataset {file} --input_key input --output_key output --apply_chat_template",
    ),
    "llama-factory": TrainingFormat(
        _llama_factory_pair,
        _llama_factory_demonstration,
        _LLAMA_FACTORY_PAIRS,
        _LLAMA_FACTORY_DEMONSTRATIONS,
    ),
    "axolotl": TrainingFormat(
        _axolotl_pair,
        _axolotl_demonstration,
        _AXOLOTL_PAIRS,
        _AXOLOTL_DEMONSTRATIONS,
    ),
}
"""Trainers whose files can be written."""


def pair_row(
    prompt: Prompt,
    chosen: str,
    rejected: str,
    *,
    format: str,  # noqa: A002
    margin: float,
) -> Row:
    """Write a preference as a trainer reads it.

    Parameters
    ----------
    prompt : str or messages
    chosen, rejected : str
    format : {"trl", "openrlhf", "llama-factory", "axolotl"}
    margin : float
        In nats; reward trainers of TRL and OpenRLHF use it, others ignore it.

    Returns
    -------
    dict
        Ready for JSON; `embrm.datasets.read_preferences` reads it, too.

    Raises
    ------
    InvalidInputError
        If the format is unknown.
    DataError
        If the prompt has turns that the format has no word for.

    Examples
    --------
    >>> pair_row("2+2?", "4", "5", format="axolotl", margin=1.0)["chosen"]
    {'role': 'assistant', 'content': '4'}
    """
    check_choice(format, "format", tuple(TRAINING_FORMATS))
    row = TRAINING_FORMATS[format].pair(prompt, chosen, rejected)
    return {**row, "margin": margin}


def demonstration_row(prompt: Prompt, response: str, *, format: str) -> Row:  # noqa: A002
    """Write a response to imitate as a trainer reads it.

    Parameters
    ----------
    prompt : str or messages
    response : str
    format : {"trl", "openrlhf", "llama-factory", "axolotl"}

    Raises
    ------
    InvalidInputError, DataError
        As `pair_row`.

    Examples
    --------
    >>> demonstration_row("2+2?", "4", format="llama-factory")["conversations"][-1]
    {'from': 'gpt', 'value': '4'}
    """
    check_choice(format, "format", tuple(TRAINING_FORMATS))
    return TRAINING_FORMATS[format].demonstration(prompt, response)
