"""Which figures are drawn: a function for each plot, which draws nothing where they were not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.page import plots
from benchmarks.page.document import Answer, Document
from benchmarks.page.markdown import number
from benchmarks.page.plots import Bar, Bars, Points, Series
from benchmarks.page.stores import ALL, ENGINE, OURS, PEERS, RAW, Store

_WAYS: Final = {
    "exact": ("#d6604d", "s"),
    "index": ("#1b7837", "^"),
    "iterative": ("#1b9e77", "v"),
    "covering": ("#e08214", "D"),
    "partial": ("#8e44ad", "P"),
}
"""Ways to the rows, as `benchmarks.growth` calls them, with their colours and markers."""

_LAYOUTS: Final = {"shared": ENGINE.colour, "hash": "#e08214", "list": "#1b7837"}
"""Layouts, as `benchmarks.tenants` calls them."""

_BY_HAND: Final = "#8c8c8c"
_FUSED: Final = "#5b8fd0"


def draw(document: Document, directory: Path) -> list[str]:
    """Draw every plot that there are figures for, and return their names; old files are removed."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.svg"):
        old.unlink()
    return [name for name, chart in CHARTS.items() if chart(document, directory / f"{name}.svg")]


def _writing(document: Document, path: Path) -> bool:
    answer = document.answered("foundation")
    if answer is None:
        return False
    kinds = {
        "empty tables are loaded": [(store, store.load) for store in ALL],
        "all rows are changed by upsert": [(store, store.upsert) for store in (ENGINE, *PEERS)],
    }
    panels: list[Bars] = []
    for title, keys in kinds.items():
        found = [_bar(document, answer, store, key) for store, key in keys]
        if chosen := [bar for bar in found if bar is not None]:
            panels.append(Bars(title=title, axis="rows/s", bars=chosen))
    if panels:
        plots.bars(path, panels)
    return bool(panels)


def _searching(document: Document, path: Path) -> bool:
    answer = document.answered("foundation")
    if answer is None or answer.get("search.engine") is None:
        return False
    panels: list[Bars] = []
    for name, title in (("matched", "at equal recall"), ("default", "each as it comes")):
        found = (_search_bar(document, answer, store, name) for store in (RAW, *OURS, *PEERS))
        panels.append(Bars(title=title, axis="p50 of one search, ms", bars=[bar for bar in found if bar is not None]))
    plots.bars(path, panels)
    return True


def _search_bar(document: Document, answer: Answer, store: Store, name: str) -> Bar | None:
    setting = store.setting(name)
    bar = _bar(document, answer, store, f"search.{setting}")
    if bar is None:
        return None
    recall = number(answer.median(f"recall.{setting}"), "recall")
    return Bar(
        label=bar.label,
        value=bar.value,
        least=bar.least,
        most=bar.most,
        colour=bar.colour,
        text=f"{bar.text}, recall {recall}",
    )


def _bar(document: Document, answer: Answer, store: Store, key: str) -> Bar | None:
    if (figure := answer.get(key)) is None:
        return None
    return Bar(
        label=store.name(document),
        value=figure.median,
        least=figure.least,
        most=figure.most,
        colour=store.colour,
        text=number(figure.median, figure.unit if figure.unit == "ms" else ""),
    )


def _filters(document: Document, path: Path) -> bool:
    answer = document.answered("filtered")
    if answer is None or not answer.starting("recall."):
        return False
    size: int = answer.settings["sizes"][0]
    recalls: list[Series] = []
    times: list[Series] = []
    for store in (*reversed(PEERS), ENGINE):
        prefix = "" if store is ENGINE else f"{store.key}."
        shares: list[tuple[float, float, float, bool]] = []
        for key, kind in answer.settings["kinds"].items():
            matches = answer.median(f"matches.{size}.{key}")
            recall = answer.median(f"{prefix}recall.{size}.{key}")
            time = answer.median(f"{prefix}p50.{size}.{key}")
            if matches and recall is not None and time is not None:
                shares.append((100 * matches / size, recall, time, kind == "correlated"))
        name, hollow = store.name(document), [each[3] for each in shares]
        style = {"name": name, "colour": store.colour, "marker": store.marker, "hollow": hollow}
        recalls.append(Series(points=[(share, recall) for share, recall, _, _ in shares], **style))
        times.append(Series(points=[(share, time) for share, _, time, _ in shares], **style))
    k, share = answer.settings["k"], "rows that pass the filter, %"
    kinds = (("solid", "rows that pass lie anywhere"), ("hollow", "rows that pass lie together"))
    panels = [
        Points(title="what is found", x=share, y=f"recall@{k}", series=recalls, log="x", span=(0, 1.04), notes=kinds),
        Points(title="how long it takes", x=share, y="p50 of one search, ms", series=times, log="xy"),
    ]
    plots.points(path, panels, columns=2)
    return True


