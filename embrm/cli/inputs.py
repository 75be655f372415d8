"""What commands open and read: preference files, encoders, saved models."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embrm.cli.output import in_flags, say
from embrm.exceptions import (
    InvalidInputError,
    LeftOutWarning,
    MisreadWarning,
)

if TYPE_CHECKING:
    from embrm.datasets import Preferences
    from embrm.embed.registry import KnownEncoder
    from embrm.model import RewardModel


def read_and_say(source: Any, *, prefix: str = "", **options: Any) -> "Preferences":
    """Read preferences and print what was read, kept and left out.

    Parameters
    ----------
    source
        As for `read_preferences`.
    prefix : str, default=""
        Words before the report.
    **options
        As for `read_preferences`.
    """
    from embrm.datasets import read_preferences

    with warnings.catch_warnings():
        # The warnings are in the report, which is printed in any case.
        warnings.simplefilter("ignore", LeftOutWarning)
        warnings.simplefilter("ignore", MisreadWarning)
        preferences = read_preferences(source, **options)
    say(in_flags(f"{prefix}{preferences.read_report}"))
    return preferences


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
