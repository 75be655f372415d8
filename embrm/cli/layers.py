"""`embrm layers`: compare the layers of a language model on one's own data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from embrm.cli.embed import Prefs, say_how_long
from embrm.cli.inputs import open_encoder, read_and_say
from embrm.cli.options import (
    DEFAULT_ENCODER,
    CacheDir,
    EncoderName,
    Reading,
    Seed,
    as_command,
)
from embrm.cli.output import emit, print_table, say, table, wants_json, write_picture
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    from embrm.embed.causal import CausalLMEncoder
    from embrm.report.style import LayerComparison

_FOLDS = 5

Layers = Annotated[
    str | None,
    Option(
        help="Layers to compare, as 5,10,15 or 0.33,0.67; seven over the whole depth "
        "by default."
    ),
]
Poolings = Annotated[
    str | None,
    Option(help="Poolings to compare; mean_response,last_content,mean by default."),
]
Prompts = Annotated[int, Option(min=10, help="Prompts to compare on, drawn at random.")]
Picture = Annotated[
    Path | None, Option(help="Where to draw the picture (.png, .svg or .pdf).")
]


@as_command
def layers(
    *,
    prefs: Prefs,
    encoder: EncoderName = DEFAULT_ENCODER,
    layers: Layers = None,
    poolings: Poolings = None,
    prompts: Prompts = 300,
    out: Picture = None,
    cache: CacheDir = None,
    reading: Reading,
    seed: Seed = 0,
) -> None:
    """Compare layers and poolings of a causal language model on a sample of a file.

    One pass computes all of them. A linear head is fitted on each, in the same folds
    by prompt; the recommendation is the default unless another is better by more than
    noise.
    """
    from embrm.datasets.paired import read_pairs
    from embrm.embed.run import embed_items

    options = reading.options()
    opened = _open_columns(encoder, layers, poolings)
    preferences = read_and_say(prefs, **options)
    sample = read_pairs(preferences).sample_prompts(prompts, random_state=seed)
    say(
        f"{len(sample)} pairs of {sample.items['prompt_id'].nunique()} prompts, "
        f"{len(opened.columns)} settings of {opened.n_layers} layers"
    )
    say_how_long(sample.texts, opened, cache)
    embedded = embed_items(sample.texts, opened, cache)
    say(str(embedded))
    compared = _compare(sample, embedded.vectors, opened, seed)
    _print(compared, encoder, prefs)
    if out is not None:
        write_picture(compared.to_display().plot().figure_, out, 160)
        say(f"picture: {out}")
    emit({**compared.to_json(), "embedded": embedded.to_json()})


def _open_columns(
    name: str, layers: str | None, poolings: str | None
) -> "CausalLMEncoder":
    """Open a causal encoder with the columns to compare."""
    from embrm.embed.causal import CausalLMEncoder
    from embrm.report.style import LAYER_POOLINGS, layers_to_compare

    opened = open_encoder(name)
    if not isinstance(opened, CausalLMEncoder):
        raise invalid_input(
            expected="a causal language model, whose layers can be compared",
            got=repr(name)[:60],
            fix="use --encoder smollm2, or causal:MODEL",
        )
    several = opened.with_options(
        layer=_numbers(layers) if layers else layers_to_compare(opened.n_layers),
        pooling=tuple(poolings.split(",")) if poolings else LAYER_POOLINGS,
    )
    # A layer that the model lacks is an error before anything is read.
    _ = several.fingerprint
    return several


def _numbers(words: str) -> tuple[int | float, ...]:
    try:
        return tuple(float(n) if "." in n else int(n) for n in words.split(","))
    except ValueError as error:
        raise invalid_input(
            expected="--layers such as 5,10,15 or 0.33,0.67",
            got=repr(words)[:40],
            fix="write numbers with commas between them",
        ) from error


def _compare(
    sample: Any, vectors: Any, opened: "CausalLMEncoder", seed: int
) -> "LayerComparison":
    from embrm.embed.progress import progress_bar
    from embrm.report.style import compare_layers

    total = _FOLDS * len(opened.columns)
    with progress_bar("Fitting heads", total=total) as advance:
        return compare_layers(
            sample,
            vectors,
            opened,
            n_splits=_FOLDS,
            random_state=seed,
            after_fit=advance,
        )


def _print(compared: "LayerComparison", encoder: str, prefs: str) -> None:
    """Print the table, what it means, and the command that follows."""
    from embrm.embed.registry import causal_name

    undecided = compared.undecided
    intervals = compared.intervals()
    if not wants_json():
        rows = [
            [
                "last" if layer == -1 else str(layer),
                pooling,
                str(interval),
                "=" if (layer, pooling) in undecided else "",
            ]
            for (layer, pooling), interval in intervals.items()
        ]
        headings = {"layer": "right", "pooling": "left"}
        headings |= {"order consistency [95%]": "left", "": "left"}
        print_table(table(headings, rows))
        baseline = compared.board.evaluations[compared.board.best].length_baseline
        say(f"length alone: {baseline}")
    n_noise = len(undecided)
    if n_noise > 1:
        say(
            f"{n_noise} of {len(intervals)} settings (=) cannot be told from the best "
            "on these prompts: differences among them are noise. More --prompts would "
            "tell more."
        )
    layer, pooling = compared.recommended
    model = encoder.partition("@")[0].removeprefix("causal:")
    name = causal_name(model, [compared.recommended])
    where = "the last layer" if layer == -1 else f"layer {layer} of {compared.n_layers}"
    why = "the default" if compared.recommended != compared.best else "the best here"
    say(f"recommended: {where}, {pooling} ({why})")
    say(f"  embrm fit {prefs} --encoder {name} --out model")
