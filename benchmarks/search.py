"""How long one search takes: by hand, through the engine, and through the adapters; query by query in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from benchmarks import adapters, raw
from benchmarks.context import SEARCHED, Context, as_batch, fresh
from benchmarks.corpus import recall
from benchmarks.figures import Target, percentile
from benchmarks.timing import Search, in_turn, timed
from pgrecall import HNSW, AsyncClient, Client
from pgrecall.plan import Access

_LIMITS = {"engine": 1.15, "langchain": 1.3, "llama_index": 1.5}
_TITLES = {
    "raw": "raw asyncpg",
    "engine": "engine, async",
    "langchain": "LangChain, async",
    "llama_index": "LlamaIndex, async",
}


def measure(context: Context) -> None:
    """Measure single searches from one task, and how good their answers are."""
    make_searchable(context)
    passes, answers = asyncio.run(_search(context))
    add = context.findings.add
    for name in answers:
        targets = [Target(bound=_LIMITS[name], at_least=False, against="search.raw")] if name in _LIMITS else []
        medians = [percentile(times[name], 50) for times in passes]
        add(f"search.{name}", f"search p50, {_TITLES[name]}", "ms", medians, targets=targets)
    for name in answers:
        tails = [percentile(times[name], 95) for times in passes]
        add(f"p95.{name}", f"search p95, {_TITLES[name]}", "ms", tails, against="p95.raw")
    truth = context.corpus.nearest(context.k)
    for name, found in answers.items():
        ids = [_ids(answer) for answer in found]
        add(f"recall.{name}", f"recall@{context.k}, {_TITLES[name]}", "", [recall(truth, ids)])


async def engine_recall(context: Context, truth: list[frozenset[str]]) -> float:
    """Return the share of the true nearest rows that the engine finds by default."""
    async with AsyncClient(context.url) as client:
        search = _engine(client, context)
        return recall(truth, [_ids(await search(position)) for position in range(len(truth))])


def measure_blocking(context: Context) -> None:
    """Measure what a blocking search costs over an asynchronous one."""
    make_searchable(context)
    queries = context.corpus.queries
    passes: list[tuple[list[float], list[float]]] = []
    with asyncio.Runner() as runner, Client(context.url) as blocking:
        client = AsyncClient(context.url)
        searches = _engine(client, context)
        plain = blocking.collection(SEARCHED)

        def once(position: int) -> float:
            start = time.perf_counter()
            plain.search(queries[position], context.k)
            return (time.perf_counter() - start) * 1_000

        for _ in range(context.repeats + 1):
            times: tuple[list[float], list[float]] = ([], [])
            for position in range(len(queries)):
                ways = (lambda p: runner.run(timed(searches, p)), once)
                for way in (0, 1) if position % 2 else (1, 0):
                    times[way].append(ways[way](position))
            passes.append(times)
        runner.run(client.close())
    extra = [
        percentile([b - a for a, b in zip(*times, strict=True)], 50) for times in passes[1:]
    ]  # the first pass warms up
    context.findings.add(
        "search.blocking", "search p50, engine, blocking", "ms", [percentile(times[1], 50) for times in passes[1:]]
    )
    context.findings.add(
        "blocking.extra",
        "  blocking over async, p50 of the differences",
        "ms",
        extra,
        targets=[Target(bound=0.2, at_least=False)],
    )


def measure_concurrent(context: Context) -> None:
    """Measure throughput with several tasks at once."""
    make_searchable(context)
    rates = asyncio.run(_concurrent(context))
    add, tasks = context.findings.add, context.concurrency
    add("qps.raw", f"{tasks} tasks, raw asyncpg, pool of {tasks}", "QPS", rates["pool"])
    add("qps.dedicated", f"{tasks} tasks, raw asyncpg, a connection each", "QPS", rates["dedicated"], against="qps.raw")
    add(
        "qps.engine",
        f"{tasks} tasks, engine",
        "QPS",
        rates["engine"],
        targets=[Target(bound=0.9, at_least=True, against="qps.raw")],
    )


def make_searchable(context: Context) -> None:
    """Load and index the collection that is searched, unless that is done already."""

    async def make() -> None:
        async with AsyncClient(context.url) as client:
            if SEARCHED in await client.list_collections():
                return
            docs = await fresh(client, SEARCHED, context.corpus.dimensions)
            # The fullest rows there are, so that no adapter finds less than what it writes itself.
            if not await adapters.fill(client, SEARCHED, context.corpus):
                await docs.upsert(as_batch(context.corpus))
            await docs.create_index(HNSW(m=16, ef_construction=64))
        await context.execute(f"VACUUM ANALYZE {SEARCHED}", "CHECKPOINT")

    asyncio.run(make())


async def _search(context: Context) -> tuple[list[dict[str, list[float]]], dict[str, list[Any]]]:
    """Return the times of each pass in ms, and the answers of the first one, which warms up."""
    count = len(context.corpus.queries)
    async with AsyncExitStack() as stack:
        searches: dict[str, Search] = {"raw": await _raw(stack, context)}
        client = await stack.enter_async_context(AsyncClient(context.url))
        searches["engine"] = _engine(client, context)
        await _check_plan(client, context)
        searches |= adapters.searches(client, context)
        answers = {name: [await search(p) for p in range(count)] for name, search in searches.items()}
        passes = [await in_turn(searches, count) for _ in range(context.repeats)]
    return passes, answers


def _ids(answer: Any) -> list[str]:
    """Return the ids of an answer: LlamaIndex's has them, others are rows, matches or documents."""
    if hasattr(answer, "ids"):
        return list(answer.ids)
    return [row.id if hasattr(row, "id") else row["id"] for row in answer]


