"""How long the engine takes to build its HNSW index, next to ``CREATE INDEX`` as it comes."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from benchmarks import raw
from benchmarks.context import Context, as_batch, fresh
from benchmarks.figures import Target
from pgrecall import AsyncClient

BY_HAND: Final = "by_hand"
"""A table as the engine makes its own, with the rows, filled by hand; of one size at a time."""

_BUILT: Final = "built"
_DEFAULTS: Final = ("SET maintenance_work_mem = '64MB'", "SET max_parallel_maintenance_workers = 2")
_CREATE: Final = f"CREATE INDEX by_hand_hnsw ON {BY_HAND} USING hnsw (embedding vector_cosine_ops)"


def measure(context: Context) -> None:
    """Measure both ways, in turn; both tables hold the same rows and have the same other indexes."""
    fill(context)
    seconds = asyncio.run(_measure(context))
    size = len(context.corpus)
    context.findings.add(
        f"build.plain.{size}", f"{size:,} rows, CREATE INDEX … USING hnsw, server's defaults", "s", seconds["plain"]
    )
    context.findings.add(
        f"build.engine.{size}",
        f"{size:,} rows, create_index(), no fields",
        "s",
        seconds["engine"],
        targets=[Target(bound=0.6, at_least=False, against=f"build.plain.{size}")],
        note="server's defaults are maintenance_work_mem = 64 MB and max_parallel_maintenance_workers = 2",
    )


def fill(context: Context) -> None:
    """Make the table that is filled by hand, with the rows of *context* and no vector index."""

    async def run() -> None:
        connection = await raw.connect(context.url, context.ef_search)
        try:
            await raw.make_table(connection, BY_HAND, context.corpus.dimensions, indexed=True)
            await raw.load(connection, BY_HAND, context.corpus)
        finally:
            await connection.close()

    asyncio.run(run())
    asyncio.run(context.execute(f"VACUUM ANALYZE {BY_HAND}"))


async def _measure(context: Context) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"plain": [], "engine": []}
    async with AsyncClient(context.url) as client:
        docs = await fresh(client, _BUILT, context.corpus.dimensions)
        await docs.upsert(as_batch(context.corpus))
        await context.execute(f"VACUUM ANALYZE {_BUILT}")

        async def plain() -> None:
            await context.execute(*_DEFAULTS, _CREATE)

        async def engine() -> None:
            await docs.create_index()

        ways = {"plain": plain, "engine": engine}
        for repetition in range(context.repeats):
            # Who goes first changes, as the machine gets warmer and busier.
            for name in list(ways)[:: -1 if repetition % 2 else 1]:
                await context.execute("CHECKPOINT")
                start = time.perf_counter()
                await ways[name]()
                seconds[name].append(time.perf_counter() - start)
            await docs.drop_index()
            await context.execute("DROP INDEX by_hand_hnsw")
        await client.delete_collection(_BUILT)
    return seconds
