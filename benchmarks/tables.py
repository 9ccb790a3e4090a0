"""The collections that filtered search is measured on: one for each size, made when it is first asked for."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from benchmarks.context import Context, as_batch
from pgrecall import AsyncClient, CollectionConfig

FIELDS: Final[dict[str, Any]] = {
    "$content": str,
    "source": str,
    "language": str,
    "platform": str,
    "year": int,
    "half": bool,
    "tenth": int,
}
"""What is declared; all other keys are looked up in the metadata."""


def make(context: Context) -> CollectionConfig:
    """Load and index the rows of *context*, unless that is done already; return what the collection is."""
    size = len(context.corpus)
    config = CollectionConfig(name=f"filtered_{size}", dimensions=context.corpus.dimensions, fields=FIELDS)
    seconds = asyncio.run(load(context, config))
    for step, what in (("load", "upsert"), ("index", "create_index(), with all that filters need")):
        if step in seconds:
            context.findings.add(f"{step}.{size}", f"{what}, {size:,} rows", "s", [seconds[step]])
    return config


async def load(context: Context, config: CollectionConfig) -> dict[str, float]:
    """Load and index a collection; return how long each step took, nothing where the collection exists."""
    async with AsyncClient(context.url) as client:
        if config.name in await client.list_collections():
            return {}
        docs = await client.create_collection(config)
        start = time.perf_counter()
        await docs.upsert(as_batch(context.corpus))
        loaded = time.perf_counter()
        await docs.create_index()
        indexed = time.perf_counter()
    # What autovacuum does within minutes of a load: the visibility map, without which no index is covering.
    await context.execute(f"VACUUM ANALYZE {config.name}", "CHECKPOINT")
    return {"load": loaded - start, "index": indexed - loaded}
