"""Open encoders and saved models for commands, before they read any data."""

from pathlib import Path
from typing import TYPE_CHECKING

from embrm.exceptions import InvalidInputError

if TYPE_CHECKING:
    from embrm.embed.registry import KnownEncoder
    from embrm.model import RewardModel


def open_encoder(name: str) -> "KnownEncoder":
    """Make an encoder, and find out now whether its files are there.

    Parameters
    ----------
    name : str
        As `make_encoder` takes it.
    """
    from embrm.embed.registry import make_encoder

    encoder = make_encoder(name)
    _ = encoder.fingerprint
    return encoder


def open_model(
    directory: Path, cache: str | None, encoder: str | None
) -> "RewardModel":
    """Load a saved model, and find out now whether its encoder is there.

    Parameters
    ----------
    directory : Path
    cache : str, optional
    encoder : str, optional
        Where the model's encoder is found now.
    """
    from embrm.persist import load_model

    model = load_model(directory, cache=cache, encoder=encoder)
    try:
        model.check_encoder()
    except InvalidInputError as error:
        raise InvalidInputError(
            f"the encoder of this model: {error} If it is elsewhere now, say where "
            "with --encoder."
        ) from error
    return model
