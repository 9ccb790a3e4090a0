"""Which layout serves many tenants best: one table, HASH partitions, or a partition for each domain?

The rows are dealt out among the domains at random, as many to each. One client, k=10, everything as it comes: one
`create_index()`, and no options to any search but where the vector index is asked for. Right answers are computed
with NumPy.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import corpus, report, server, timing
from benchmarks.context import Context, as_batch
from benchmarks.corpus import Corpus
from benchmarks.figures import Findings, percentile
from benchmarks.report import Grid
from pgrecall import (
    AsyncClient,
    AsyncCollection,
    CollectionConfig,
    HashPartitions,
    ListPartitions,
    RecordBatch,
    SearchOptions,
)
from pgrecall.layout import MAX_PARTITIONS, Layout
from pgrecall.plan import Access

LAYOUTS: Final[dict[str, Layout | None]] = {
    "shared": None,
    "hash": HashPartitions(count=16),
    "list": ListPartitions(),
}
_DOMAINS: Final = (10, 1_000, 10_000)
_SEED: Final = 20_260_103
_DROPS: Final = 3
# Similarities are sums of float32, added up in another order here than on the server.
_TOLERANCE: Final = 2e-6
_BY_INDEX: Final = SearchOptions(access=Access.ITERATIVE)
_COLUMNS: Final = {
    "inside": "inside, ms",
    "inside_recall": "recall",
    "first": "first, ms",
    "index": "by index, ms",
    "index_recall": "recall",
    "across": "across, ms",
    "across_recall": "recall",
    "drop": "drop, ms",
    "build": "index, s",
}


@dataclass(slots=True, kw_only=True)
class Case:
    """One layout with so many domains.

    Attributes:
        context: The run.
        layout: Its name.
        domains: The domain of each row, as a number.
        asked: The domain of each query.
        count: How many domains there are.
        access: How searches inside a domain were run, as the planner chose, for the table.
    """

    context: Context
    layout: str
    count: int
    domains: Any = field(init=False)
    asked: Any = field(init=False)
    access: str = ""

    def __post_init__(self) -> None:
        numbers = np.random.default_rng(_SEED)
        rows, queries = len(self.context.corpus), len(self.context.corpus.queries)
        self.domains = numbers.permutation(np.arange(rows) % self.count)
        # Not the last ones: those are dropped.
        self.asked = numbers.integers(0, max(1, self.count - _DROPS), size=queries)

    @property
    def key(self) -> str:
        """The end of the keys of its figures."""
        return f"{self.layout}.{self.count}"

    def add(self, what: str, title: str, unit: str, values: Sequence[float]) -> None:
        """Take in a figure of this case."""
        self.context.findings.add(f"{what}.{self.key}", f"{title}: {self.layout}, {self.count:,} domains", unit, values)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument("--rows", type=int, default=20_000, help="how many of them (20,000)")
    parser.add_argument(
        "--domains",
        type=int,
        action="append",
        help=f"how many domains, once for each number ({', '.join(f'{count:,}' for count in _DOMAINS)})",
    )
    parser.add_argument("--layouts", nargs="+", choices=list(LAYOUTS), help="layouts to measure instead of all")
    parser.add_argument("--queries", type=int, default=200, help="queries of each pass (200)")
    parser.add_argument("--repeats", type=int, default=3, help="passes of each measurement (3)")
    parser.add_argument("--json", "--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    rows = corpus.make(options.rows) if options.data is None else corpus.read(options.data, options.rows)
    counts = [count for count in options.domains or _DOMAINS if count <= len(rows)]
    findings = Findings(notes=_notes())
    with server.database(options.url) as url:
        context = Context(url=url, corpus=_cut(rows, options.queries), findings=findings, repeats=options.repeats)
        described = asyncio.run(server.describe(url))
        grids: list[Grid] = []
        for count in counts:
            cases = [
                Case(context=context, layout=name, count=count)
                for name in options.layouts or LAYOUTS
                if name != "list" or count <= MAX_PARTITIONS
            ]
            for case in cases:
                print(f"measuring: {case.layout}, {count:,} domains …", flush=True)
                start = time.perf_counter()
                asyncio.run(_measure(case))
                print(f"  {time.perf_counter() - start:.0f} s", flush=True)
            lines = [(case.key, (case.layout, case.access)) for case in cases]
            grids.append(Grid(title=f"{count:,} domains", labels=("layout", "plan"), rows=lines, columns=_COLUMNS))
        if "list" in (options.layouts or LAYOUTS):
            print("measuring: moving a domain into a partition of its own …", flush=True)
            asyncio.run(_isolate(Case(context=context, layout="list", count=counts[0])))
    described["settings"] = {
        "corpus": rows.name,
        "rows": len(rows),
        "dimensions": rows.dimensions,
        "queries": len(context.corpus.queries),
        "k": context.k,
        "domains": counts,
    }
    print(f"\n{len(rows):,} rows of {rows.name}; {report.versions(described['versions'])}\n")
    print(report.table(findings, grids))
    if options.json is not None:
        report.write(options.json, "tenants", findings, described)
    return 0


def _cut(rows: Corpus, queries: int) -> Corpus:
    numbers = np.random.default_rng(_SEED)
    return replace(rows, queries=numbers.permutation(rows.queries)[:queries])


async def _measure(case: Case) -> None:
    """Make the collection of *case*, search it, and drop some of its domains."""
    context = case.context
    async with AsyncClient(context.url) as client:
        docs = await _filled(case, client)
        await _built(case, docs)
        await context.execute("VACUUM ANALYZE tenants", "CHECKPOINT")
        await _inside(case, docs)
        await _across(case, docs)
        seconds: list[float] = []
        for domain in range(max(0, case.count - _DROPS), case.count):
            start = time.perf_counter()
            await docs.domain(f"d{domain}").delete_domain()
            seconds.append(1_000 * (time.perf_counter() - start))
        case.add("drop", "dropping a domain", "ms", seconds)
        await client.delete_collection("tenants")


async def _filled(case: Case, client: AsyncClient, *, ahead: bool = True) -> AsyncCollection:
    rows = case.context.corpus
    config = CollectionConfig(name="tenants", dimensions=rows.dimensions, layout=LAYOUTS[case.layout])
    docs = await client.create_collection(config)
    start = time.perf_counter()
    for domain in range(case.count if ahead and case.layout == "list" else 0):
        await docs.create_domain(f"d{domain}")
    if case.layout == "list" and ahead:
        case.add("make", "making a domain's partition", "ms", [1_000 * (time.perf_counter() - start) / case.count])
    batch = as_batch(rows)
    names = [f"d{domain}" for domain in case.domains]
    await docs.all_domains().upsert(
        RecordBatch(
            ids=batch.ids,
            contents=batch.contents,
            metadatas=batch.metadatas,
            embeddings=batch.embeddings,
            domain_ids=names,
        )
    )
    return docs


async def _built(case: Case, docs: AsyncCollection) -> None:
    start = time.perf_counter()
    await docs.create_index()
    case.add("build", "create_index()", "s", [time.perf_counter() - start])


async def _inside(case: Case, docs: AsyncCollection) -> None:
    """Search inside the domain of each query: as the planner chooses, and by the vector index."""
    queries, k = case.context.corpus.queries, case.context.k
    handles = [docs.domain(f"d{domain}") for domain in case.asked]
    truths = [
        _cutoff(case.context.corpus.vectors[case.domains == d] @ q, k) for d, q in zip(case.asked, queries, strict=True)
    ]

    async def search(position: int, options: SearchOptions | None = None) -> Any:
        return await handles[position].search(queries[position], k, options=options)

    first = await timing.one_pass(search, len(queries))
    case.add("first", "the first search inside a domain", "ms", [percentile(first, 50)])
    case.access = (await handles[0].explain(queries[0], k)).access.value
    for name, title, options in (("inside", "inside a domain", None), ("index", "inside, by the index", _BY_INDEX)):
        answers = [await search(position, options) for position in range(len(queries))]
        passes = [
            await timing.one_pass(lambda position, o=options: search(position, o), len(queries))
            for _ in range(case.context.repeats)
        ]
        case.add(name, title, "ms", [percentile(times, 50) for times in passes])
        case.add(f"{name}_recall", f"recall {title}", "", [_recall(answers, truths)])


async def _across(case: Case, docs: AsyncCollection) -> None:
    queries, k = case.context.corpus.queries, case.context.k
    everywhere = docs.all_domains()
    truths = [_cutoff(case.context.corpus.vectors @ query, k) for query in queries]

    async def search(position: int) -> Any:
        return await everywhere.search(queries[position], k)

    answers = [await search(position) for position in range(len(queries))]
    passes = [await timing.one_pass(search, len(queries)) for _ in range(case.context.repeats)]
    case.add("across", "across all domains", "ms", [percentile(times, 50) for times in passes])
    case.add("across_recall", "recall across all domains", "", [_recall(answers, truths)])


async def _isolate(case: Case) -> None:
    """Move one domain, of as many rows as the others, out of the partition of all of them."""
    async with AsyncClient(case.context.url) as client:
        docs = await _filled(case, client, ahead=False)
        await docs.create_index()
        moved = await docs.isolate_domain("d0")
        share = f"{moved.rows:,} of {len(case.context.corpus):,} rows"
        case.context.findings.add("isolate", f"isolate_domain(), {share}", "s", [moved.seconds])
        case.context.findings.add("locked", "the table is locked meanwhile for", "ms", [1_000 * moved.locked])


def _cutoff(similarities: Any, k: int) -> tuple[int, float]:
    """Return how many rows are to be found, and the similarity that one of them has at least."""
    most = min(k, len(similarities))
    return most, float(np.partition(similarities, -most)[-most]) - _TOLERANCE


def _recall(answers: Sequence[Any], truths: Sequence[tuple[int, float]]) -> float:
    """Return the share of the nearest rows that was found; one as near as the k-th is as good."""
    hits = sum(
        min(most, sum(1.0 - match.distance >= cutoff for match in matches))
        for matches, (most, cutoff) in zip(answers, truths, strict=True)
    )
    return hits / sum(most for most, _ in truths)


def _notes() -> list[str]:
    return [
        "inside: in the domain of each query, drawn at random, with handles that have searched there before",
        "first: the first search of a handle inside a domain, for which rows are counted",
        "by index: what the vector index takes and finds where it is asked for, iterating until enough rows pass",
        f"hash: {LAYOUTS['hash']}; list: every domain has its own partition, made before its rows came",
        f"list is for up to {MAX_PARTITIONS:,} domains of their own: across, every partition's index is entered",
        "recall counts rows as near as the k-th, by the distances that were returned",
        f"drop: delete_domain(), the median of {_DROPS} domains",
    ]
