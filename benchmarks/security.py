"""What does row-level security cost: the same calls on the same rows, with the policies and without?

Two tables hold the same rows of three domains, one under the policies. The same role, which is bound by them, asks
both the same, in turn, so that whatever else the machine does meets both. A pair of calls gives a ratio; the median
of a pass's ratios is its figure.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import report, samples, server
from benchmarks.context import Context, as_batch
from benchmarks.figures import Findings, Target
from benchmarks.report import Grid
from benchmarks.timing import Search, in_turn
from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, PoolConfig, Record, SearchOptions

_ROWS: Final = 20_000
_SMALL: Final = 800
_QUERIES: Final = 100
_WARM_UPS: Final = 3
_ROLE: Final = f"pgrecall_benchmark_{os.getpid()}"
_MOST: Final = 1.10
_FIELDS: Final[dict[str, Any]] = {"source": str, "tenth": int}
_NAMES: Final = {"open": "without", "secured": "with policies"}

Case = Callable[[AsyncCollection, int], Awaitable[Any]]
"""Runs a call with the query of that number in a domain."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument("--rows", type=int, default=_ROWS, help=f"rows of each of the two large domains ({_ROWS:,})")
    parser.add_argument("--queries", type=int, default=_QUERIES, help=f"pairs of calls of each pass ({_QUERIES})")
    parser.add_argument("--repeats", type=int, default=5, help="passes of each measurement (5)")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="cases to run instead of all, by the start of a key")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    rows = samples.prepare(options.data, [options.rows], options.queries)
    context = Context(url="", corpus=rows, findings=Findings(), repeats=options.repeats)
    with server.database(options.url) as url:
        context.url = url
        described = asyncio.run(server.describe(url))
        asyncio.run(_prepare(context))
        gc.collect()
        gc.freeze()
        try:
            keys = asyncio.run(_measure(context, options.only or [""]))
        finally:
            asyncio.run(context.execute(f"DROP OWNED BY {_ROLE}", f"DROP ROLE {_ROLE}"))
    described["settings"] = {
        "corpus": rows.name,
        "rows": 2 * len(rows) + _SMALL,
        "dimensions": rows.dimensions,
        "queries": len(rows.queries),
        "k": context.k,
        "repeats": context.repeats,
    }
    print(f"\n{described['settings']['rows']:,} rows of {rows.name}; {report.versions(described['versions'])}\n")
    columns = {"open": "without ms", "secured": "with ms", "ratio": "median ratio"}
    grid = Grid(title="", labels=("call", "plan"), rows=keys, columns=columns)
    print(report.table(context.findings, [grid]))
    print(report.summary(context.findings))
    if options.out is not None:
        report.write(options.out, "security", context.findings, described)
    return 0


def _config(name: str, dimensions: int) -> CollectionConfig:
    return CollectionConfig(
        name=name,
        dimensions=dimensions,
        fields=_FIELDS,
        text_search="en",
        row_level_security=name == "secured",
    )


async def _prepare(context: Context) -> None:
    """Make both tables, and the role."""
    rows = context.corpus
    async with AsyncClient(context.url) as client:
        for name in _NAMES:
            docs = await client.create_collection(_config(name, rows.dimensions))
            for domain, part in (("red", rows), ("blue", rows), ("small", rows.part(0, _SMALL))):
                await docs.domain(domain).upsert(as_batch(part))
            await docs.create_index()
            await docs.grant(_ROLE, create=True)
            await context.execute(f"VACUUM ANALYZE {name}", "CHECKPOINT")


