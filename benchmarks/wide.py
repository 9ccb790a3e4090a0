"""Embeddings of more dimensions than pgvector indexes as they are."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks import samples, steady, tables
from benchmarks.context import Context
from benchmarks.figures import Target
from benchmarks.truth import Oracle
from pgrecall import AsyncClient, CollectionConfig
from pgrecall.errors import ConfigError
from pgrecall.plan import Access

DIMENSIONS: Final = 3_072
ROWS: Final = 20_000

_NAME: Final = "wide"


def measure(context: Context) -> None:
    """Measure searching after ``create_index()``, without a filter.

    Args:
        context: The rows, with embeddings of *DIMENSIONS* dimensions.
    """
    try:
        measured = asyncio.run(_measure(context))
    except ConfigError as error:
        _add_indexed(context, indexed=False, note=str(error))
        return
    add, what = context.findings.add, f"{len(context.corpus):,} rows of {DIMENSIONS} dimensions"
    _add_indexed(context, indexed=measured.plan.access is not Access.EXACT, note=str(measured.plan))
    add(
        "wide.recall",
        f"{what}: recall@{context.k}",
        "",
        [measured.judgement.recall],
        targets=[Target(bound=0.97, at_least=True)],
    )
    add("wide.p50", f"{what}: p50", "ms", measured.p50)
    add("wide.p95", f"{what}: p95", "ms", measured.p95, against="wide.p50")


def _add_indexed(context: Context, *, indexed: bool, note: str) -> None:
    context.findings.add(
        "wide.indexed",
        f"{len(context.corpus):,} rows of {DIMENSIONS} dimensions: searched by index",
        "",
        [int(indexed)],
        targets=[Target(bound=1, at_least=True)],
        note=note,
    )


async def _measure(context: Context) -> steady.Measured:
    config = CollectionConfig(name=_NAME, dimensions=DIMENSIONS)
    seconds = await tables.load(context, config)
    context.findings.add("wide.index", f"create_index() at {DIMENSIONS} dimensions", "s", [seconds["index"]])
    async with AsyncClient(context.url) as client:
        docs = client.collection(config)
        return await steady.search(docs, context, Oracle(context.corpus, context.k), None)


def note() -> str:
    """Return how the rows were made."""
    return (
        f"the embeddings of {DIMENSIONS} dimensions are the given ones in a random basis of {DIMENSIONS} dimensions, "
        f"with Gaussian noise of length {samples.WIDE_NOISE:g} added, at unit length again"
    )
