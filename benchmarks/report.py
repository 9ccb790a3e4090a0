"""Findings for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Findings, Target

_HEADER = ("what", "unit", "median", "min", "max", "ratio", "target", "met")
_NUMERIC = range(2, 5)
_MET = {True: "yes", False: "NO", None: "-"}


def write(path: Path, question: str, findings: Findings, context: dict[str, Any]) -> None:
    """Write everything to *path* as JSON."""
    document = {"question": question, **context, "figures": findings.as_json(), "notes": findings.notes}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Figures of the same kinds about many things, a line for each thing.

    Attributes:
        title: What it is about.
        labels: Headings of the texts that say what a line is about.
        rows: The end of the keys of a line's figures, and its texts.
        columns: The beginning of the keys of a column's figures, and its heading.
        judged: Whether to show the targets.
    """

    title: str
    labels: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    columns: Mapping[str, str]
    judged: bool = True

    def shown(self) -> set[str]:
        """Return the keys of all its figures."""
        return {f"{column}.{row}" for column in self.columns for row, _ in self.rows}


def table(findings: Findings, grids: Sequence[Grid] = ()) -> str:
    """Return the figures as tables of plain text: *grids*, then all figures in none of them, then the notes."""
    shown = {key for grid in grids for key in grid.shown()}
    rest = [figure for key, figure in findings.figures.items() if key not in shown]
    parts = [f"{grid.title}\n{_grid(findings, grid)}\n" for grid in grids if grid.rows]
    if rest:
        header = [_HEADER, *(row for figure in rest for row in _rows(findings, figure))]
        parts.append(_aligned(header, set(_NUMERIC)) + "\n")
    notes = [f"{figure.what}: {figure.note}" for figure in rest if figure.note]
    return "\n".join([*parts, *(f"* {note}" for note in [*findings.notes, *notes])])


def versions(found: Mapping[str, str]) -> str:
    """Return the versions that matter most, on a line."""
    return (
        f"PostgreSQL {found['postgresql']}, pgvector {found['pgvector']}, asyncpg {found['asyncpg']}, "
        f"Python {found['python']}, commit {found['git']}"
    )


def summary(findings: Findings) -> str:
    """Return how many targets were met, and which were not."""
    judged = [
        (figure, target, findings.met(figure, target))
        for figure in findings.figures.values()
        for target in figure.targets
    ]
    missed = [(figure, target) for figure, target, met in judged if met is False]
    met = sum(met is True for _, _, met in judged)
    lines = [f"{met} of {met + len(missed)} targets are met" + (", but not:" if missed else "")]
    for figure, target in missed:
        ratio = findings.ratio(figure, target.against)
        value = _number(figure.median) if ratio is None else f"{ratio['median']:.2f} x {target.against}"
        lines.append(f"  {figure.what}: {value} instead of {_target(target)} {figure.unit}".rstrip())
    return "\n".join(lines)


def _grid(findings: Findings, grid: Grid) -> str:
    rows = [(*grid.labels, *grid.columns.values())]
    for row, texts in grid.rows:
        figures = (findings.figures.get(f"{column}.{row}") for column in grid.columns)
        rows.append((*texts, *(_cell(findings, figure, judged=grid.judged) for figure in figures)))
    return _aligned(rows, set(range(len(grid.labels), len(rows[0]))))


def _cell(findings: Findings, figure: Figure | None, *, judged: bool) -> str:
    """Return a figure, with its target and whether it is met; for a bound on a ratio, the ratio."""
    if figure is None:
        return "-"
    parts = [_number(figure.median)]
    for target in figure.targets if judged else ():
        if (ratio := findings.ratio(figure, target.against)) is not None:
            parts.append(f"({ratio['median']:.2f}x)")
        sign = ">=" if target.at_least else "<="
        parts.append(f"{sign}{target.bound:g}{'x' if target.against else ''} {_MET[findings.met(figure, target)]}")
    return " ".join(parts)


def _aligned(rows: Sequence[Sequence[str]], right: Iterable[int]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths, set(right)) for row in rows]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _rows(findings: Findings, figure: Figure) -> list[tuple[str, ...]]:
    """Return the lines of a figure: one for each target, and one for what else it is relative to."""
    lines: list[tuple[Target | None, str | None]] = [(target, target.against) for target in figure.targets]
    if not lines or figure.against is not None:
        lines.append((None, figure.against))
    rows: list[tuple[str, ...]] = []
    for target, against in lines:
        ratio = findings.ratio(figure, against)
        shown = (figure.median, min(figure.values), max(figure.values)) if not rows else ()
        rows.append(
            (
                figure.what if not rows else "",
                figure.unit if not rows else "",
                *(_number(value) for value in shown),
                *[""] * (3 - len(shown)),
                "" if ratio is None else f"{ratio['median']:.2f} x {against}",
                "" if target is None else _target(target),
                "" if target is None else _MET[findings.met(figure, target)],
            )
        )
    return rows


def _target(target: Target) -> str:
    sign = ">=" if target.at_least else "<="
    return f"{sign} {target.bound:,g}" + (f" x {target.against}" if target.against else "")


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def _line(row: Sequence[str], widths: list[int], right: set[int]) -> str:
    cells = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