def _cases(context: Context) -> Mapping[str, tuple[str, str, Case, dict[str, Any] | None]]:
    """Return what is measured, by its key: what it is, in which domain, the call, its search's arguments."""
    queries, k, ids = context.corpus.queries, context.k, context.corpus.ids
    words = [" ".join(text.split()[:3]) for text in context.corpus.contents[: len(queries)]]

    def search(**given: Any) -> Case:
        return lambda docs, position: docs.search(queries[position], k, **given)

    def written(docs: AsyncCollection, position: int, count: int) -> Awaitable[Any]:
        # Another text each time, so that the row is written and not only compared.
        stamp = f"{position} {os.urandom(4).hex()}"
        records = [Record(id=f"w{n}", embedding=queries[n % len(queries)], content=stamp) for n in range(count)]
        return docs.upsert(records)

    searches: dict[str, tuple[str, str, dict[str, Any]]] = {
        "search.index": ("by the vector index", "red", {}),
        "search.exact": (f"all {_SMALL} rows of a domain", "small", {}),
        "search.exact.large": ("all rows of a domain, exact", "red", {"options": SearchOptions(exact=True)}),
        "search.text": ("by a field of texts", "red", {"filter": {"source": "source-3"}}),
        "search.number": ("by a field of numbers", "red", {"filter": {"tenth": 3}}),
        "search.half": ("metadata, 1 of 2 rows", "red", {"filter": {"half": True}}),
        "search.hundredth": ("metadata, 1 of 100 rows", "red", {"filter": {"hundredth": 3}}),
        "search.thousandth": ("metadata, 1 of 1,000 rows", "red", {"filter": {"thousandth": 3}}),
        "search.two": ("metadata, two keys", "red", {"filter": {"hundredth": 3, "half": True}}),
        "search.range": ("metadata, a range", "red", {"filter": {"hundredth": {"$lt": 5}}}),
    }
    found: dict[str, tuple[str, str, Case, dict[str, Any] | None]] = {
        key: (f"search, {what}", domain, search(**given), given) for key, (what, domain, given) in searches.items()
    }
    found |= {
        "keyword": ("search_keyword, 3 words", "red", lambda docs, p: docs.search_keyword(words[p], k), None),
        "hybrid": ("search_hybrid", "red", lambda docs, p: docs.search_hybrid(words[p], queries[p], k), None),
        "get": ("get, 10 ids", "red", lambda docs, p: docs.get(ids[p * 10 : p * 10 + 10]), None),
        "list": ("list, 100 rows", "red", lambda docs, p: docs.list(limit=100, after=ids[p]), None),
        "count": ("count", "small", lambda docs, _: docs.count(), None),
        "count.filter": ("count, by metadata", "red", lambda docs, _: docs.count({"thousandth": 3}), None),
        "upsert.1": ("upsert, 1 row", "small", lambda docs, p: written(docs, p, 1), None),
        "upsert.100": ("upsert, 100 rows", "small", lambda docs, p: written(docs, p, 100), None),
    }
    return found


async def _measure(context: Context, wanted: list[str]) -> list[tuple[str, tuple[str, str]]]:
    """Measure each case; return the rows of the table that shows it."""
    shown: list[tuple[str, tuple[str, str]]] = []
    pool = PoolConfig(server_settings={"role": _ROLE})
    async with AsyncClient(context.url, pool=pool) as client:
        for key, (what, domain, call, given) in _cases(context).items():
            if not any(key.startswith(start) for start in wanted):
                continue
            docs = {name: client.collection(_config(name, context.corpus.dimensions)).domain(domain) for name in _NAMES}
            plans = {name: await _plan(one, context, given) for name, one in docs.items()}
            ways = {name: _bound(call, one) for name, one in docs.items()}
            passes = [await in_turn(ways, len(context.corpus.queries)) for _ in range(_WARM_UPS + context.repeats)]
            _add(context, key, what, passes[_WARM_UPS:])
            shown.append((key, (what, " / ".join(dict.fromkeys(plans.values())))))
            print(f"  {what}: {context.findings.figures[f'ratio.{key}'].median:.3f}", flush=True)
    return shown


async def _plan(docs: AsyncCollection, context: Context, given: dict[str, Any] | None) -> str:
    if given is None:
        return ""
    return (await docs.explain(context.corpus.queries[0], context.k, **given)).access.value


def _bound(call: Case, docs: AsyncCollection) -> Search:
    return lambda position: call(docs, position)


def _add(context: Context, key: str, what: str, passes: list[dict[str, list[float]]]) -> None:
    for name, how in _NAMES.items():
        medians = [statistics.median(times[name]) for times in passes]
        context.findings.add(f"{name}.{key}", f"{what}, {how}", "ms", medians)
    ratios = [
        statistics.median(mine / other for mine, other in zip(times["secured"], times["open"], strict=True))
        for times in passes
    ]
    context.findings.add(
        f"ratio.{key}", f"{what}, with over without", "", ratios, targets=[Target(bound=_MOST, at_least=False)]
    )
