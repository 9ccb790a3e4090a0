"""A question that is answered in parts, any of which can be left out, over the rows of one corpus."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import corpus, report, server
from benchmarks.context import Context
from benchmarks.figures import Findings
from benchmarks.peers import environment

Parts = Mapping[str, Callable[[Context, argparse.Namespace], None]]
"""Name of each part, and what measures it."""


def add_arguments(parser: argparse.ArgumentParser, parts: Parts, rows: int) -> None:
    """Declare the options of such a question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument("--rows", type=int, default=rows, help=f"how many of them ({rows:,})")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--only", nargs="+", choices=list(parts), help="parts to run instead of all")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of each measurement (3)")
    environment.add_arguments(parser)


def answer(question: str, options: argparse.Namespace, parts: Parts) -> int:
    """Measure the parts, and report."""
    rows = corpus.make(options.rows) if options.data is None else corpus.read(options.data, options.rows)
    findings = Findings()
    with server.database(options.url) as url:
        context = Context(url=url, corpus=rows, findings=findings, repeats=options.repeats)
        described = asyncio.run(server.describe(url))
        for name in options.only or parts:
            print(f"measuring: {name} …", flush=True)
            parts[name](context, options)
    described["settings"] = {"corpus": rows.name, "rows": len(rows), "dimensions": rows.dimensions, "k": context.k}
    print(f"\n{len(rows):,} rows of {rows.name}; {report.versions(described['versions'])}\n")
    print(report.table(findings))
    print(report.summary(findings))
    if options.out is not None:
        report.write(options.out, question, findings, described)
    return 0
