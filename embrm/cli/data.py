"""`embrm data` looks at a preference file; `embrm clean` keeps what passes filters."""

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embrm.cli.embed import Prefs
from embrm.cli.inputs import open_encoder, open_model
from embrm.cli.options import CacheDir, Reading, Seed, as_command
from embrm.cli.output import emit, in_flags, say, wants_json, write_json_lines
from embrm.exceptions import EmbrmWarning, invalid_input

if TYPE_CHECKING:
    from embrm._typing import FittedTexts, FloatArray
    from embrm.datasets import Preferences, QualityReport

_FOLDS = 5

Against = Annotated[
    list[str] | None,
    Option(
        help="Another file, such as a test set, whose prompts should not be in this "
        "one; may be repeated."
    ),
]
LookedAtBy = Annotated[
    Path | None,
    Option(
        help="A saved model: lists labels that look wrong to its head, fitted again "
        "without their prompts where it knows them."
    ),
]
CountedBy = Annotated[
    str | None,
    Option(
        help="Count tokens as this encoder does, and what its limit cuts; e.g. "
        "smollm2, minilm."
    ),
]
Near = Annotated[
    float,
    Option(
        help="Jaccard index, 0.5 to 1, from which prompts are near-duplicates; 0 does "
        "not look for them."
    ),
]
Page = Annotated[Path | None, Option(help="Write it as a page, too.")]


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
    directory: Path | None, cache: str | None, preferences: "Preferences", seed: int
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


_OF_ITEMS = ("min_words", "max_words", "near_prompts", "against")
_NO_LIMIT = 2**62
_EQUAL = 1.0
"""Jaccard index of prompts of the same word pairs."""

Out = Annotated[Path, Option(help="JSONL file of what is kept; replaced.")]
Removed = Annotated[
    Path | None,
    Option(
        help="JSONL file of what was left out, each with its reason; by default beside "
        "--out, as NAME.removed.jsonl."
    ),
]
Repeats = Annotated[
    bool, Option("--repeats", help="Leave out pairs that repeat an earlier one.")
]
Contradictions = Annotated[
    bool,
    Option("--contradictions", help="Leave out pairs that are labelled both ways."),
]
Ties = Annotated[bool, Option("--ties", help="Leave out ties.")]
MinWords = Annotated[int | None, Option(min=0, help="Fewest words of each response.")]
MaxWords = Annotated[int | None, Option(min=1, help="Most words of each response.")]
Similar = Annotated[
    float | None,
    Option(
        help="Leave out pairs whose responses share this much of their words, e.g. "
        "0.9, or more."
    ),
]
NearPrompts = Annotated[
    bool,
    Option(
        "--near-prompts",
        help="Leave out prompts that are near-duplicates of an earlier one.",
    ),
]
Agreement = Annotated[
    float | None,
    Option(help="Leave out pairs whose column annotator_agreement is this or less."),
]


@partial(as_command, on_error="skip")
def clean(
    *,
    prefs: Prefs,
    out: Out,
    removed: Removed = None,
    repeats: Repeats = False,
    contradictions: Contradictions = False,
    ties: Ties = False,
    min_words: MinWords = None,
    max_words: MaxWords = None,
    similar: Similar = None,
    min_agreement: Agreement = None,
    near_prompts: NearPrompts = False,
    against: Against = None,
    near: Near = 0.8,
    model: LookedAtBy = None,
    cache: CacheDir = None,
    reading: Reading,
    seed: Seed = 0,
) -> None:
    """Write what passes the filters that are named, and what does not with the reason.

    Both files have one row for each pair: prompt, chosen, rejected, y where a label is
    not 1 (the probability that chosen is preferred), and all other columns. What is
    left out has the reason in left_out, and row_number, from 1.
    """
    options = reading.options()
    preferences = read_quietly(prefs, paired=False, **options)
    say(str(preferences.read_report))
    chosen: dict[str, Any] = {
        "repeats": repeats,
        "contradictions": contradictions,
        "ties": ties,
        "min_words": min_words,
        "max_words": max_words,
        "similar": similar,
        "min_agreement": min_agreement,
        "near_prompts": near_prompts,
        "against": against,
        "model": model,
    }
    beside = removed or out.with_suffix(".removed.jsonl")
    _check_places(prefs, out, beside)
    _check_chosen(chosen, has_pairs=len(preferences) > 0)
    # A model judges labels beside all others: it comes first.
    chosen["probability"] = label_probability(model, cache, preferences, seed)
    kept, report = _filtered(preferences, chosen, near or None)
    _write(out, _rows(kept, report.unit))
    _write(beside, _as_written(report.removed))
    for line in _summary(report):
        say(line)
    say(f"kept: {out}\nleft out: {beside}")
    emit(_as_json(report, out, beside))


