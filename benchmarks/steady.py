"""What a filter costs in the long run, what its first query costs more, and what no filter costs beside asyncpg."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import raw, tables
from benchmarks.context import Context
from benchmarks.figures import Target, percentile
from benchmarks.filters import Asked, Condition
from benchmarks.timing import Search, in_turn, one_pass, timed
from benchmarks.truth import Judgement, Oracle, ids_of
from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, Plan, SearchOptions

WARM_UPS: Final = 2
SMALL: Final = 50_000
"""Up to here the bounds for few rows hold, above it those for many."""

_FEW: Final = 1_000
_SURELY_EXACT: Final = 2_000
_BOUNDS: Final = {"few": (2, 3), "uncorrelated": (5, 8), "correlated": (10, 20)}
_FIRST: Final = 12
_REPEATED: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What searching with one filter gave.

    Attributes:
        plan: How it was searched.
        judgement: How good the answers were.
        p50: Median time of each pass, in ms.
        p95: What 95 % of the times of each pass do not exceed, in ms.
    """

    plan: Plan
    judgement: Judgement
    p50: list[float]
    p95: list[float]


def measure(context: Context, asked: Sequence[Asked], oracle: Oracle) -> None:
    """Measure every filter in the steady state."""
    config = tables.make(context)

    async def run() -> None:
        async with AsyncClient(context.url) as client:
            docs = client.collection(config)
            for each in asked:
                _add(context, each, await search(docs, context, oracle, each.filter))

    asyncio.run(run())


async def search(
    docs: AsyncCollection,
    context: Context,
    oracle: Oracle,
    filter: Condition | None,
    options: SearchOptions | None = None,
) -> Measured:
    """Return what searching with a filter gives, for all queries: first to warm up, then in each repetition."""
    queries, k = context.corpus.queries, context.k
    answers: list[list[str]] = []
    for _ in range(WARM_UPS):
        answers = [ids_of(await docs.search(query, k, filter=filter, options=options)) for query in queries]
    plan = await docs.explain(queries[0], k, filter=filter, options=options)
    passes = [await one_pass(_search(docs, context, filter, options), len(queries)) for _ in range(context.repeats)]
    return Measured(
        plan=plan,
        judgement=oracle.judge(filter, answers),
        p50=[percentile(times, 50) for times in passes],
        p95=[percentile(times, 95) for times in passes],
    )


def measure_first(context: Context, asked: Sequence[Asked]) -> None:
    """Measure how much longer the first query with a filter takes than those that come later."""
    config = tables.make(context)
    extras = asyncio.run(_first(context, config, [each for each in asked if each.filter is not None]))
    size = len(context.corpus)
    for each in asked:
        if each.key in extras:
            context.findings.add(
                f"first.{size}.{each.key}",
                f"{size:,} rows, first query with {each.title}, over the later ones",
                "ms",
                [percentile(extras[each.key], 50)],
                targets=[Target(bound=3, at_least=False)],
            )


def measure_unfiltered(context: Context) -> None:
    """Measure searching without a filter next to raw asyncpg, query by query, at the same ef_search."""
    config = tables.make(context)
    plan, passes = asyncio.run(_beside_raw(context, config))
    size = len(context.corpus)
    note = f"ef_search={plan.candidates} in both; raw asyncpg by hand, over the same table"
    for name, what, targets in (
        ("raw", "raw asyncpg", []),
        ("engine", "engine", [Target(bound=1.25, at_least=False, against=f"unfiltered.raw.{size}")]),
    ):
        medians = [percentile(times[name], 50) for times in passes]
        context.findings.add(
            f"unfiltered.{name}.{size}",
            f"{size:,} rows, no filter, p50, {what}",
            "ms",
            medians,
            targets=targets,
            note=note if name == "engine" else "",
        )


def _add(context: Context, asked: Asked, measured: Measured) -> None:
    judgement, size, add = measured.judgement, len(context.corpus), context.findings.add
    name, what = f"{size}.{asked.key}", f"{size:,} rows, {asked.title}"
    group = "few" if judgement.matches < _FEW else asked.kind
    bounds = [_BOUNDS[group][size > SMALL]] if group in _BOUNDS else []
    least = 0.98 if asked.filter is None else 1.0 if judgement.matches <= _SURELY_EXACT else 0.97
    add(f"matches.{name}", f"{what}: rows that pass", "rows", [judgement.matches])
    add(
        f"recall.{name}",
        f"{what}: recall@{context.k}",
        "",
        [judgement.recall],
        targets=[Target(bound=least, at_least=True)],
    )
    add(
        f"short.{name}",
        f"{what}: answers that are too short",
        "",
        [judgement.short],
        targets=[Target(bound=0, at_least=False)],
    )
    add(
        f"p50.{name}",
        f"{what}: p50",
        "ms",
        measured.p50,
        targets=[Target(bound=bound, at_least=False) for bound in bounds],
        note=str(measured.plan),
    )
    tail = Target(bound=2.5, at_least=False, against=f"p50.{name}")
    add(f"p95.{name}", f"{what}: p95", "ms", measured.p95, targets=[tail])
    if judgement.wrong:
        context.findings.notes.append(f"{what}: {judgement.wrong} rows were returned that do NOT pass, or twice")


async def _first(context: Context, config: CollectionConfig, asked: Sequence[Asked]) -> dict[str, list[float]]:
    """Return, for each filter, by how much the first query with others of its shape took longer, in ms.

    Where there are too few others, filters are asked again by a handle that knows nothing of them, nor of
    the table: that is looked up with a search without a filter.
    """
    extras: dict[str, list[float]] = {}
    async with AsyncClient(context.url) as client:
        used = client.collection(config)
        for each in asked:
            await _over_the_later(used, context, each.filter, 0)
            fresh = each.fresh or [each.filter]
            extras[each.key] = []
            for turn in range(_FIRST):
                docs = used
                if turn >= len(each.fresh):
                    docs = client.collection(config)
                    await docs.search(context.corpus.queries[0], context.k)
                extra = await _over_the_later(docs, context, fresh[turn % len(fresh)], turn)
                extras[each.key].append(extra)
    return extras


async def _over_the_later(docs: AsyncCollection, context: Context, filter: Condition | None, turn: int) -> float:
    """Return how much longer the first of several equal searches took than the later ones, in ms."""
    query = turn % len(context.corpus.queries)
    run = _search(docs, context, filter, None)
    first, _, *later = [await timed(run, query) for _ in range(_REPEATED)]
    return first - statistics.median(later)


async def _beside_raw(context: Context, config: CollectionConfig) -> tuple[Plan, list[dict[str, list[float]]]]:
    """Return the engine's plan, and the times of each pass."""
    queries, k = context.corpus.queries, context.k
    async with AsyncClient(context.url) as client:
        docs = client.collection(config)
        plan = await docs.explain(queries[0], k)
        connection = await raw.connect(context.url, plan.candidates or context.ef_search)
        try:
            prepared = await connection.prepare(raw.search_statement(config.name, k))
            ways: dict[str, Search] = {
                "raw": lambda position: prepared.fetch(queries[position]),
                "engine": _search(docs, context, None, None),
            }
            passes = [await in_turn(ways, len(queries)) for _ in range(WARM_UPS + context.repeats)]
        finally:
            await connection.close()
    return plan, passes[WARM_UPS:]


def _search(docs: AsyncCollection, context: Context, filter: Condition | None, options: SearchOptions | None) -> Search:
    queries, k = context.corpus.queries, context.k

    def run(position: int) -> Any:
        return docs.search(queries[position], k, filter=filter, options=options)

    return run
