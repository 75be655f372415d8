"""What a head should see: style, vectors or both; and which layer of a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.blocks import blocks_of
from embrm.datasets import Preferences
from embrm.embed.causal.encoder import DEFAULT_DEPTH, CausalLMEncoder
from embrm.embed.pooling import Column
from embrm.embed.style import StyleEncoder
from embrm.evaluate.displays import DepthDisplay
from embrm.evaluate.resampling import Interval
from embrm.evaluate.scores import Evaluation
from embrm.heads import LinearBradleyTerry
from embrm.model.training_data import training_data
from embrm.pairs import Pairs
from embrm.report.leaderboard import (
    CrossFit,
    Leaderboard,
    cross_fit,
    evaluate_fit,
    make_leaderboard,
)

STYLE = "style"
"""Name of the block of style features."""

LAYER_POOLINGS = ("mean_response", "last_content", "mean")
"""Poolings that are compared by default."""

_HEAD = "linear"


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


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """Held-out order consistency of one head on several layers and poolings.

    Attributes
    ----------
    board : Leaderboard
        Best first; named "linear on LAYER/POOLING".
    columns : dict of str to (layer, pooling)
        By these names; layer -1 is the last, after the final norm.
    n_layers : int
        Depth of the model.
    """

    board: Leaderboard
    columns: Mapping[str, Column]
    n_layers: int

    @property
    def best(self) -> Column:
        """The layer and pooling with the highest order consistency."""
        return self.columns[self.board.best]

    @property
    def undecided(self) -> list[Column]:
        """Those whose difference to the best is within noise, the best among them."""
        ties = self.board.comparison["ties_with_best"]
        return [self.columns[name] for name in self.board.evaluations if ties[name]]

    @property
    def recommended(self) -> Column:
        """The default where nothing is better by more than noise, else the best."""
        default = Column(_default_layer(self.n_layers), "mean_response")
        return default if default in self.undecided else self.best

    def intervals(self) -> dict[Column, Interval]:
        """Order consistency of each column, with its interval over prompts."""
        return {
            self.columns[name]: evaluation.order_consistency
            for name, evaluation in self.board.evaluations.items()
        }

    def to_display(self) -> DepthDisplay:
        """Draw order consistency by depth, a line for each pooling."""
        baseline = self.board.evaluations[self.board.best].length_baseline
        return DepthDisplay(
            {
                (self.n_layers if layer == -1 else layer, pooling): interval
                for (layer, pooling), interval in self.intervals().items()
            },
            n_layers=self.n_layers,
            baseline=baseline,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict: every column, the best, and the recommended one."""
        return {
            "n_layers": self.n_layers,
            "columns": [
                {"layer": layer, "pooling": pooling, **interval.to_json()}
                for (layer, pooling), interval in self.intervals().items()
            ],
            "best": self.best._asdict(),
            "undecided": [column._asdict() for column in self.undecided],
            "recommended": self.recommended._asdict(),
        }


def layers_to_compare(n_layers: int, parts: int = 6) -> tuple[int, ...]:
    """Choose layers at equal distances, from the tokens' embedding to the last.

    Examples
    --------
    >>> layers_to_compare(30)
    (0, 5, 10, 15, 20, 25, -1)
    """
    chosen = np.unique(np.round(np.linspace(0, n_layers, parts + 1)).astype(int))
    return (*map(int, chosen[:-1]), -1)


def compare_layers(
    preferences: Preferences,
    vectors: FloatArray,
    encoder: CausalLMEncoder,
    *,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> LayerComparison:
    """Fit a linear head on each column of an encoder, and evaluate it held out.

    Parameters
    ----------
    preferences : Preferences
    vectors : ndarray of shape (n_items, d)
        Of the encoder, for `preferences.texts`.
    encoder : CausalLMEncoder
        With the layers and poolings to compare.
    n_splits, random_state, after_fit
        As in `cross_fit`; folds are by prompt and the same for all columns.

    Returns
    -------
    LayerComparison
    """
    from embrm.heads import make_head

    names = {f"{column.layer}/{column.pooling}": column for column in encoder.columns}
    pairs = {
        name: preferences.to_pairs(np.ascontiguousarray(vectors[:, part]))
        for name, part in zip(names, encoder.column_slices.values(), strict=True)
    }
    board = make_leaderboard(
        preferences,
        pairs,
        {_HEAD: make_head(_HEAD)},
        n_splits=n_splits,
        random_state=random_state,
        after_fit=after_fit,
    )
    columns = {f"{_HEAD} on {name}": column for name, column in names.items()}
    return LayerComparison(board, columns, encoder.n_layers)


def _default_layer(n_layers: int) -> int:
    layer = max(round(DEFAULT_DEPTH * n_layers), 1)
    return -1 if layer == n_layers else layer
