"""How cells and metrics are named in the findings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_RECOVERY = "_recovery"


def recovery_of(frame: "pd.DataFrame") -> str:
    """Find the column of the recovery of the largest choice that was computed.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"best_of_2_recovery": 0.5, "best_of_8_recovery": 0.4}
    >>> recovery_of(pd.DataFrame([{**row, "best_of_16_recovery": float("nan")}]))
    'best_of_8_recovery'
    """
    computed = [str(name) for name in frame if str(name).endswith(_RECOVERY)]
    known = [name for name in computed if frame[name].notna().any()]
    return max(known or computed, key=_size_of_choice)


def difference_words(column: str) -> str:
    """Name the recovery of a column.

    Examples
    --------
    >>> difference_words("best_of_16_recovery")
    'recovery of the best of 16'
    """
    return f"recovery of the best of {_size_of_choice(column)}"


def cells_of(differences: "pd.DataFrame") -> str:
    """Say which cells a contrast stands on.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = {"noise": [0.05, 0.25], "budget": 1000, "seed": [0, 1]}
    >>> cells_of(pd.DataFrame(cells | {"head": "linear"}))
    '2 paired cells: noise 5%, 25%; budgets 1,000; heads linear; 2 seeds'
    """
    parts = [
        _levels("noise", (f"{rate:.0%}" for rate in _sorted(differences, "noise")))
    ]
    if "budget" in differences:
        parts.append(
            _levels("budgets", (f"{n:,}" for n in _sorted(differences, "budget")))
        )
    if "head" in differences:
        parts.append(_levels("heads", map(str, differences["head"].unique())))
    n_seeds = differences["seed"].nunique()
    seeds = f"{n_seeds} seed{'' if n_seeds == 1 else 's'}"
    return f"{len(differences):,} paired cells: {'; '.join(parts)}; {seeds}"


def _levels(word: str, levels: Iterable[str]) -> str:
    return f"{word} {', '.join(levels)}"


def _sorted(frame: "pd.DataFrame", column: str) -> list[float]:
    return sorted(frame[column].unique())


def _size_of_choice(column: object) -> int:
    return int(str(column).removesuffix(_RECOVERY).rpartition("_")[2])
