"""Vectors, encoder and head belong together, or an error says why not."""

from embrm.embed.base import Fingerprint
from embrm.exceptions import (
    FingerprintMismatchError,
    InvalidInputError,
    three_parts,
)
from embrm.pairs import Pairs


def check_same_encoder(fitted: Fingerprint, offered: Fingerprint) -> None:
    """Check that vectors come from the encoder that a head was fitted with.

    Raises
    ------
    FingerprintMismatchError
        If they do not.

    Examples
    --------
    >>> check_same_encoder(Fingerprint({}, 8, "float32"), Fingerprint({}, 8, "float32"))
    """
    if fitted.digest != offered.digest:
        raise FingerprintMismatchError(
            three_parts(
                expected=f"vectors of the encoder {fitted.describe()}",
                got=f"the encoder {offered.describe()}",
                cure="score with the encoder the head was fitted with, or fit anew",
            )
        )


def check_dim(pairs: Pairs, fingerprint: Fingerprint) -> None:
    """Check that pairs hold vectors as long as the encoder's.

    Raises
    ------
    InvalidInputError
        If they do not.
    """
    d = pairs.shape[2]
    if d != fingerprint.dim:
        raise InvalidInputError(
            three_parts(
                expected=f"vectors of {fingerprint.describe()}, d = {fingerprint.dim}",
                got=f"d = {d}",
                cure="take them from this model's embed(preferences.texts)",
            )
        )