async def _raw(stack: AsyncExitStack, context: Context) -> Search:
    connection = await raw.connect(context.url, context.ef_search)
    stack.push_async_callback(connection.close)
    statement = raw.search_statement(SEARCHED, context.k)
    queries = context.corpus.queries
    if not await raw.uses_vector_index(connection, statement, queries[0]):
        context.findings.notes.append("raw asyncpg did NOT use the vector index: its figures mean nothing")
    prepared = await connection.prepare(statement)
    return lambda position: prepared.fetch(queries[position])


def _engine(client: AsyncClient, context: Context) -> Search:
    docs, queries, k = client.collection(SEARCHED), context.corpus.queries, context.k
    return lambda position: docs.search(queries[position], k)


async def _check_plan(client: AsyncClient, context: Context) -> None:
    plan = await client.collection(SEARCHED).explain(context.corpus.queries[0], context.k)
    if plan.access is not Access.INDEX:
        context.findings.notes.append(f"the engine did NOT use the vector index: {plan}")


async def _concurrent(context: Context) -> dict[str, list[float]]:
    """Return queries a second of each way, all in each repetition."""
    statement = raw.search_statement(SEARCHED, context.k)
    queries = context.corpus.queries
    rates: dict[str, list[float]] = {"pool": [], "dedicated": [], "engine": []}
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await raw.pool(context.url, context.concurrency, context.ef_search))
        client = await stack.enter_async_context(AsyncClient(context.url))
        own = [await raw.connect(context.url, context.ef_search) for _ in range(context.concurrency)]
        for connection in own:
            stack.push_async_callback(connection.close)

        async def pooled(_: int, position: int) -> Any:
            async with pool.acquire() as connection:
                return await connection.fetch(statement, queries[position])

        engine = _engine(client, context)
        ways: dict[str, Callable[[int, int], Awaitable[Any]]] = {
            "pool": pooled,
            "dedicated": lambda task, position: own[task].fetch(statement, queries[position]),
            "engine": lambda _, position: engine(position),
        }
        for repetition in range(context.repeats + 3):
            for name, way in ways.items():
                rate = await _throughput(way, context.concurrency, len(queries))
                if repetition:  # the first one warms up
                    rates[name].append(rate)
    return rates


async def _throughput(way: Callable[[int, int], Awaitable[Any]], tasks: int, queries: int) -> float:
    """Return queries a second: each task runs a share of twice the queries, one after the other."""

    async def run(task: int) -> None:
        for position in range(task, 2 * queries, tasks):
            await way(task, position % queries)

    start = time.perf_counter()
    await asyncio.gather(*(run(task) for task in range(tasks)))
    return 2 * queries / (time.perf_counter() - start)
