"""What all peers share: rows read from files, SQL by hand, and how queries are timed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

Answers = tuple[list[float], list[list[str]]]
"""Milliseconds of each query, and the ids that it found."""

Condition = dict[str, Any]
"""A filter in the engine's language: keys to values, or to ``$gte`` with ``$lte``, ``$in`` or ``$contains``."""

CONTENT = "$content"
"""What stands for the text in a filter."""


class Inexpressible(Exception):
    """A peer's language has no words for a filter; the message says why."""


@dataclass(frozen=True)
class Rows:
    """Rows to write.

    Attributes:
        ids: n ids.
        contents: n texts.
        metadatas: n JSON objects.
        embeddings: n lists of numbers, as the frameworks' models return them.
    """

    ids: list[str]
    contents: list[str]
    metadatas: list[dict[str, Any]]
    embeddings: list[list[float]]

    @property
    def dimensions(self) -> int:
        """Length of the embeddings."""
        return len(self.embeddings[0])

    def first(self, count: int) -> Rows:
        """Return the first *count* rows, or all where there are fewer."""
        return Rows(self.ids[:count], self.contents[:count], self.metadatas[:count], self.embeddings[:count])

    @classmethod
    def read(cls, directory: Path, name: str) -> Rows:
        """Return the rows of that name."""
        columns = json.loads((directory / f"{name}.json").read_text())
        return cls(**columns, embeddings=np.load(directory / f"{name}.npy").tolist())


def execute(url: str, *statements: str) -> None:
    """Run statements by hand, outside of transactions."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def hnsw(table: str, column: str) -> str:
    """Return the statement that builds the index that everybody is measured with."""
    return f"CREATE INDEX ON {table} USING hnsw ({column} vector_cosine_ops) WITH (m = 16, ef_construction = 64)"


def dialect(url: str, driver: str) -> str:
    """Return *url* as SQLAlchemy wants it."""
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


def time_each(queries: list[list[float]], search: Callable[[list[float]], list[str]]) -> Answers:
    """Run a blocking search for each query."""
    times: list[float] = []
    found: list[list[str]] = []
    for query in queries:
        start = time.perf_counter()
        ids = search(query)
        times.append((time.perf_counter() - start) * 1_000)
        found.append(ids)
    return times, found


async def time_each_async(queries: list[list[float]], search: Callable[[list[float]], Awaitable[list[str]]]) -> Answers:
    """Run an asynchronous search for each query, one after the other."""
    times: list[float] = []
    found: list[list[str]] = []
    for query in queries:
        start = time.perf_counter()
        ids = await search(query)
        times.append((time.perf_counter() - start) * 1_000)
        found.append(ids)
    return times, found
