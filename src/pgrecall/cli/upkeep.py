"""``pgrecall tune`` and ``pgrecall maintain``: for whoever looks after a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from pgrecall.cli.errors import Found
from pgrecall.cli.opening import Opened, on_collection, on_table
from pgrecall.cli.output import Output

if TYPE_CHECKING:
    from pgrecall.collection import TuningReport

_BAR: Final = 40
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


@on_collection
def tune(
    opened: Opened,
    target: Annotated[float, typer.Option(metavar="SHARE", help="The recall to reach, above 0 and up to 1.")] = 0.98,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Records that searches want.")] = 10,
    sample: Annotated[int, typer.Option(metavar="N", help="Stored embeddings that are drawn as queries.")] = 100,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the curve as a picture too: .svg, .png or .pdf; needs matplotlib."),
    ] = None,
) -> None:
    """Find how far searches must look to find enough.

    The smallest ef_search or probes that reaches the target is kept with the collection, and used from then on. The
    exit code is 1 where no value reaches the target; everything then stays as it was.
    """
    output, collection = opened.output, opened.collection
    with output.waiting(f"measuring {sample} searches with each value"):
        report = collection.tune(target, k=k, sample=sample, plot=plot)
    if output.json:
        output.document(report)
    else:
        _show_curve(output, report)
    if not report.reached:
        raise Found


def _show_curve(output: Output, report: TuningReport) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            ">" if point.value == report.value else "",
            str(point.value),
            f"{point.recall:.3f}",
            f"{point.p50:.2f}",
            f"{point.p95:.2f}",
        )
        for point in report.points
    ]
    rows.append(("", "exact", "1.000", f"{report.exact_p50:.2f}", ""))
    columns = ("", report.knob, f"recall@{report.k}", "p50 ms", "p95 ms")
    output.text(f"{report.index}, {report.queries} queries")
    output.table(columns, rows, right=columns[1:])
    output.text("")
    for line in curve(report):
        output.text(line)
    output.text("")
    # The last line of its own words is the verdict.
    output.text(str(report).splitlines()[-1].strip())


def curve(report: TuningReport) -> list[Text]:
    """Return the curve as bars: what each value finds, and what it takes, both drawn from 0."""
    slowest = max((point.p50 for point in report.points), default=0.0)
    width = max(len(report.knob), *(len(str(point.value)) for point in report.points))
    lines: list[Text] = [Text(f"{report.knob:>{width}}  recall, and below it p50", "dim")]
    for point in report.points:
        chosen = point.value == report.value
        found = Text.assemble(f"{point.value:>{width}}  ", (bar(point.recall), "green" if chosen else "cyan"))
        lines.append(found.append(f" {point.recall:.3f}"))
        took = bar(point.p50 / slowest if slowest else 0.0)
        lines.append(Text.assemble(" " * (width + 2), (took, "dim"), f" {point.p50:.2f} ms"))
    return lines


def bar(share: float) -> str:
    """Return a bar whose length is a share, 0 to 1, of forty characters, to an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


@on_table
def maintain(
    opened: Opened,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Keep the table and its indexes in shape.

    It vacuums, takes statistics anew, and drops or rebuilds indexes, as far as that is needed.
    """
    collection, output = opened.collection, opened.output
    with output.waiting("looking" if dry_run else "maintaining; readers and writers are not blocked"):
        report = collection.maintain(dry_run=dry_run)
    if output.json:
        output.document(report)
    else:
        output.text(str(report))
