"""How good and how fast is searching under a filter, at 50,000 and at 200,000 rows?

One client, k=10, everything as it comes: one `create_index()`, no options to any search. Right answers are
computed with NumPy. Bounds for 50,000 rows hold for fewer, those for 200,000 for all above.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import building, filters, growth, report, samples, server, steady, wide
from benchmarks.context import Context
from benchmarks.figures import Findings
from benchmarks.filters import Asked
from benchmarks.peers import environment, filtering
from benchmarks.report import Grid
from benchmarks.truth import Oracle

PARTS: Final = ("steady", "first", "unfiltered", "build", "wide", "growth", "peers")
_SIZES: Final = (50_000, 200_000)
_MADE_UP_SIZES: Final = (5_000, 10_000)
_COLUMNS: Final = {
    "matches": "matches",
    "recall": "recall",
    "short": "short",
    "p50": "p50 ms",
    "p95": "p95 ms (over p50)",
    "first": "first query + ms",
}


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of this question.

    Attributes:
        context: With the rows of the greatest size.
        sizes: Numbers of rows, ascending.
        asked: The filters.
        options: From the command line.
        grids: Tables of figures, in the order in which they are shown.
    """

    context: Context
    sizes: list[int]
    asked: list[Asked]
    options: argparse.Namespace
    grids: list[Grid] = field(default_factory=list[Grid])

    def part(self, rows: int) -> Context:
        """Return the run with the first *rows* rows."""
        return replace(self.context, corpus=self.context.corpus.part(0, rows))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument(
        "--rows",
        type=int,
        action="append",
        help=f"how many of them, once for each size ({', '.join(f'{size:,}' for size in _SIZES)}; made-up ones "
        f"{', '.join(f'{size:,}' for size in _MADE_UP_SIZES)}); beyond {samples.BASE_ROWS:,}, or the smallest size, "
        "they are noisy copies",
    )
    parser.add_argument("--json", "--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run instead of all")
    parser.add_argument("--queries", type=int, default=200, help="queries of each pass (200)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of each measurement (3)")
    environment.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    sizes = sorted(options.rows or (_MADE_UP_SIZES if options.data is None else _SIZES))
    rows = samples.prepare(options.data, sizes, options.queries)
    sizes = sorted({min(size, len(rows)) for size in sizes})
    chosen = [part for part in options.only or PARTS if part != "peers" or not options.no_peers]
    with server.database(options.url) as url:
        context = Context(url=url, corpus=rows, findings=_notes(Findings(), sizes), repeats=options.repeats)
        described = asyncio.run(server.describe(url))
        asked = filters.ask(rows.part(0, sizes[0]))
        # The rows are the benchmark's own: looking them through again and again would make tails of its own.
        gc.collect()
        gc.freeze()
        run = Run(context=context, sizes=sizes, asked=asked, options=options)
        _measure(run, chosen)
    described["settings"] = {
        "corpus": rows.name,
        "sizes": sizes,
        "dimensions": rows.dimensions,
        "queries": len(rows.queries),
        "k": context.k,
        "repeats": context.repeats,
        "parts": chosen,
        "hnsw": {"m": 16, "ef_construction": 64, "ef_search": run.part(sizes[0]).ef_search},
        "filters": {each.key: each.filter for each in asked},
        "titles": {each.key: each.title for each in asked},
        "kinds": {each.key: each.kind for each in asked},
    }
    print(_title(described))
    print(report.table(context.findings, run.grids))
    print(f"\n{report.summary(context.findings)}")
    if options.json is not None:
        report.write(options.json, "filtered", context.findings, described)
    return 0


def _measure(run: Run, chosen: Sequence[str]) -> None:
    """Run the chosen parts: those about one size for each of them, then the others."""
    for size in run.sizes:
        context = run.part(size)
        oracle = Oracle(context.corpus, context.k)
        of_size: dict[str, Callable[[], None]] = {
            "steady": lambda context=context, oracle=oracle: steady.measure(context, run.asked, oracle),
            "first": lambda context=context: steady.measure_first(context, run.asked),
            "unfiltered": lambda context=context: steady.measure_unfiltered(context),
            "build": lambda context=context: building.measure(context),
        }
        for name, part in of_size.items():
            if name in chosen:
                _timed(f"{name}, {size:,} rows", part)
        if "steady" in chosen or "first" in chosen:
            run.grids.append(_grid(run, size))
        if "peers" in chosen and size == run.sizes[0]:
            _timed(f"peers, {size:,} rows", lambda context=context, oracle=oracle: _peers(run, context, oracle))
    if "wide" in chosen:
        _timed("wide", lambda: _wide(run))
    if "growth" in chosen:
        sizes = [*(size for size in growth.SIZES if size < run.sizes[-1]), run.sizes[-1]]
        _timed("growth", lambda: run.grids.append(growth.measure(run.context, run.asked, sizes)))


def _peers(run: Run, context: Context, oracle: Oracle) -> None:
    grid = filtering.measure(context, run.asked, oracle, run.options.peers_env)
    if grid is not None:
        run.grids.append(grid)


def _wide(run: Run) -> None:
    rows = run.context.corpus.part(0, wide.ROWS)
    wide.measure(replace(run.context, corpus=samples.widened(rows, wide.DIMENSIONS)))
    run.context.findings.notes.append(wide.note())


def _timed(name: str, part: Callable[[], Any]) -> None:
    start = time.perf_counter()
    print(f"measuring: {name} …", flush=True)
    part()
    print(f"  {time.perf_counter() - start:.0f} s", flush=True)


def _grid(run: Run, size: int) -> Grid:
    figures = run.context.findings.figures
    rows: list[tuple[str, tuple[str, ...]]] = []
    for each in run.asked:
        measured = figures.get(f"p50.{size}.{each.key}")
        access = measured.note.partition(" ")[0] if measured is not None else ""
        rows.append((f"{size}.{each.key}", (each.title, access)))
    return Grid(title=f"{size:,} rows", labels=("filter", "plan"), rows=rows, columns=_COLUMNS)


def _notes(findings: Findings, sizes: Sequence[int]) -> Findings:
    base = min(samples.BASE_ROWS, sizes[0])
    findings.notes += [
        "steady state: two passes over the queries, then one for each repetition; figures are medians of the passes'",
        "recall counts rows as near as the k-th; where no row passes, it is 1",
        "bounds on p50: below 1,000 matches, whatever the filter; else by whether it is random",
        "first query: with filters of the same shape not asked before, each against the later ones of its own",
        "where there are too few of them, first queries are asked by handles that have seen no filter",
        "tables are vacuumed after loading, as autovacuum would do",
        "rows are in random order, and have random attributes",
        f"rows beyond {base:,} are copies with Gaussian noise of length {samples.COPY_NOISE:g} on the unit vectors",
    ]
    return findings


def _title(described: dict[str, Any]) -> str:
    settings, versions = described["settings"], described["versions"]
    return (
        f"\n{' and '.join(f'{size:,}' for size in settings['sizes'])} rows of {settings['corpus']}, "
        f"{settings['dimensions']} dimensions, {settings['queries']} queries, k={settings['k']}; "
        f"{report.versions(versions)}; {described['machine']['cores']} cores\n"
    )
