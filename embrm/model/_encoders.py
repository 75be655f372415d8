"""The encoder of a reward model: made from its parameter, and checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from embrm.embed.base import Encoder, Fingerprint
from embrm.embed.registry import combined_encoder, make_encoder
from embrm.exceptions import FingerprintMismatchError, invalid_input
from embrm.heads.uncertain_reward import UncertainRewardHead
from embrm.pairs import Pairs


def made_encoder(encoder: str | Encoder | Sequence[str | Encoder]) -> Encoder:
    """Make the encoder that a parameter names or lists."""
    if isinstance(encoder, str):
        return make_encoder(encoder)
    return combined_encoder(encoder) if isinstance(encoder, Sequence) else encoder


def check_same_encoder(fitted: Fingerprint, offered: Fingerprint) -> None:
    """Check that vectors come from the encoder that a head was fitted with."""
    if fitted.digest != offered.digest:
        raise FingerprintMismatchError.of(
            expected=f"vectors of the encoder {fitted.describe()}",
            got=f"the encoder {offered.describe()}",
            fix="score with the encoder the head was fitted with, or fit again",
        )


def check_uncertain(head: Any) -> None:
    """Check that a head gives standard deviations with its rewards."""
    if not isinstance(head, UncertainRewardHead):
        raise invalid_input(
            expected="a head that returns standard deviations, for intervals",
            got=type(head).__name__,
            fix="fit head='linear', or an ensemble",
        )


def check_style_block(blocks: Mapping[str, slice] | None) -> slice:
    """Find the columns of style among the blocks of vectors.

    Raises
    ------
    InvalidInputError
        If there are none.
    """
    if blocks is None or "style" not in blocks:
        raise invalid_input(
            expected="vectors with a block 'style', to take it out of their reward",
            got=f"blocks {', '.join(blocks)}" if blocks else "no blocks",
            fix="call reward(data, control='style'), which reads the texts",
        )
    return blocks["style"]


def check_dim(pairs: Pairs, fingerprint: Fingerprint) -> None:
    """Check that pairs hold vectors as long as the encoder's."""
    d = pairs.shape[2]
    if d != fingerprint.dim:
        raise invalid_input(
            expected=f"vectors of {fingerprint.describe()}, d = {fingerprint.dim}",
            got=f"d = {d}",
            fix="take them from this model's embed(preferences.texts)",
        )
