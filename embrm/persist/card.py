"""The card of a model: who made it of what, how good it is, what it is not for.

It is written into the bundle, for readers, from the manifest.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from embrm.embed.base import Fingerprint

_MAX_REASONS = 8
_MAX_WORDS = 200

_USE = """\
Ranking, filtering and best-of-n selection among responses to the same prompt, on
prompts of the kind that it was fitted on. A reward is defined up to a constant: the
difference of two responses to one prompt means something, its sign above all."""

_LOAD = """\
```python
import embrm

model = embrm.load_model("this directory", cache="vectors")
model.rank(frame)  # a DataFrame with columns prompt and response
```

Nothing in this directory can run code when it is loaded, and every file is compared
with its checksum. That shows damage, not tampering: pass the `digest` given in
`manifest.json` as `expect_digest` where it matters."""

_LIMITS = """\
- It knows what the encoder's vectors hold, and no more.
- It repeats the preferences and the errors of the annotators of its data, such as
  a preference for long responses: compare with the length baseline.
- On prompts of another kind, or in another language, measure it again:
  `embrm evaluate`.
- Rewards of different models, or of different prompts, are not comparable.
- Optimised against hard, it will be gamed: keep a measure that it cannot see."""


def write_card(manifest: Mapping[str, Any]) -> str:
    """Write the card of a model in Markdown.

    Parameters
    ----------
    manifest : mapping
        With `created`, `libraries`, `head`, `encoder` and `training`, as
        `save_model` writes them.

    Returns
    -------
    str
        Texts from outside, such as file names, are on one line and without markup.

    Examples
    --------
    >>> card = write_card(
    ...     {
    ...         "created": "2026-11-20",
    ...         "libraries": {"embrm": "0.1.0"},
    ...         "head": {"head": "LinearBradleyTerry", "params": {"alpha": "auto"}},
    ...         "encoder": {
    ...             "fingerprint": {"fields": {}, "dim": 8, "dtype": "float32"}
    ...         },
    ...         "training": {"n_pairs": 9, "metrics": {}},
    ...     }
    ... )
    >>> print(card.splitlines()[0])
    # Reward model: LinearBradleyTerry on encoder (deec65ff)
    """
    fingerprint = Fingerprint.from_json(manifest["encoder"]["fingerprint"])
    head, training = manifest["head"], manifest["training"]
    versions = ", ".join(f"{k} {_line(v)}" for k, v in manifest["libraries"].items())
    sections = {
        "Intended use": _USE,
        "How to load it": _LOAD,
        "Training data": "\n".join(_data(training)),
        "Held-out figures": "\n".join(_figures(training["metrics"])),
        "Encoder": "\n".join(_encoder(fingerprint)),
        "Head": "\n".join([f"`{head['head']}` with", "", *_items(head["params"])]),
        "Limits": _LIMITS,
    }
    title = f"# Reward model: {head['head']} on {_line(fingerprint.describe())}\n\n"
    seconds = manifest.get("fit_seconds")
    took = "" if seconds is None else f" in {seconds:.3g} s"
    made = f"Fitted with {versions}{took}; saved {manifest['created']}.\n"
    return title + made + "".join(f"\n## {k}\n\n{v}\n" for k, v in sections.items())


def _data(training: Mapping[str, Any]) -> Iterator[str]:
    counts = {"pairs": "n_pairs", "items": "n_items", "prompts": "n_prompts"} | {
        "ratings": "n_ratings",
        "good": "n_good",
        "bad": "n_bad",
        "rankings": "n_rankings",
    }
    sizes = [f"{training[v]:,} {k}" for k, v in counts.items() if v in training]
    yield (", ".join(sizes) or "Unknown.") + ("." if sizes else "")
    if "learns_from" in training:
        yield f"The head was fitted on {_line(training['learns_from'])}.\n"
    account = training.get("account")
    if not isinstance(account, Mapping):
        return
    yield (
        f"Read from `{_line(account['source'])}` as `{_line(account['format'])}`: "
        f"{account['n_read']:,} rows, {account['n_kept']:,} kept."
    )
    left_out = account["left_out"][:_MAX_REASONS]
    if left_out:
        yield "\nLeft out:\n"
    yield from (f"- {entry['n']:,}: {_line(entry['reason'])}" for entry in left_out)


def _figures(metrics: Mapping[str, Any]) -> Iterator[str]:
    if not metrics:
        yield "None were measured."
    for name, values in metrics.items():
        if not isinstance(values, Mapping):
            yield f"{_words(name)}: {_line(values)}\n"
            continue
        rows = {k: v for k, v in values.items() if _is_interval(v)}
        others = {k: v for k, v in values.items() if k not in rows and v is not None}
        if "folds" in others:
            folds = others.pop("folds")
            yield (
                f"By {folds}-fold cross-validation, no prompt on both sides; the head "
                "was then fitted on everything.\n"
            )
        else:
            yield f"{_words(name)}:\n"
        if rows:
            yield "| metric | estimate | interval |"
            yield "|---|---:|---|"
            yield from (_row(metric, value) for metric, value in rows.items())
            yield ""
        yield ", ".join(f"{_words(k)} {_line(v)}" for k, v in others.items())


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("estimate"), int | float)


def _row(metric: str, value: Mapping[str, Any]) -> str:
    low, high, level = (value.get(key) for key in ("low", "high", "level"))
    bounds = "unknown"
    if isinstance(low, int | float) and isinstance(high, int | float):
        share = f" ({level:.0%})" if isinstance(level, float) else ""
        bounds = f"{low:.3f} to {high:.3f}{share}"
    return f"| {_words(metric)} | {value['estimate']:.3f} | {bounds} |"


def _encoder(fingerprint: Fingerprint) -> Iterator[str]:
    yield f"{_line(fingerprint.describe())}; fingerprint `{fingerprint.digest}`."
    yield "Vectors of another encoder are refused.\n"
    # The checksums of its files are part of the fingerprint, and in the manifest.
    fields = {k: v for k, v in fingerprint.fields.items() if "sha256" not in k}
    yield from _items({"dim": fingerprint.dim, "dtype": fingerprint.dtype, **fields})


def _items(values: Mapping[str, Any]) -> list[str]:
    return [f"- {_words(name)}: `{_line(value)}`" for name, value in values.items()]


def _words(name: str) -> str:
    return _line(name).replace("_", " ")


def _line(value: Any) -> str:
    """Write a value in one line that Markdown takes as it is."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    words = " ".join(text.split())
    for mark in "`|<>[]*":
        words = words.replace(mark, "")
    return words if len(words) <= _MAX_WORDS else words[:_MAX_WORDS] + " ..."
