"""Which layer and pooling of a language model hold what preferences are about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.embed.causal.encoder import DEFAULT_DEPTH, CausalLMEncoder
from embrm.embed.pooling import Column
from embrm.evaluate.displays import DepthDisplay
from embrm.evaluate.resampling import Interval
from embrm.report.leaderboard import Leaderboard, make_leaderboard

LAYER_POOLINGS = ("mean_response", "last_content", "mean")
"""Poolings that are compared by default."""

_HEAD = "linear"


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
