"""Tables and numbers as they are written in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.figures import Figure, Target
from benchmarks.page.document import Answer

NOTHING: Final = "-"
"""Stands where nothing was measured."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a table, whose first *left* columns are text and whose others are numbers."""
    lines = [header, ["---" if column < left else "--:" for column in range(len(header))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, unit: str = "") -> str:
    """Return a number with its unit, to three digits; shares of one as recall is written, without the zero."""
    if value is None:
        return NOTHING
    if unit == "recall" or (not unit and 0 < value < 1):
        return f"{value:.3f}".removeprefix("0")
    if value == int(value) and abs(value) < 10_000 and unit != "ms":
        text = f"{int(value):,}"
    elif abs(value) >= 1_000:
        text = f"{float(f'{value:.3g}'):,.0f}"
    else:
        text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{text} {unit}".rstrip()


def ratio(value: float | None) -> str:
    """Return a ratio, as a factor."""
    if value is None:
        return NOTHING
    if value < 0.1:
        return f"{value:.3f}x"
    return f"{value:.0f}x" if value >= 100 else f"{value:.1f}x" if value >= 10 else f"{value:.2f}x"


def wanted(target: Target, unit: str) -> str:
    """Return what was wanted."""
    return f"{'≥' if target.at_least else '≤'} {target.bound:,g}" + ("x" if target.against else f" {unit}".rstrip())


def figures(answer: Answer, chosen: Sequence[Figure]) -> str:
    """Return a table of figures: medians, the least and the most, ratios and what they should be."""
    rows: list[list[str]] = []
    for figure in chosen:
        others = dict.fromkeys([figure.against, *(target.against for target in figure.targets)])
        ratios = [
            f"{ratio(found['median'])} of {answer.figures[key or ''].what.strip()}"
            for key in others
            if (found := answer.findings.ratio(figure, key)) is not None
        ]
        marks = {True: "", False: " **missed**", None: " (not judged)"}
        targets = [
            f"{wanted(target, figure.unit)}{marks[answer.findings.met(figure, target)]}" for target in figure.targets
        ]
        spread = NOTHING
        if figure.least != figure.most:
            least = number(figure.least, figure.unit).removesuffix(f" {figure.unit}")
            spread = f"{least} to {number(figure.most, figure.unit)}"
        rows.append(
            [
                figure.what.strip(),
                number(figure.median, figure.unit),
                spread,
                "; ".join(ratios) or NOTHING,
                "; ".join(targets) or NOTHING,
            ]
        )
    return table(["what", "median", "repetitions", "ratio", "wanted"], rows)
