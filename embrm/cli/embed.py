"""`embrm embed`: put the vectors of a preference file into a cache."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option
from typer.core import TyperCommand

from embrm.cli.inputs import open_encoder, read_and_say
from embrm.cli.options import DEFAULT_ENCODER, EncoderName, Reading, as_command
from embrm.cli.output import emit, say
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    from embrm._typing import Text
    from embrm.embed.base import Encoder
    from embrm.embed.run import EmbeddingReport

ANY_CLUSTER = "auto"
# Seconds of embedding from which a faster way is printed.
_LONG = 600.0
_ADDRESS = re.compile(r"auto|local|(ray://)?[\w.\-\[\]:]+:\d+")

Prefs = Annotated[
    str, Argument(help="JSONL, JSON, CSV or Parquet file, hf:owner/name, or -.")
]
NeededCache = Annotated[
    str, Option(help="Directory, or URI such as s3://..., where vectors are kept.")
]
Ray = Annotated[
    str | None,
    Option(
        metavar="[ADDRESS]",
        help="Embed on a Ray cluster: at HOST:PORT, on one of this machine (local), "
        "or, without an address, on the one that is running here or else a local one.",
    ),
]
Actors = Annotated[
    int | None,
    Option(
        min=1,
        help="With --ray, at most so many actors; one per GPU, or per CPU but one, "
        "by default.",
    ),
]
Shards = Annotated[
    str | None,
    Option(
        metavar="I/N",
        help="Embed only the I-th of N parts, I from 1 to N, as one of N jobs that "
        "read the same file.",
    ),
]


class EmbedCommand(TyperCommand):
    """A command whose option --ray may have no value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, with an address after every --ray."""
        return super().parse_args(ctx, with_address(args))


def with_address(args: Sequence[str]) -> list[str]:
    """Put `auto` after a --ray that is not followed by an address.

    Examples
    --------
    >>> with_address(["--ray", "prefs.jsonl"])
    ['--ray', 'auto', 'prefs.jsonl']
    >>> with_address(["--ray", "10.0.0.1:6379"])
    ['--ray', '10.0.0.1:6379']
    """
    completed: list[str] = []
    for at, arg in enumerate(args):
        completed.append(arg)
        after = args[at + 1] if at + 1 < len(args) else ""
        if arg == "--ray" and not _ADDRESS.fullmatch(after):
            completed.append(ANY_CLUSTER)
    return completed


@as_command
def embed(
    *,
    prefs: Prefs,
    cache: NeededCache,
    encoder: EncoderName = DEFAULT_ENCODER,
    reading: Reading,
    ray: Ray = None,
    actors: Actors = None,
    shards: Shards = None,
) -> None:
    """Embed every prompt-response of a file and keep the vectors.

    With --ray or --shards no more than a shard's vectors are held in memory. When all
    N jobs of --shards are done, the same command without it finds everything.
    """
    from embrm.embed.scale.shards import parse_part

    _check_scale(ray, actors, shards)
    part = parse_part(shards) if shards is not None else None
    options = reading.options()
    opened = open_encoder(encoder)
    preferences = read_and_say(prefs, **options)
    texts = preferences.texts
    say(f"encoder: {opened.fingerprint.describe()}")
    if ray is None and part is None:
        command = f"embrm embed {prefs} --cache {cache}"
        say_how_long(texts, opened, cache, command=command)
    if ray is not None:
        embedded = _on_ray(texts, opened, cache, ray, actors)
    else:
        embedded = _here(texts, opened, cache, part)
    say(str(embedded))
    emit(
        {
            "account": preferences.read_report.to_json(),
            "encoder": opened.fingerprint.to_json(),
            "embedded": embedded.to_json(),
        }
    )


def say_how_long(
    texts: "list[Text]", encoder: "Encoder", cache: Any, *, command: str | None = None
) -> None:
    """Print how long embedding will take, before it starts.

    Parameters
    ----------
    texts : list of (prompt, response)
    encoder : Encoder
    cache : VectorCache, path or None
    command : str, optional
        Printed with a faster encoder beside a long time.
    """
    from embrm.embed.estimate import estimate_embedding

    estimate = estimate_embedding(texts, encoder, cache)
    if estimate is None:
        return
    say(f"   {estimate}")
    is_small = encoder.fingerprint.fields["kind"] != "causal-lm"
    if estimate.seconds >= _LONG and command is not None and not is_small:
        faster = f"{command} --encoder minilm"
        say(f"   10 to 20 times faster, less often right: {faster}")


def _check_scale(ray: str | None, actors: int | None, shards: str | None) -> None:
    """Refuse options that contradict each other."""
    if ray is not None and shards is not None:
        got, fix = "both", "leave one out: Ray shares the work out by itself"
    elif ray is None and actors is not None:
        got, fix = "--actors alone", "add --ray"
    else:
        return
    raise invalid_input(
        expected="--ray (perhaps with --actors), or --shards", got=got, fix=fix
    )


def _on_ray(
    texts: "list[Text]", encoder: "Encoder", cache: str, ray: str, actors: int | None
) -> "EmbeddingReport":
    from embrm.embed.scale.ray_run import embed_on_ray

    address = None if ray == ANY_CLUSTER else ray
    return embed_on_ray(texts, encoder, cache, address=address, max_actors=actors)


def _here(
    texts: "list[Text]", encoder: "Encoder", cache: str, part: tuple[int, int] | None
) -> "EmbeddingReport":
    from embrm.embed.run import embed_items
    from embrm.embed.scale.shard_run import embed_part

    if part is None:
        return embed_items(texts, encoder, cache)
    return embed_part(texts, encoder, cache, part=part)
