"""`embrm fit`: from a preference file to a saved reward model."""

from math import isnan
from pathlib import Path
from typing import Annotated, Any

from typer import Option
from typer.core import TyperCommand, TyperOption

from embrm.cli.embed import Prefs, say_how_long
from embrm.cli.inputs import open_encoder, read_and_say
from embrm.cli.options import (
    DEFAULT_ENCODER,
    CacheDir,
    EncoderName,
    Reading,
    ReportOut,
    Seed,
    as_command,
    head_params,
)
from embrm.cli.output import emit, say
from embrm.exceptions import IntegrityError, invalid_input

_MOST_NAMES = 10
"""Annotators that are listed."""

Out = Annotated[Path, Option(help="Directory of the saved model.")]
HeadName = Annotated[str, Option("--head")]
"""Name of a head; its help is written by `HeadCommand`."""
HeadParams = Annotated[
    list[str] | None,
    Option(help="Parameter of the head, e.g. noise=estimate; may be repeated."),
]


class HeadOption(TyperOption):
    """An option whose help names the heads that the registry knows."""

    def _names(self) -> str:
        """List the names; only who reads it imports the heads, which takes a second."""
        from embrm.heads import describe_heads

        return f"{describe_heads()}."

    def _keep_names(self, text: str) -> None:
        """Ignore the declared help: the registry has the current one."""

    help = property(_names, _keep_names)


class HeadCommand(TyperCommand):
    """A command with a --head whose help comes from the registry."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            if parameter.name == "head":
                parameter.__class__ = HeadOption


Folds = Annotated[
    int, Option(min=0, help="Folds of the held-out estimate, by prompt; 0 for none.")
]

GroupNear = Annotated[
    bool,
    Option(
        help="Treat near-duplicate prompts as one where prompts are held out, and in "
        "the leak check of embrm evaluate."
    ),
]
TestFile = Annotated[
    str | None,
    Option(help="Preference file of other prompts, to evaluate the fitted model on."),
]


@as_command
def fit(
    *,
    prefs: Prefs,
    out: Out,
    head: HeadName = "linear",
    param: HeadParams = None,
    encoder: EncoderName = DEFAULT_ENCODER,
    cache: CacheDir = None,
    cv: Folds = 5,
    group_near_duplicates: GroupNear = False,
    test: TestFile = None,
    report: ReportOut = None,
    reading: Reading,
    seed: Seed = 0,
) -> None:
    """Fit a head on a whole file, with a cross-validated estimate.

    A head that the file cannot feed is refused before anything is embedded.
    """
    from embrm.heads import make_head
    from embrm.model import RewardModel
    from embrm.model.training_data import training_data
    from embrm.persist import check_destination, read_manifest, save_model

    # What can go wrong is found before hours are spent on vectors.
    _check_folds(cv)
    _check_report(report, test, cv)
    options = reading.options()
    made = make_head(head, **{"random_state": seed, **head_params(param)})
    check_destination(out)
    _say_replaced(out)
    opened = open_encoder(encoder)
    naming = {name: options[name] for name in ("columns", "prompt_template")}
    model = RewardModel(opened, made, cache, **naming)
    preferences = model.read(read_and_say(prefs, **options))
    data = training_data(made, preferences)
    say(f"encoder: {opened.fingerprint.describe()}")
    command = f"embrm fit {prefs} --out {out} --head {head}"
    say_how_long(preferences.texts, opened, cache, command=command)
    embedded = model.embed(preferences.texts)
    say(str(embedded))
    near = {"group_near_duplicates": group_near_duplicates}
    pairs = model.to_pairs(preferences, embedded.vectors, **near)
    if group_near_duplicates:
        say(_how_grouped(preferences, pairs))
    held_out, predicted = _cross_validate(made, data, preferences, pairs, cv, seed)
    _say_equal(preferences, pairs, embedded)
    model.fit_pairs(preferences, pairs, **near)
    flip_rates = _flip_rates(model.head_)
    if flip_rates:
        say(f"share of labels flipped, by estimate: {_most(flip_rates)}")
    tested = _test(model, test, options)
    held_out |= {} if tested is None else {"test": tested.evaluation.to_json()}
    save_model(model, out, metrics=held_out)
    if report is not None:
        told = tested or _held_out_report(preferences, predicted, embedded, head)
        told.to_html(report)
        say(f"report: {report}")
    say(
        f"{head} head fitted on {len(data)} {data.learns_from} of "
        f"{model.training_['n_prompts']} prompts, saved to {out}"
    )
    emit(
        {
            "model": str(out),
            "head": head,
            "digest": read_manifest(out)["digest"],
            "encoder": model.fingerprint_.to_json(),
            "training": model.training_,
            "embedded": embedded.to_json(),
            **({"flip_rates": flip_rates} if flip_rates else {}),
            **held_out,
        }
    )


def _how_grouped(preferences: Any, pairs: Any) -> str:
    n_prompts = preferences.items["prompt_id"].nunique()
    return (
        f"{n_prompts:,} prompts, {len(set(pairs.prompt_ids)):,} with near-duplicates "
        "as one"
    )


def _say_replaced(out: Path) -> None:
    """Say, while it can still be stopped, which model this one will replace."""
    from embrm.persist import read_manifest

    try:
        old = read_manifest(out)
    except IntegrityError:
        return
    say(
        f"{out} holds a model, which this one will replace: head "
        f"{old['head']['head']}, saved {old['created']}"
    )


def _check_folds(cv: int) -> None:
    if cv == 1:
        raise invalid_input(
            expected="--cv 0, or 2 and more",
            got="1",
            fix="use --cv 5, or --cv 0 for no estimate",
        )


def _check_report(report: Path | None, test: str | None, cv: int) -> None:
    if report is not None and test is None and not cv:
        raise invalid_input(
            expected="--test FILE, or --cv 2 and more, for a report",
            got="--cv 0",
            fix="name a test file, or leave --cv at 5",
        )


def _test(model: Any, test: str | None, options: dict[str, Any]) -> Any:
    """Evaluate the fitted model on the test file's pairs of prompts new to it."""
    if test is None:
        return None
    from embrm.datasets.paired import read_pairs
    from embrm.report import report_of_model

    preferences = read_pairs(read_and_say(test, **options))
    seen = model.seen_pairs(preferences)
    n_seen = int(seen.sum())
    if 0 < n_seen < len(seen):
        say(f"{n_seen} of {len(seen)} test pairs left out: fitted on their prompts.")
        preferences, n_seen = preferences.take_pairs(~seen), 0
    told = report_of_model(model, preferences, n_seen=n_seen)
    say(f"\nTest, {test}:\n{told.evaluation}\n")
    return told


