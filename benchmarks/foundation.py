"""How close is the engine to raw asyncpg, and how far ahead of its peers?

One client, HNSW with m=16 and ef_construction=64, k=10. What is held against each other runs on the same
server, over the same rows, in turn, and returns the same columns; raw asyncpg and the engine use the same
``ef_search``.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import adapters, corpus, ingest, report, search, server, startup
from benchmarks.context import Context
from benchmarks.figures import Findings
from benchmarks.peers import comparison

PARTS: dict[str, Callable[[Context], None]] = {
    "import": startup.measure,
    "ingest": ingest.measure,
    "search": search.measure,
    "blocking": search.measure_blocking,
    "concurrency": search.measure_concurrent,
}
_ROWS = 50_000
_MADE_UP_ROWS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument("--rows", type=int, help=f"how many of them ({_ROWS:,}; {_MADE_UP_ROWS:,} made-up ones)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "peers"], help="parts to run instead of all")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of each measurement (3)")
    comparison.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    if options.data is not None:
        rows = corpus.read(options.data, options.rows or _ROWS)
    else:
        rows = corpus.make(options.rows or _MADE_UP_ROWS)
    chosen = options.only or [*PARTS, "peers"]
    findings = _notes(Findings())
    with server.database(options.url) as url:
        context = Context(url=url, corpus=rows, findings=findings, repeats=options.repeats)
        described = asyncio.run(server.describe(url))
        for name, measure in PARTS.items():
            if name in chosen:
                _run(name, lambda measure=measure: measure(context))
        if "peers" in chosen and not options.no_peers:
            _run("peers", lambda: comparison.measure(context, options))
    described["settings"] = {
        "corpus": rows.name,
        "rows": len(rows),
        "dimensions": rows.dimensions,
        "queries": len(rows.queries),
        "k": context.k,
        "hnsw": {"m": 16, "ef_construction": 64, "ef_search": context.ef_search},
        "repeats": context.repeats,
        "concurrency": context.concurrency,
        "parts": chosen,
    }
    print(_title(described))
    print(report.table(findings))
    if options.out is not None:
        report.write(options.out, "foundation", findings, described)
    return 0


def _run(name: str, part: Callable[[], None]) -> None:
    start = time.perf_counter()
    print(f"measuring: {name} …", flush=True)
    part()
    print(f"  {time.perf_counter() - start:.0f} s", flush=True)


def _notes(findings: Findings) -> Findings:
    findings.notes.append("ratios are medians of ratios, repetition by repetition, where both ran in turn")
    for name in adapters.missing():
        findings.notes.append(f"the adapter {name} was not measured: its framework is not installed")
    return findings


def _title(described: dict[str, Any]) -> str:
    settings, versions = described["settings"], described["versions"]
    return (
        f"\n{settings['rows']:,} rows of {settings['corpus']}, {settings['dimensions']} dimensions, "
        f"k={settings['k']}, ef_search={settings['hnsw']['ef_search']}; "
        f"{report.versions(versions)}; {described['machine']['cores']} cores\n"
    )
