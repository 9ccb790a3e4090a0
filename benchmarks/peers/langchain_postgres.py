"""langchain-postgres: PGVectorStore with an id of text, and the metadata in its JSON column."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

from langchain_core.embeddings import FakeEmbeddings
from langchain_postgres import Column, PGEngine, PGVectorStore
from langchain_postgres.v2.indexes import HNSWQueryOptions

from benchmarks.peers.rows import Answers, Rows, dialect, execute, hnsw, time_each_async

_TABLE = "peer_langchain"


class Peer:
    """A store of langchain-postgres."""

    version = importlib.metadata.version("langchain-postgres")
    upserts = True

    def __init__(self, url: str, dimensions: int) -> None:
        self._url = url
        self._dimensions = dimensions
        self._engine = PGEngine.from_connection_string(dialect(url, "asyncpg"))
        self._engine.init_vectorstore_table(
            _TABLE, dimensions, id_column=Column("langchain_id", "TEXT", nullable=False)
        )
        self._store = self._open()

    def load(self, rows: Rows) -> Callable[[], None]:
        """Return what writes *rows*."""
        return lambda: self._store.add_embeddings(rows.contents, rows.embeddings, rows.metadatas, rows.ids)

    def fill(self, source: str) -> None:
        """Replace what is there by all rows of *source*, and index them."""
        execute(
            self._url,
            f"TRUNCATE {_TABLE}",
            f"INSERT INTO {_TABLE} (langchain_id, content, embedding, langchain_metadata) "
            f"SELECT id, content, embedding, metadata::json FROM {source}",
            hnsw(_TABLE, "embedding"),
            f"VACUUM ANALYZE {_TABLE}",
        )

    def searcher(self, k: int, ef_search: int | None) -> Callable[[list[list[float]]], Answers]:
        """Return what runs all queries; without options it sets no ef_search, and the server's is 40."""
        store = self._open(None if ef_search is None else HNSWQueryOptions(ef_search=ef_search))

        async def search(query: list[float]) -> list[str]:
            return [document.id for document in await store.asimilarity_search_by_vector(query, k=k)]

        # On the loop of its own background thread, to which its connections belong: that saves it the way there.
        return lambda queries: self._engine._run_as_sync(time_each_async(queries, search))  # noqa: SLF001

    def _open(self, options: Any = None) -> PGVectorStore:
        return PGVectorStore.create_sync(
            self._engine, FakeEmbeddings(size=self._dimensions), _TABLE, index_query_options=options
        )