def _held_out_report(preferences: Any, predicted: Any, embedded: Any, head: str) -> Any:
    from embrm.report import evaluation_report

    if predicted is None or not predicted.held_out.any():
        raise invalid_input(
            expected="pairs that can be held out by prompt, for a report",
            got="none",
            fix="name a test file: --test FILE",
        )
    return evaluation_report(
        preferences.take_pairs(predicted.held_out),
        predicted.delta[predicted.held_out],
        predicted.reward,
        name=f"the {head} head, held out by prompt,",
        embedded=embedded,
    )


def _flip_rates(head: Any) -> dict[str, float]:
    """Name annotators with their estimated flip rates, the highest first."""
    names, rates = getattr(head, "annotators_", ()), getattr(head, "flip_rates_", ())
    known = {
        str(name): float(rate)
        for name, rate in zip(names, rates, strict=True)
        if not isnan(rate)
    }
    return dict(sorted(known.items(), key=lambda pair: -pair[1]))


def _most(flip_rates: dict[str, float]) -> str:
    shown = [f"{name} {rate:.0%}" for name, rate in flip_rates.items()][:_MOST_NAMES]
    rest = len(flip_rates) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _say_equal(preferences: Any, pairs: Any, embedded: Any) -> None:
    """Say that pairs of equal vectors are not evaluated, and why they may be equal."""
    from embrm.model.items import equal_vectors

    equal = equal_vectors(pairs)
    if equal.any():
        n_cut = embedded.n_truncated + embedded.n_response_truncated
        cut = f" ({n_cut} texts were cut)" if n_cut else ""
        rows = preferences.pairs["source_row"].to_numpy()[equal][:5] + 1
        say(
            f"{int(equal.sum())} of {len(equal)} pairs are in no figure: their two "
            "responses have the same vector, as what differs lies beyond the encoder's "
            f"limit of tokens{cut} or in what it does not see; rows "
            f"{', '.join(map(str, rows))}{', ...' if equal.sum() > len(rows) else ''}"
        )


def _cross_validate(
    head: Any, data: Any, preferences: Any, pairs: Any, cv: int, seed: int
) -> tuple[dict[str, Any], Any]:
    """Evaluate held-out predictions; return the figures and the predictions."""
    from embrm.embed.progress import progress_bar
    from embrm.evaluate.inputs import group_codes
    from embrm.report import compare_with_style, cross_fit, evaluate_fit

    _, n_prompts = group_codes(pairs.groups)
    folds = min(cv, n_prompts)
    if folds < 2:
        if cv:
            why = "one prompt only" if folds else "no pair to order"
            say(f"{why}: nothing can be held out")
        return {}, None
    with progress_bar("Cross-validating", total=3 * folds) as advance:
        fitted = cross_fit(
            head,
            pairs,
            preferences.y,
            data=data,
            n_splits=folds,
            random_state=seed,
            after_fit=advance,
        )
        lines = compare_with_style(
            head,
            preferences,
            pairs,
            fitted=fitted,
            n_splits=folds,
            random_state=seed,
            after_fit=advance,
        )
    evaluation = evaluate_fit(fitted, preferences, pairs)
    say(f"\nHeld out, {folds}-fold cross-validation by prompt:")
    say(f"{evaluation}\n")
    say("Order consistency by what the head sees (style: length, lists, markup):")
    say(f"{lines}\n")
    figures = {"folds": folds, **evaluation.to_json(), "style": lines.to_json()}
    return {"held_out": figures}, fitted
