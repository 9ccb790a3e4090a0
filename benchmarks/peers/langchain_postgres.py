"""langchain-postgres: PGVectorStore with an id of text, and the metadata in its JSON column.

Fields that are declared get typed columns, which it writes and filters by itself.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings, FakeEmbeddings
from langchain_postgres import Column, PGEngine, PGVectorStore
from langchain_postgres.v2.hybrid_search_config import (
    HybridSearchConfig,
    reciprocal_rank_fusion,
    weighted_sum_ranking,
)
from langchain_postgres.v2.indexes import HNSWQueryOptions

from benchmarks.peers.rows import CONTENT, Answers, Condition, Rows, dialect, execute, hnsw, time_each_async

_TABLE = "peer_langchain"
_TYPES = {"str": "TEXT", "int": "INTEGER", "bool": "BOOLEAN"}


class Peer:
    """A store of langchain-postgres."""

    version = importlib.metadata.version("langchain-postgres")
    upserts = True
    table = _TABLE

    def __init__(self, url: str, dimensions: int, fields: Mapping[str, str]) -> None:
        self._url = url
        self._types = {name: _TYPES[kind] for name, kind in fields.items()}
        self._dimensions = dimensions
        self._engine = PGEngine.from_connection_string(dialect(url, "asyncpg"))
        self._engine.init_vectorstore_table(
            _TABLE,
            dimensions,
            id_column=Column("langchain_id", "TEXT", nullable=False),
            metadata_columns=[Column(name, kind) for name, kind in self._types.items()],
        )
        self._store = self._open()

    def load(self, rows: Rows) -> Callable[[], None]:
        """Return what writes *rows*."""
        return lambda: self._store.add_embeddings(rows.contents, rows.embeddings, rows.metadatas, rows.ids)

    def add_documents(self, rows: Rows) -> Callable[[], None]:
        """Return what adds *rows* as documents, with a model that has embedded them already."""
        entries = zip(rows.ids, rows.contents, rows.metadatas, strict=True)
        documents = [Document(id=i, page_content=content, metadata=metadata) for i, content, metadata in entries]
        model = _Known(dict(zip(rows.contents, rows.embeddings, strict=True)))
        return lambda: PGVectorStore.from_documents(documents, model, engine=self._engine, table_name=_TABLE)

    def hybrid(self, rows: Rows, asked: Sequence[tuple[str, list[float]]], k: int) -> dict[str, list[list[str]]]:
        """Return what hybrid search finds: by default, and with 100 of each search and ranks fused."""
        table = f"{_TABLE}_hybrid"
        column = "content_tsv"
        self._engine.init_vectorstore_table(
            table,
            self._dimensions,
            id_column=Column("langchain_id", "TEXT", nullable=False),
            hybrid_search_config=HybridSearchConfig(tsv_column=column, tsv_lang="pg_catalog.english"),
        )
        settings = {
            "weighted sum": {"fusion_function": weighted_sum_ranking, "primary_top_k": k, "secondary_top_k": k},
            "weighted sum of 100": {"primary_top_k": 100, "secondary_top_k": 100},
            "reciprocal ranks of 100": {
                "fusion_function": reciprocal_rank_fusion,
                "primary_top_k": 100,
                "secondary_top_k": 100,
            },
        }
        found: dict[str, list[list[str]]] = {}
        for name, options in settings.items():

            def config(question: str = "", options: Mapping[str, Any] = options) -> HybridSearchConfig:
                # A new one for each question: a store keeps the first question for all that follow.
                return HybridSearchConfig(
                    tsv_column=column, tsv_lang="pg_catalog.english", fts_query=question, **options
                )

            store = PGVectorStore.create_sync(
                self._engine,
                FakeEmbeddings(size=self._dimensions),
                table,
                k=k,
                hybrid_search_config=config(),
            )
            if not found:
                store.add_embeddings(rows.contents, rows.embeddings, rows.metadatas, rows.ids)
            found[name] = [
                [
                    document.id
                    for document in store.similarity_search_by_vector(
                        embedding, k=k, hybrid_search_config=config(question)
                    )
                ]
                for question, embedding in asked
            ]
        return found

    def fill(self, source: str) -> None:
        """Replace what is there by all rows of *source*, and index them."""
        columns = "".join(f", {name}" for name in self._types)
        values = "".join(f", (metadata ->> '{name}')::{kind}" for name, kind in self._types.items())
        execute(
            self._url,
            f"TRUNCATE {_TABLE}",
            f"INSERT INTO {_TABLE} (langchain_id, content, embedding, langchain_metadata{columns}) "
            f"SELECT id, content, embedding, metadata::json{values} FROM {source}",
            hnsw(_TABLE, "embedding"),
            f"VACUUM ANALYZE {_TABLE}",
        )

    def searcher(
        self, k: int, ef_search: int | None, filter: Condition | None = None
    ) -> Callable[[list[list[float]]], Answers]:
        """Return what runs all queries; without options it sets no ef_search, and the server's is 40."""
        store = self._open(None if ef_search is None else HNSWQueryOptions(ef_search=ef_search))
        options = {} if filter is None else {"filter": _translated(filter)}

        async def search(query: list[float]) -> list[str]:
            return [document.id for document in await store.asimilarity_search_by_vector(query, k=k, **options)]

        # On the loop of its own background thread, to which its connections belong: that saves it the way there.
        return lambda queries: self._engine._run_as_sync(time_each_async(queries, search))  # noqa: SLF001

    def _open(self, options: Any = None) -> PGVectorStore:
        return PGVectorStore.create_sync(
            self._engine,
            FakeEmbeddings(size=self._dimensions),
            _TABLE,
            metadata_columns=list(self._types),
            index_query_options=options,
        )


class _Known(Embeddings):
    """A model that has embedded its texts already."""

    def __init__(self, embeddings: Mapping[str, list[float]]) -> None:
        self._embeddings = embeddings

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._embeddings[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._embeddings[text]


def _translated(filter: Condition) -> dict[str, Any]:
    """Return *filter* as langchain-postgres wants it: one operator for each key."""
    found: dict[str, Any] = {}
    for key, condition in filter.items():
        if key == CONTENT:
            found["content"] = {"$like": f"%{condition['$contains']}%"}
        elif isinstance(condition, dict) and "$gte" in condition:
            found[key] = {"$between": [condition["$gte"], condition["$lte"]]}
        else:
            found[key] = condition
    return found