def _check_places(prefs: str, out: Path, beside: Path) -> None:
    """Refuse to write over what is read."""
    if len({Path(place).resolve() for place in (prefs, out, beside)}) < 3:
        raise invalid_input(
            expected="different files to read, to keep and to leave out",
            got=f"one of them twice ({out})",
            fix="write to another --out, or name --removed",
        )


def _check_chosen(chosen: dict[str, Any], *, has_pairs: bool) -> None:
    """Refuse to filter by nothing, and items by what is about pairs."""
    fitting = [name for name in chosen if has_pairs or name in _OF_ITEMS]
    named = [name for name, value in chosen.items() if value not in (None, False, [])]
    unfit = sorted(set(named) - set(fitting))
    if unfit or not named:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in fitting)
        got = f"--{unfit[0].replace('_', '-')}, and no pairs" if unfit else "none"
        raise invalid_input(
            expected="at least one filter that fits the data",
            got=got,
            fix=f"name what to leave out by: {options}",
        )


def _filtered(
    preferences: "Preferences", chosen: dict[str, Any], near: float | None
) -> tuple["Preferences", "QualityReport"]:
    """Apply the filters in turn, and add their reports up."""
    first, *others = _filters(chosen, near)
    preferences, total = first(preferences)
    for apply in others:
        preferences, report = apply(preferences)
        total += report
    return preferences, total


def _filters(chosen: dict[str, Any], near: float | None) -> Iterator[Any]:
    """Make the filters that are named, in the order in which they are applied."""
    from embrm import datasets

    probability = chosen["probability"]
    if probability is not None:
        yield lambda p: datasets.filter_label_errors(p, probability)
    for name in chosen["against"] or ():
        others = read_quietly(name)
        yield lambda p, o=others: datasets.filter_shared_prompts(p, o, near)
    if chosen["near_prompts"]:
        yield lambda p: datasets.filter_near_duplicate_prompts(p, near or _EQUAL)
    for name in ("repeats", "contradictions", "ties"):
        if chosen[name]:
            yield getattr(datasets, f"filter_{name}")
    least, most = chosen["min_words"], chosen["max_words"]
    if least is not None or most is not None:
        bounds = (least or 0, _NO_LIMIT if most is None else most)
        yield lambda p: datasets.filter_by_length(p, *bounds)
    if chosen["similar"] is not None:
        yield lambda p: datasets.filter_near_duplicates(p, chosen["similar"])
    if chosen["min_agreement"] is not None:
        yield lambda p: datasets.filter_by_agreement(p, chosen["min_agreement"])


def _rows(kept: "Preferences", unit: Any) -> Any:
    """List all that is kept, as it is written."""
    import numpy as np

    from embrm.datasets.quality import text_table

    n = len(kept) if unit == "pairs" else len(kept.items)
    return _as_written(text_table(kept, unit, np.ones(n, dtype=bool)))


def _as_written(table: Any) -> Any:
    """Name the columns as the format `pairs` does; number rows that are left out."""
    written = table.rename(columns={"first": "chosen", "second": "rejected"})
    if "left_out" in written:
        written["row_number"] = written["source_row"] + 1
    elif "y" in written and (written["y"] == 1).all():
        written = written.drop(columns="y")
    return written.drop(columns="source_row")


def _write(path: Path, table: Any) -> None:
    from embrm.embed.cache.durable import output_text

    with output_text(path) as stream:
        write_json_lines(table, stream)


def _summary(report: "QualityReport") -> Iterator[str]:
    """Write the report, with rows counted from 1 as in the files."""
    from embrm.datasets.diagnosis_words import one_line

    yield (
        f"{report.n_before:,} {report.unit} before, {report.n_after:,} after, "
        f"{report.n_left_out:,} left out"
    )
    for entry in report.left_out:
        rows = ", ".join(f"{int(place) + 1:,}" for place in entry.where)
        more = ", ..." if entry.n > len(entry.where) else ""
        yield f"  {entry.n:,} {one_line(entry.reason, 50)} (rows {rows}{more})"


def _as_json(report: "QualityReport", out: Path, beside: Path) -> dict[str, Any]:
    return {
        "kept": str(out),
        "removed": str(beside),
        "unit": report.unit,
        "n_before": report.n_before,
        "n_after": report.n_after,
        "left_out": [
            {"reason": entry.reason, "n": entry.n} for entry in report.left_out
        ],
    }
