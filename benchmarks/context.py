"""What every part of a question works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import asyncpg

from benchmarks.corpus import Corpus
from benchmarks.figures import Findings
from pgrecall import AsyncClient, AsyncCollection, RecordBatch
from pgrecall.planner import costs

SEARCHED = "searched"
"""The collection that all searching goes to."""


@dataclass(slots=True, kw_only=True)
class Context:
    """One run.

    Attributes:
        url: The database, which is ours alone.
        corpus: The rows.
        findings: Where figures go.
        repeats: How often each thing is measured.
        k: Rows that a search returns.
        concurrency: Tasks that search at once, where more than one does.
    """

    url: str
    corpus: Corpus
    findings: Findings = field(default_factory=Findings)
    repeats: int = 3
    k: int = 10
    concurrency: int = 8

    @property
    def ef_search(self) -> int:
        """What the engine searches an HNSW index of all rows with, unless told otherwise."""
        return costs.default_ef_search(len(self.corpus))

    async def execute(self, *statements: str) -> None:
        """Run statements outside of transactions, on a connection of their own."""
        connection = await asyncpg.connect(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def settle(self) -> None:
        """Have the server write out what it holds back, so that it does not do so during a measurement."""
        asyncio.run(self.execute("CHECKPOINT"))


def as_batch(corpus: Corpus) -> RecordBatch:
    """Return *corpus* as the engine takes it fastest."""
    return RecordBatch(ids=corpus.ids, contents=corpus.contents, metadatas=corpus.metadatas, embeddings=corpus.vectors)


async def fresh(client: AsyncClient, name: str, dimensions: int) -> AsyncCollection:
    """Return an empty collection; one that exists is dropped."""
    if name in await client.list_collections():
        await client.delete_collection(name)
    return await client.create_collection(name, dimensions=dimensions)
