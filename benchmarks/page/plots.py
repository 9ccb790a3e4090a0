"""Plots in one style, as SVG files that are the same byte for byte whenever the figures are the same."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_STYLE: Final[dict[str, Any]] = {
    "svg.hashsalt": "pgrecall",  # ids are random without it
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "figure.facecolor": "white",  # pages are dark for some readers
    "savefig.facecolor": "white",
}
# Neither the day nor the program: the same figures make the same file.
_METADATA: Final = {"Date": None, "Creator": None}
_ROOM: Final = 1.35
"""How much wider than its longest bar a panel is: the numbers stand behind the bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar.

    Attributes:
        label: What it is.
        value: Its length.
        least: The least of the repetitions.
        most: The greatest of them.
        colour: Of the bar.
        text: What is written behind it.
    """

    label: str
    value: float
    least: float
    most: float
    colour: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A panel of bars, the first one on top.

    Attributes:
        title: Above it.
        axis: What the bars measure.
        bars: The bars.
    """

    title: str
    axis: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one colour.

    Attributes:
        name: In the legend.
        points: Pairs of x and y.
        colour: Of the points.
        marker: Of the points.
        hollow: For each point, whether only its outline is drawn; empty for none.
        line: Style of the line through the points; empty for none.
        width: Of the line.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    marker: str = "o"
    hollow: Sequence[bool] = ()
    line: str = ""
    width: float = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A panel of series.

    Attributes:
        title: Above it.
        x: What is to the right.
        y: What is up.
        series: The series, the first one behind the others.
        log: Axes that are logarithmic: any of ``x`` and ``y``.
        span: Least and greatest y; `None` takes what there is.
        notes: More lines for the legend: markers and what they mean.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    log: str = ""
    span: tuple[float, float] | None = None
    notes: Sequence[tuple[str, str]] = field(default=())


def bars(path: Path, panels: Sequence[Bars]) -> None:
    """Draw panels of horizontal bars one below the other."""
    lengths = [len(panel.bars) + 2.5 for panel in panels]
    with _figure(path, (8, 0.27 * sum(lengths))) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": lengths})
        for axes, panel in zip(grid.flat, panels, strict=True):
            places = range(len(panel.bars))
            colours = [bar.colour for bar in panel.bars]
            axes.barh(places, [bar.value for bar in panel.bars], color=colours, height=0.7)
            for place, bar in zip(places, panel.bars, strict=True):
                if bar.least < bar.most:
                    spread = [[bar.value - bar.least], [bar.most - bar.value]]
                    axes.errorbar([bar.value], [place], xerr=spread, ecolor="#333333", elinewidth=0.8, capsize=2)
                axes.annotate(
                    bar.text, (bar.most, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
                )
            axes.set_yticks(places, [bar.label for bar in panel.bars])
            axes.set(title=panel.title, xlabel=panel.axis, xlim=(0, _ROOM * max(bar.most for bar in panel.bars)))
            axes.invert_yaxis()
            axes.xaxis.set_major_formatter(_plain)
            axes.tick_params(axis="y", length=0)
            axes.grid(visible=True, axis="x")


def points(path: Path, panels: Sequence[Points], *, columns: int) -> None:
    """Draw panels of points in rows of *columns*, with one legend below them all."""
    lines = -(-len(panels) // columns)
    with _figure(path, (4.2 * columns, 2.9 * lines + 0.7)) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        handles: dict[str, Any] = {}
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw(axes, panel)
            found, names = axes.get_legend_handles_labels()
            handles |= dict(zip(names, found, strict=True))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(columns + 1, len(handles)))


def _draw(axes: Any, panel: Points) -> None:
    for level, series in enumerate(panel.series):
        if not series.points:
            continue
        x, y = zip(*series.points, strict=True)
        if series.line:
            style = {"linestyle": series.line, "linewidth": series.width, "marker": series.marker}
            axes.plot(x, y, color=series.colour, label=series.name, zorder=2 + level, **style)
            continue
        hollow = series.hollow or [False] * len(x)
        faces = ["none" if each else series.colour for each in hollow]
        axes.scatter(x, y, s=26, c=faces, edgecolors=series.colour, marker=series.marker, zorder=2 + level)
        axes.plot([], [], color=series.colour, marker=series.marker, linestyle="", label=series.name)
    for marker, meaning in panel.notes:
        face = {"markerfacecolor": "none"} if marker == "hollow" else {}
        axes.plot([], [], color="#333333", marker="o", linestyle="", label=meaning, **face)
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    for name in panel.log:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if name == "y" else (1,)))
        axis.set_major_formatter(_plain)
        axis.set_minor_formatter(NullFormatter())
    if panel.span is not None:
        axes.set(ylim=panel.span)
    axes.grid(visible=True)


@FuncFormatter
def _plain(value: float, _: int) -> str:
    return f"{value:,g}"


@contextmanager
def _figure(path: Path, size: tuple[float, float]) -> Generator[Figure]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(path, format="svg", metadata=_METADATA)
    # Trailing blanks are no part of a picture, and differ from what editors write.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
