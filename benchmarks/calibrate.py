"""What does each way to the rows take on this machine: the constants of `planner.costs`.

Collections of made-up rows, with filters that keep known shares of them at random, are searched in each way,
with more and less to do. Costs are slopes of the times: of the matching rows, of the rows that a scan looks
at, of the codes, of the rows that are looked at again.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import corpus, report, server, tables
from benchmarks.context import Context
from benchmarks.corpus import Corpus
from benchmarks.figures import Findings, percentile
from benchmarks.report import Grid
from benchmarks.timing import one_pass
from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, SearchOptions
from pgrecall.codes import bits_per_dimension
from pgrecall.errors import ConfigError
from pgrecall.plan import Access
from pgrecall.planner import costs

DIMENSIONS: Final = (128, 384, 1024, 1536)
SHARES: Final = {"twentieth": 20, "tenth": 10, "fifth": 5, "half": 2}
"""Fields, and how many values each has."""

_LOOSE: Final = "loose"
_NO_VALUE: Final = 1_000
_ROWS: Final = 20_000
_QUERIES: Final = 50
_EF_SEARCH: Final = 40
_SEED: Final = 20_260_103
_KINDS: Final = {
    "exact": ("a row that is compared", "exact"),
    "scan": ("a row that an index scan gives", "scan"),
    "code": ("a code that is compared", "compare_codes"),
    "rerank": ("a row that is looked up and compared again", "rerank"),
    "unindexed": ("a row that is filtered away", ""),
    "statement": ("a search, however few rows there are", ""),
}
"""What is measured, for a reader, and the function of `planner.costs` that should say so."""


@dataclass(slots=True)
class Samples:
    """Times of searches in one way, and what they had to do."""

    work: list[tuple[float, ...]]
    times: list[float]

    def slopes(self) -> list[float]:
        """Return the microseconds that nothing, and one more of each kind of work, takes.

        Relative errors are made least, so that the searches that take longest do not decide alone.
        """
        weights = 1 / np.asarray(self.times)
        work = np.column_stack([np.ones(len(self.times)), np.asarray(self.work)])
        return np.linalg.lstsq(work * weights[:, np.newaxis], np.ones(len(weights)), rcond=None)[0].tolist()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument("--rows", type=int, default=_ROWS, help=f"rows of each collection ({_ROWS:,})")
    parser.add_argument(
        "--dimensions", type=int, nargs="+", default=DIMENSIONS, help="lengths of the embeddings to measure with"
    )
    parser.add_argument("--json", "--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    findings = Findings()
    measured: dict[str, dict[int, float]] = defaultdict(dict)
    with server.database(options.url) as url:
        described = asyncio.run(server.describe(url))
        for dimensions in options.dimensions:
            print(f"measuring: {dimensions} dimensions …", flush=True)
            context = Context(url=url, corpus=_rows(options.rows, dimensions), findings=findings)
            for kind, cost in asyncio.run(_measure(context)).items():
                measured[kind][dimensions] = cost
                findings.add(f"{kind}.{dimensions}", f"{dimensions} dimensions, {_KINDS[kind][0]}", "µs", [cost])
                if function := _KINDS[kind][1]:
                    now = getattr(costs, function)(_unit(kind, dimensions), 1)
                    findings.add(f"{kind}.now.{dimensions}", f"{dimensions} dimensions, {kind}, costs.py", "µs", [now])
    print(f"\n{options.rows:,} rows; {report.versions(described['versions'])}\n")
    print(report.table(findings, [_grid(options.dimensions)]))
    print(_constants(measured))
    if options.json is not None:
        report.write(options.json, "calibrate", findings, described)
    return 0


def _rows(rows: int, dimensions: int) -> Corpus:
    """Return made-up rows with nothing but the fields in their metadata."""
    made = corpus.make(rows, dimensions, _QUERIES)
    numbers = np.random.default_rng(_SEED)
    columns: dict[str, list[int]] = {name: numbers.integers(n, size=rows).tolist() for name, n in SHARES.items()}
    return replace(
        made,
        metadatas=[
            {_LOOSE: place, **{name: column[place] for name, column in columns.items()}} for place in range(rows)
        ],
    )


async def _measure(context: Context) -> dict[str, float]:
    """Return the microseconds that one of each kind takes; kinds that nothing here serves are missing."""
    dimensions = context.corpus.dimensions
    config = CollectionConfig(name=f"calibrated_{dimensions}", dimensions=dimensions, fields=dict.fromkeys(SHARES, int))
    await tables.load(context, config)
    async with AsyncClient(context.url) as client:
        docs = client.collection(config)
        exact = await _samples(docs, context, Access.EXACT, [1])
        scan = await _samples(docs, context, Access.ITERATIVE, [1, 2, 4])
        covering = await _samples(docs, context, Access.COVERING, [10, 20, 40, 80])
        statement = await _time(docs, context, {"half": _NO_VALUE}, SearchOptions(exact=True))
        unindexed = await _time(docs, context, {_LOOSE: {"$lt": 0}}, SearchOptions(exact=True))
        await client.delete_collection(config.name)
    found = {
        "exact": exact.slopes()[1],
        "unindexed": (unindexed - statement) / len(context.corpus),
        "statement": statement,
    }
    if scan.times:
        found["scan"] = scan.slopes()[1]
    if covering.times:
        found["code"], found["rerank"] = covering.slopes()[1:]
    return found


async def _samples(docs: AsyncCollection, context: Context, access: Access, overfetches: Sequence[int]) -> Samples:
    """Return times of searching in one way, under filters that keep more and less."""
    samples = Samples([], [])
    rows = context.corpus.metadatas
    for name, values in SHARES.items():
        for overfetch in overfetches:
            options = SearchOptions(access=access, overfetch=overfetch, ef_search=_EF_SEARCH)
            filter = {name: values // 2}
            matches = sum(metadata[name] == filter[name] for metadata in rows)
            try:
                plan = await docs.explain(context.corpus.queries[0], context.k, filter=filter, options=options)
            except ConfigError:
                return samples  # no index serves it
            work: Mapping[Access, tuple[float, ...]] = {
                Access.EXACT: (matches,),
                Access.ITERATIVE: (max(plan.fetch * len(rows) / matches, _EF_SEARCH),),
                Access.COVERING: (matches, plan.fetch),
            }
            samples.work.append(work[access])
            samples.times.append(await _time(docs, context, filter, options))
    return samples


async def _time(docs: AsyncCollection, context: Context, filter: dict[str, Any], options: SearchOptions) -> float:
    """Return the median time of a search in microseconds, after a pass to warm up."""
    queries = context.corpus.queries

    def search(position: int) -> Any:
        return docs.search(queries[position], context.k, filter=filter, options=options)

    await one_pass(search, len(queries))
    return 1_000 * percentile(await one_pass(search, len(queries)), 50)


def _unit(kind: str, dimensions: int) -> int:
    """Return what a cost grows with: the bits of a code, else the dimensions."""
    return bits_per_dimension(dimensions) * dimensions if kind == "code" else dimensions


def _grid(dimensions: Sequence[int]) -> Grid:
    columns = {"statement": "statement µs", "unindexed": "unindexed µs"}
    for kind, (_, function) in _KINDS.items():
        if function:
            columns |= {kind: f"{kind} µs", f"{kind}.now": "in costs.py"}
    rows = [(str(number), (str(number),)) for number in dimensions]
    return Grid(title="microseconds, each", labels=("dimensions",), rows=rows, columns=columns)


def _constants(measured: Mapping[str, Mapping[int, float]]) -> str:
    """Return the costs as lines over the dimensions, or the bits, as `planner.costs` has them."""
    lines = ["in pgrecall/planner/costs.py that would be"]
    for kind, (_, function) in _KINDS.items():
        costs_of = measured.get(kind, {})
        if not function and costs_of:
            lines.append(f"  {kind.upper()} = {np.median(list(costs_of.values())):.3g}")
        elif len(costs_of) > 1:
            slope, base = np.polyfit([_unit(kind, number) for number in costs_of], list(costs_of.values()), 1)
            of = "bits" if kind == "code" else "dimensions"
            lines.append(f"  {function}: rows * ({base:.3g} {'+' if slope >= 0 else '-'} {abs(slope):.2g} * {of})")
    return "\n".join(lines)
