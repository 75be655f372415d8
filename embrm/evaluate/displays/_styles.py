"""Styles of plots: lines distinct without colour, and legible at half width."""

from typing import Any

from embrm._optional import import_optional
from embrm._typing import AnyArray, FloatArray

# From dark to light, so that a copy in grey keeps the order; safe for colour-blind
# readers (Okabe and Ito 2008, Color Universal Design).
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
_MARKERS = "osD^vP"


ORDER_CONSISTENCY = "order consistency with gold\n(share of pairs)"


def line_look(position: int) -> dict[str, Any]:
    """Choose colour, line style and marker of the line at a position of the legend."""
    place = position % len(_LINES)
    return {
        "color": _COLOURS[place],
        "linestyle": _LINES[place],
        "marker": _MARKERS[place],
        "markersize": 5,
    }


def draw_band(
    ax: Any,
    x: AnyArray,
    mean: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    *,
    position: int,
    label: str,
    markevery: int = 1,
) -> None:
    """Draw a line with its interval as a band of the same colour."""
    look = line_look(position)
    ax.plot(x, mean, label=label, markevery=markevery, **look)
    ax.fill_between(x, *bounds, color=look["color"], alpha=0.15, lw=0)


def axes_or_new(ax: Any, size: tuple[float, float] = (6.4, 4.2)) -> Any:
    """Return the axes that are given, or those of a new figure of so many inches."""
    if ax is not None:
        return ax
    plt = import_optional("matplotlib.pyplot", extra="plot")
    return plt.subplots(figsize=size, layout="constrained")[1]


def finish(ax: Any, note: str | None = None) -> None:
    """Draw a light grid, remove the frame and put the legend above the axes.

    Axes narrower than half a page get smaller letters, and the legend as many columns
    as there is room for.
    """
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    width = ax.get_position().width * ax.figure.get_figwidth()
    points = 10.0 if width > _NARROW else 8.0
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(points)
        axis.set_tick_params(labelsize=points)
    longest = max(len(name) for name in ax.get_legend_handles_labels()[1])
    column = (_LETTER * longest + _HANDLE + _GAPS) * points / _POINTS_PER_INCH
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(3, int(width / column))),
        frameon=False,
        handlelength=_HANDLE,
        columnspacing=1,
        borderaxespad=0.2,
        fontsize=points,
        title=note,
        title_fontsize=points - 1,
        alignment="left",
    )


# Inches of an axes' width under which the picture is a narrow one.
_NARROW = 3.5
_POINTS_PER_INCH = 72
# Widths in the legend, in font sizes: a letter, the line drawn, what is between them.
_LETTER, _HANDLE, _GAPS = 0.55, 3.0, 2.0
