"""What style would buy: style alone, vectors, and both, held out by prompt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm.blocks import blocks_of
from embrm.datasets import Preferences
from embrm.embed.style import StyleEncoder
from embrm.evaluate.scores import Evaluation
from embrm.heads import LinearBradleyTerry
from embrm.model.training_data import training_data
from embrm.pairs import Pairs
from embrm.report.leaderboard import CrossFit, cross_fit, evaluate_fit

STYLE = "style"
"""Name of the block of style features."""


@dataclass(frozen=True)
class StyleLines:
    """Held-out evaluations of the same pairs, by what the head saw.

    Attributes
    ----------
    evaluations : mapping of str to Evaluation
        Of `style alone`, `vectors` and `vectors + style`.
    """

    evaluations: Mapping[str, Evaluation]

    def to_json(self) -> dict[str, Any]:
        """Return the order consistency of each line, as `json.dumps` takes it."""
        lines = {name: each.to_json() for name, each in self.evaluations.items()}
        return {name: line["order_consistency"] for name, line in lines.items()}

    def __str__(self) -> str:
        return style_table(self.evaluations)


def style_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Write the order consistency of each evaluation in a line of its own."""
    return "\n".join(
        f"{name:<16} {each.order_consistency}" for name, each in evaluations.items()
    )


def compare_with_style(
    head: Any,
    preferences: Preferences,
    pairs: Pairs,
    *,
    fitted: CrossFit | None = None,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> StyleLines:
    """Cross-fit a head on style features, on vectors, and on both as blocks.

    Style alone is a linear head where the head learns from pairs, so that its line is
    the same beside every head.

    Parameters
    ----------
    head : head
        Cloned.
    preferences : Preferences
    pairs : Pairs
        Of these preferences; a block named "style" is taken for it.
    fitted : CrossFit, optional
        Of the head on `pairs`, in the same folds, to spare its fits.
    n_splits, random_state, after_fit
        As for `cross_fit`.

    Returns
    -------
    StyleLines
    """
    style = StyleEncoder().encode(preferences.texts)
    vectors, blocks = pairs.items, pairs.blocks or {}
    has_style = STYLE in blocks and len(blocks) > 1
    if has_style:
        part = blocks[STYLE]
        vectors = np.delete(pairs.items, np.arange(part.start, part.stop), axis=1)
        names = [name for name in blocks if name != STYLE]
    else:
        names = [name for name in blocks if name != STYLE] or ["vectors"]
    widths = [blocks[n].stop - blocks[n].start for n in names if n in blocks]
    widths = widths or [vectors.shape[1]]
    both = np.hstack([vectors, style.astype(vectors.dtype, copy=False)])
    joint = blocks_of([*names, STYLE], [*widths, style.shape[1]])
    items = {
        "style alone": Pairs(style, pairs.ids, pairs.prompt_ids),
        "vectors": Pairs(
            vectors,
            pairs.ids,
            pairs.prompt_ids,
            blocks_of(names, widths) if len(names) > 1 else None,
        ),
        "vectors + style": Pairs(both, pairs.ids, pairs.prompt_ids, joint),
    }
    own = "vectors + style" if has_style else "vectors"
    learns = getattr(head, "learns_from", "pairs")
    evaluations = {}
    for name, of in items.items():
        used = head
        if name == "style alone" and learns == "pairs":
            used = LinearBradleyTerry(posterior=False)
        fit = fitted if name == own and fitted is not None else None
        if fit is None:
            fit = cross_fit(
                used,
                of,
                preferences.y,
                data=training_data(used, preferences),
                n_splits=n_splits,
                random_state=random_state,
                after_fit=after_fit,
            )
        evaluations[name] = evaluate_fit(fit, preferences, pairs)
    return StyleLines(evaluations)
