"""`embrm rank-items`: a leaderboard of named items from a log of their games."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from typer import Argument, Option

from embrm.cli.options import Columns, OnError, as_command, column_map
from embrm.cli.output import emit, json_rows, print_table, say, table, write_picture
from embrm.cli.score import check_ending, write_rows

if TYPE_CHECKING:
    import pandas as pd

    from embrm.datasets.game_log import GameLog
    from embrm.heads import ItemBradleyTerry

_MOST_NAMES, _MOST_DRAWN = 3, 60
_RESOLUTION = 150

Log = Annotated[
    str,
    Argument(
        help="JSONL, JSON, CSV or Parquet file, or -: columns model_a, model_b and "
        "winner (model_a, model_b, tie, tie (bothbad)), or item, opponent and result."
    ),
]
BoardOut = Annotated[
    Path | None,
    Option(help="Write the leaderboard to a .jsonl, .csv or .parquet file, too."),
]
Plot = Annotated[Path | None, Option(help="Draw it, e.g. to board.png.")]
Ties = Annotated[
    str,
    Option(
        help="half: a tie is half a win and half a loss; rao-kupper or davidson: ties "
        "have a parameter of their own."
    ),
]
Alpha = Annotated[
    float,
    Option(
        min=0.0,
        help="Penalty; scores have a prior standard deviation of 1 / sqrt(alpha) nats.",
    ),
]
Level = Annotated[float, Option(help="Level of the intervals, between 0 and 1.")]


@as_command
def rank_items(
    log: Log,
    out: BoardOut = None,
    plot: Plot = None,
    ties: Ties = "half",
    alpha: Alpha = 0.0,
    level: Level = 0.95,
    column: Columns = None,
    on_error: OnError = "skip-uninformative",
) -> None:
    """Rank items by their wins, losses and ties, with intervals; no text is needed.

    The score is that of Bradley and Terry in nats, with mean 0.
    """
    from embrm.datasets.game_log import read_game_log
    from embrm.heads import ItemBradleyTerry

    check_ending(out)
    check_ending(plot, "--plot", (".png", ".svg", ".pdf"))
    options: Any = {"columns": column_map(column), "on_error": on_error}
    games = read_game_log(log, **options)
    say(str(games.read_report))
    kind: Any = ties
    board = ItemBradleyTerry(alpha, ties=kind).fit(*games.arguments())
    frame = board.to_frame(level).reset_index()
    connectivity = _connectivity(board)
    say(_summary(games, board, connectivity))
    print_table(_table(frame, level))
    if out is not None:
        write_rows(frame, out)
        say(f"leaderboard written to {out}")
    if plot is not None:
        _draw(frame, level, plot)
        say(f"picture written to {plot}")
    tie = board.tie_parameter_
    emit(
        {
            "account": games.read_report.to_json(),
            "n_games": len(games),
            "n_ties": games.n_ties,
            "n_both_bad": games.n_both_bad,
            "alpha": board.alpha_,
            "tie_parameter": tie if np.isfinite(tie) else None,
            "level": level,
            "connectivity": connectivity,
            "items": list(json_rows(frame)),
        }
    )


def _connectivity(board: "ItemBradleyTerry") -> dict[str, Any]:
    """Say how far games connect the items, ready for JSON."""
    islands = [
        board.items_[board.islands_ == number].tolist()
        for number in np.unique(board.islands_)
    ]
    return {
        "connected": len(islands) == 1,
        "determined": len(np.unique(board.components_)) == 1,
        "n_components": len(np.unique(board.components_)),
        "islands": sorted(islands, key=len, reverse=True),
    }


def _summary(games: "GameLog", board: "ItemBradleyTerry", graph: dict[str, Any]) -> str:
    n_ties, n_both_bad = games.n_ties, games.n_both_bad
    bad = f", {n_both_bad} of them with both bad" if n_both_bad else ""
    counts = (
        f"{len(games)} games between {len(board.items_)} items, {n_ties} of them "
        f"ties ({n_ties / len(games):.1%}){bad}."
    )
    if graph["determined"]:
        return f"{counts}\nConnected: every item can be reached from every other.\n"
    if graph["connected"]:
        return (
            f"{counts}\nConnected, but in {graph['n_components']} parts that won or "
            "lost every game against the rest:\nhow far they are apart is set by the "
            f"penalty (alpha = {board.alpha_:g}).\n"
        )
    from embrm.heads.unpaired.item_bradley_terry import named_together

    shown = "; ".join(map(named_together, graph["islands"][:_MOST_NAMES]))
    more = "; ..." if len(graph["islands"]) > _MOST_NAMES else ""
    return (
        f"{counts}\nNot connected: {len(graph['islands'])} sets of items never met: "
        f"{shown}{more}.\nScores of different sets cannot be compared.\n"
    )


def _table(frame: "pd.DataFrame", level: float) -> Any:
    headings: dict[str, Literal["left", "right"]] = {
        "rank": "right",
        "item": "left",
        "score": "right",
        f"{level:.0%} interval": "left",
        "ranks": "right",
        "games": "right",
    }
    rows = [
        [
            str(row["rank"]),
            str(row["item"])[:60],
            f"{row['score']:+.3f}",
            f"[{row['lower']:+.3f}, {row['upper']:+.3f}]",
            f"{row['best']}-{row['worst']}",
            f"{row['n_games']:g}",
        ]
        for _, row in frame.iterrows()
    ]
    return table(dict(headings), rows)


def _draw(frame: "pd.DataFrame", level: float, plot: Path) -> None:
    """Draw the best items with their intervals, up to sixty."""
    from embrm._optional import import_optional
    from embrm.evaluate.displays import LeaderboardDisplay

    best = frame.head(_MOST_DRAWN)
    display = LeaderboardDisplay(
        [str(name)[:40] for name in best["item"]],
        *(best[name].to_numpy(np.float64) for name in ("score", "lower", "upper")),
        ties_with_best=(best["best"] == 1).to_numpy(),
        level=level,
        label="score (nats)",
    )
    figure_type = import_optional("matplotlib.figure", extra="plot").Figure
    size = (6.4, 1.4 + 0.3 * len(best))
    figure = figure_type(figsize=size, layout="constrained")
    display.plot(ax=figure.subplots())
    write_picture(figure, plot, _RESOLUTION)
