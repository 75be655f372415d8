"""`embrm data`: look at a preference file before anything is fitted on it."""

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embrm.cli.embed import Prefs
from embrm.cli.inputs import open_encoder, open_model
from embrm.cli.options import CacheDir, Reading, Seed, as_command
from embrm.cli.output import emit, in_flags, say, wants_json
from embrm.exceptions import EmbrmWarning, invalid_input

if TYPE_CHECKING:
    from embrm._typing import FittedTexts, FloatArray
    from embrm.datasets import Preferences

_FOLDS = 5

Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        help="Another file, such as a test set, whose prompts should not be in this "
        "one; may be repeated.",
        show_default=False,
    ),
]
LookedAtBy = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="A saved model: lists labels that look wrong to its head, fitted again "
        "without their prompts where it knows them.",
        show_default=False,
    ),
]
CountedBy = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Count tokens as this encoder does, and what its limit cuts; e.g. "
        "smollm2, minilm.",
        show_default=False,
    ),
]
Near = Annotated[
    float,
    typer.Option(
        "--near",
        help="Jaccard index, 0.5 to 1, from which prompts are near-duplicates; 0 does "
        "not look for them.",
    ),
]
Page = Annotated[
    Path | None,
    typer.Option("--html", help="Write it as a page, too.", show_default=False),
]


@partial(as_command, on_error="skip")
def data(
    *,
    prefs: Prefs,
    against: Against = None,
    encoder: CountedBy = None,
    model: LookedAtBy = None,
    cache: CacheDir = None,
    html: Page = None,
    near: Near = 0.8,
    reading: Reading,
    seed: Seed = 0,
) -> None:
    """Look at a preference file: how it is read, and what may be wrong with it.

    First what to look at; then format, columns, repeats, contradictions, near-duplicate
    and leaked prompts, lengths, annotators. Nothing is embedded without --model.
    """
    from embrm.datasets import diagnose

    options = reading.options()
    preferences = read_quietly(prefs, **options)
    notes = preferences.read_report.notes
    notes[:] = map(in_flags, notes)
    others = {name: read_quietly(name) for name in against or ()}
    diagnosis = diagnose(
        preferences,
        against=others,
        near_threshold=near or None,
        fitted=_fitted(encoder, preferences),
        probability=label_probability(model, cache, preferences, seed),
    )
    if html is not None:
        from embrm.report import write_data_page

        write_data_page(html, diagnosis)
    if wants_json():
        emit(diagnosis.to_json())
    else:
        say(str(diagnosis))
    if html is not None:
        say(f"page: {html}")


def read_quietly(source: str, *, paired: bool = True, **options: Any) -> "Preferences":
    """Read preferences; the report is printed later.

    Parameters
    ----------
    source : str
    paired : bool, default=True
        With the pairs that ratings and labels imply, where there are no others.
    **options
        As for `read_preferences`; rows that cannot be used are left out by default.
    """
    from embrm.datasets import read_preferences
    from embrm.datasets.paired import with_pairs

    with warnings.catch_warnings():
        # What was left out, and why, is in the report.
        warnings.simplefilter("ignore", EmbrmWarning)
        read = read_preferences(source, **{"on_error": "skip", **options})
    return with_pairs(read) if paired else read


def label_probability(
    directory: Path | None,
    cache: str | None,
    preferences: "Preferences",
    seed: int,
) -> "FloatArray | None":
    """Compute the held-out probability of each label by a saved model; None without.

    Parameters
    ----------
    directory : Path, optional
        Of the model.
    cache : str, optional
    preferences : Preferences
    seed : int
        Of the folds.
    """
    if directory is None or not len(preferences):
        return None
    from embrm.embed.progress import progress_bar
    from embrm.report import held_out_probability

    model = open_model(directory, cache, None)
    embedded = model.embed(preferences.texts)
    say(str(embedded), stderr=True)
    pairs = model.to_pairs(preferences, embedded.vectors)
    with progress_bar("Fitting without each label", total=_FOLDS) as advance:
        return held_out_probability(
            model,
            preferences,
            pairs,
            n_splits=_FOLDS,
            random_state=seed,
            after_fit=advance,
        )


def _fitted(name: str | None, preferences: "Preferences") -> "FittedTexts | None":
    """Tokenise all items, and find what the encoder's limit leaves of them."""
    if name is None:
        return None
    from embrm.embed.progress import progress_bar
    from embrm.embed.sliced_encoder import SlicedEncoder

    opened = open_encoder(name)
    if not isinstance(opened, SlicedEncoder):
        raise invalid_input(
            expected="an encoder with a tokenizer of its own",
            got=repr(name)[:60],
            fix="use --encoder smollm2, minilm, or a model's directory",
        )
    texts = preferences.texts
    with progress_bar("Counting tokens", total=len(texts)) as advance:
        return opened.fit_texts(texts, after_text=advance)
