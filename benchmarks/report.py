"""Findings for people and for programs."""

from __future__ import annotations

import json
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


def table(findings: Findings) -> str:
    """Return the figures as a table of plain text, with the notes below."""
    rows = [_HEADER, *(row for figure in findings.figures.values() for row in _rows(findings, figure))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    notes = [f"{figure.what}: {figure.note}" for figure in findings.figures.values() if figure.note]
    return "\n".join([*lines, "", *(f"* {note}" for note in [*findings.notes, *notes])])


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
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if column in _NUMERIC else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
