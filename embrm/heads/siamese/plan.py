"""From the parameters of `SiameseBradleyTerry` to a plan of training, all checked."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.parameters import check_count, check_real
from embrm.heads.siamese.losses import LOSSES, smoothed
from embrm.heads.siamese.training import TrainingPlan

_LAYERS_BY_WINS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (100_000, (256,)),
    (0, (64,)),
)
"""From how many wins on which hidden layers are used."""

_WORTH_BFLOAT16 = 5e9
"""Multiplications of an epoch from which rounding costs less than waiting."""


def make_plan(params: Mapping[str, Any], n_wins: int, n_features: int) -> TrainingPlan:
    """Check parameters and settle those that are "auto".

    Parameters
    ----------
    params : mapping
        Of a `SiameseBradleyTerry`, by name.
    n_wins, n_features : int

    Returns
    -------
    TrainingPlan

    Raises
    ------
    InvalidInputError
        If a parameter is unknown or out of range; the message names it.
    """
    hidden = _hidden_sizes(params["hidden_sizes"], n_wins)
    loss = smoothed(
        LOSSES[_check_word(params, "loss", LOSSES)],
        _share(params, "label_smoothing", below=0.5),
    )
    schedule = _check_word(params, "schedule", ("constant", "cosine"))
    batching = _check_word(params, "batching", ("pairs", "prompts"))
    return TrainingPlan(
        hidden_sizes=hidden,
        n_members=_count(params, "ensemble_size"),
        loss=loss,
        learning_rate=_positive(params, "learning_rate"),
        cosine=schedule == "cosine",
        max_epochs=_count(params, "max_epochs"),
        batch_size=_batch_size(params["batch_size"], n_wins),
        whole_prompts=batching == "prompts",
        weight_decay=_not_negative(params, "weight_decay"),
        dropout=_share(params, "dropout", below=1.0),
        max_grad_norm=_max_grad_norm(params),
        centering=_not_negative(params, "centering"),
        patience=_count(params, "patience"),
        bfloat16=_takes_bfloat16(params, n_wins, (n_features, *hidden)),
    )


def _hidden_sizes(hidden: Any, n_wins: int) -> tuple[int, ...]:
    if isinstance(hidden, str) and hidden == "auto":
        return next(sizes for fewest, sizes in _LAYERS_BY_WINS if n_wins >= fewest)
    sizes = hidden if isinstance(hidden, tuple | list) else (hidden,)
    return tuple(check_count(n, "hidden_sizes", 1) for n in sizes)


def _batch_size(batch_size: Any, n_wins: int) -> int:
    if isinstance(batch_size, str) and batch_size == "auto":
        return min(1024, max(128, n_wins // 50))
    return check_count(batch_size, "batch_size", 1)


def _count(params: Mapping[str, Any], name: str) -> int:
    return check_count(params[name], name, 1)


def _positive(params: Mapping[str, Any], name: str) -> float:
    return check_real(params[name], name, 0.0, open_at_low=True)


def _not_negative(params: Mapping[str, Any], name: str) -> float:
    return check_real(params[name], name, 0.0, open_at_low=False)


def _share(params: Mapping[str, Any], name: str, *, below: float) -> float:
    return check_real(params[name], name, 0.0, below, open_at_low=False)


def _max_grad_norm(params: Mapping[str, Any]) -> float:
    norm = params["max_grad_norm"]
    if isinstance(norm, float) and norm == float("inf"):
        return norm
    return _positive(params, "max_grad_norm")


def _takes_bfloat16(
    params: Mapping[str, Any], n_wins: int, sizes: tuple[int, ...]
) -> bool:
    word = _check_word(params, "precision", ("auto", "float32", "bfloat16"))
    if word != "auto":
        return word == "bfloat16"
    return sum(m * n for m, n in pairwise(sizes)) * n_wins >= _WORTH_BFLOAT16


def _check_word(params: Mapping[str, Any], name: str, known: Collection[str]) -> str:
    word = params[name]
    if isinstance(word, str) and word in known:
        return word
    raise InvalidInputError(
        three_parts(
            expected=f"{name} of {', '.join(known)}",
            got=repr(word)[:40],
            cure="use one of these words",
        )
    )