def _growth(document: Document, path: Path) -> bool:
    answer = document.answered("filtered")
    if answer is None or not (measured := answer.starting("growth.p50.")):
        return False
    ways: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, figure in measured.items():
        way, size, key = name.split(".", 2)
        ways.setdefault(key, {}).setdefault(way, []).append((float(size), figure.median))
    panels: list[Points] = []
    for key, lines in ways.items():
        planned = Series(
            name="what the planner chose", points=lines["planned"], colour="#bbbbbb", line="-", width=7, marker=""
        )
        others = [
            Series(name=way, points=lines[way], colour=colour, marker=marker, line="-", width=1.3)
            for way, (colour, marker) in _WAYS.items()
            if way in lines
        ]
        title = "no filter" if key == "none" else answer.settings["titles"][key]
        panels.append(Points(title=title, x="rows", y="p50, ms", series=[planned, *others], log="xy"))
    plots.points(path, panels, columns=min(3, len(panels)))
    return True


def _hybrid(document: Document, path: Path) -> bool:
    answer = document.answered("quality")
    if answer is None or answer.get("ndcg.hybrid") is None:
        return False
    bars: list[Bar] = []
    for key, figure in answer.starting("ndcg.").items():
        store = next((store for store in PEERS if key.startswith(f"{store.key}.")), None)
        if store is not None:
            label, colour = f"{store.name(document)}, {key.removeprefix(f'{store.key}.')}", store.colour
        else:
            ours = key.startswith("hybrid")
            label = figure.what.partition(", ")[2]
            colour = (ENGINE.colour if key == "hybrid" else _FUSED) if ours else _BY_HAND
        bars.append(
            Bar(
                label=label,
                value=figure.median,
                least=figure.median,
                most=figure.median,
                colour=colour,
                text=number(figure.median, "recall"),
            )
        )
    bars.sort(key=lambda bar: -bar.value)
    plots.bars(path, [Bars(title="how good answers are", axis=f"nDCG@{answer.settings['k']}", bars=bars)])
    return True


def _tenants(document: Document, path: Path) -> bool:
    answer = document.answered("tenants")
    if answer is None:
        return False
    kinds = {
        "inside.": "one tenant's rows are searched",
        "across.": "all rows are searched",
        "drop.": "a tenant is dropped",
    }
    panels: list[Bars] = []
    for prefix, title in kinds.items():
        bars = [
            Bar(
                label=f"{layout}, {int(count):,} domains",
                value=figure.median,
                least=figure.least,
                most=figure.most,
                colour=_LAYOUTS.get(layout, _BY_HAND),
                text=number(figure.median, figure.unit),
            )
            for (layout, count), figure in ((key.split("."), figure) for key, figure in answer.starting(prefix).items())
        ]
        if bars:
            panels.append(Bars(title=title, axis="p50, ms" if prefix != "drop." else "ms", bars=bars))
    if panels:
        plots.bars(path, panels)
    return bool(panels)


CHARTS: Final[Mapping[str, Callable[[Document, Path], bool]]] = {
    "writing": _writing,
    "searching": _searching,
    "filters": _filters,
    "growth": _growth,
    "hybrid": _hybrid,
    "tenants": _tenants,
}
"""Name of each plot, and what draws it; it says whether there was anything to draw."""
