"""How each way to the nearest rows grows with the table, and which one the engine chose where."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from benchmarks import steady, tables
from benchmarks.context import Context
from benchmarks.filters import Asked
from benchmarks.report import Grid
from benchmarks.truth import Oracle
from pgrecall import AsyncClient, CollectionConfig, SearchOptions
from pgrecall.errors import ConfigError
from pgrecall.plan import Access

SIZES: Final = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
ASKED: Final = ("none", "tenth", "source.middle", "language.large", "source.year")
WAYS: Final[Mapping[str, SearchOptions | None]] = {
    "exact": SearchOptions(exact=True),
    "index": SearchOptions(access=Access.INDEX),
    "iterative": SearchOptions(access=Access.ITERATIVE),
    "covering": SearchOptions(access=Access.COVERING),
    "partial": SearchOptions(access=Access.PARTIAL),
    "planned": None,
}
"""Each way, and how it is asked for."""

_QUERIES: Final = 50


def measure(context: Context, asked: Sequence[Asked], sizes: Sequence[int]) -> Grid:
    """Measure every way at all *sizes*, each the first rows of *context*, and return the table of figures."""
    rows: list[tuple[str, tuple[str, ...]]] = []
    queries = context.corpus.queries[:_QUERIES]
    for size in sizes:
        part = replace(context, corpus=replace(context.corpus.part(0, size), queries=queries), repeats=1)
        config = tables.make(part)
        for each in asked:
            if each.key in ASKED:
                chosen, matches = asyncio.run(_measure(part, config, each))
                rows.append((f"{size}.{each.key}", (f"{size:,}", each.title, f"{matches:,}", chosen)))
    columns = {f"growth.{figure}.{way}": f"{way} {unit}" for way in WAYS for figure, unit in _SHOWN.items()}
    return Grid(title="growth", labels=("rows", "filter", "matches", "chosen"), rows=rows, columns=columns)


_SHOWN: Final = {"p50": "ms", "recall": "recall"}


async def _measure(context: Context, config: CollectionConfig, asked: Asked) -> tuple[str, int]:
    """Measure every way with one filter; return which one was chosen, and how many rows pass."""
    oracle = Oracle(context.corpus, context.k)
    size, matches, chosen = len(context.corpus), oracle.matches(asked.filter), ""
    async with AsyncClient(context.url) as client:
        docs = client.collection(config)
        for way, options in WAYS.items():
            if way == "index" and asked.filter is not None:
                continue  # it filters nothing
            try:
                measured = await steady.search(docs, context, oracle, asked.filter, options)
            except ConfigError:
                continue  # no index serves it
            chosen = measured.plan.access.value
            name, what = f"{way}.{size}.{asked.key}", f"{size:,} rows, {asked.title}, {way}"
            add = context.findings.add
            add(
                f"growth.matches.{size}.{asked.key}", f"{size:,} rows, {asked.title}: rows that pass", "rows", [matches]
            )
            add(f"growth.p50.{name}", f"{what}: p50", "ms", measured.p50, note=str(measured.plan))
            add(f"growth.recall.{name}", f"{what}: recall@{context.k}", "", [measured.judgement.recall])
    return chosen, matches
