"""A picture of recall over latency, where matplotlib is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pgrecall.collection.measuring.tuning_report import TuningReport

_FORMATS: Final = (".pdf", ".png", ".svg")


def check(path: Path) -> None:
    """Raise `ConfigError` where nothing could be drawn to *path*."""
    if find_spec("matplotlib") is None:
        msg = "plot= needs matplotlib, which is not installed: pip install 'pgrecall[plot]'"
        raise ConfigError(msg)
    if path.suffix.lower() not in _FORMATS:
        msg = f"plot={str(path)!r} must end in one of {_FORMATS}"
        raise ConfigError(msg)
    if not path.parent.is_dir():
        msg = f"plot={str(path)!r}: there is no directory {str(path.parent)!r}"
        raise ConfigError(msg)


def plot(report: TuningReport, path: Path) -> None:
    """Write recall over latency, a point for each value of the knob, to *path*."""
    # Not pyplot, which chooses a window system and keeps what it has drawn.
    figure = import_module("matplotlib.figure").Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [point.p50 for point in report.points],
        [point.recall for point in report.points],
        marker="o",
        label=f"{report.index}, median of {report.queries} queries",
    )
    for point in report.points:
        axes.annotate(
            str(point.value),
            (point.p50, point.recall),
            xytext=(4, -11),
            textcoords="offset points",
            fontweight="bold" if point.value == report.value else "normal",
        )
    axes.axhline(report.target, linestyle="--", linewidth=1, color="gray", label=f"target {report.target}")
    axes.set(xlabel="milliseconds", ylabel=f"recall@{report.k}", title=f"recall and latency over {report.knob}")
    axes.margins(0.08)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)
