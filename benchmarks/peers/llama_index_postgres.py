"""llama-index-vector-stores-postgres: PGVectorStore with JSONB metadata.

Fields that are declared get the indexes on expressions that it makes for keys named to it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.vector_stores.postgres import PGVectorStore

from benchmarks.peers.nodes import chunks
from benchmarks.peers.rows import (
    CONTENT,
    Answers,
    Condition,
    Inexpressible,
    Rows,
    dialect,
    execute,
    hnsw,
    time_each_async,
)

_NAME = "peer_llama"
_TABLE = f"data_{_NAME}"
_HNSW = {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40, "hnsw_dist_method": "vector_cosine_ops"}
# It compares every number as a float, and all else as text.
_TYPES = {"str": "text", "int": "float", "bool": "text"}
_OPERATORS = {"$gte": FilterOperator.GTE, "$lte": FilterOperator.LTE, "$in": FilterOperator.IN}
# One of its own rows is the pattern for those that are written by hand: only id and metadata differ.
_FILL = """
    INSERT INTO {table} (node_id, text, embedding, metadata_)
    SELECT source.id, source.content, source.embedding,
           pattern.metadata_ || source.metadata || jsonb_build_object('_node_content',
               ((pattern.metadata_ ->> '_node_content')::jsonb
                || jsonb_build_object('id_', source.id, 'metadata', source.metadata))::text)
    FROM {source} AS source, (SELECT metadata_ FROM {table} LIMIT 1) AS pattern
"""


class Peer:
    """A store of LlamaIndex's own integration."""

    version = importlib.metadata.version("llama-index-vector-stores-postgres")
    upserts = False
    table = _TABLE

    def __init__(self, url: str, dimensions: int, fields: Mapping[str, str]) -> None:
        self._url = url
        self._indexed = {(name, _TYPES[kind]) for name, kind in fields.items()}
        self._dimensions = dimensions
        self._store = self._open(None)

    def load(self, rows: Rows) -> Callable[[], None]:
        """Return what writes *rows*."""
        columns = zip(rows.ids, rows.contents, rows.metadatas, rows.embeddings, strict=True)
        nodes = [
            TextNode(
                id_=id,
                text=text,
                metadata=metadata,
                embedding=vector,
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=id.rpartition(":")[0] or id)},
            )
            for id, text, metadata, vector in columns
        ]
        return lambda: self._store.add(nodes)

    def hybrid(self, rows: Rows, asked: Sequence[tuple[str, list[float]]], k: int) -> dict[str, list[list[str]]]:
        """Return what hybrid search finds: both lists, of k and of half of it, one behind the other."""
        store = PGVectorStore.from_params(
            connection_string=dialect(self._url, "psycopg2"),
            async_connection_string=dialect(self._url, "asyncpg"),
            table_name=f"{_NAME}_hybrid",
            embed_dim=self._dimensions,
            hybrid_search=True,
            text_search_config="english",
        )
        columns = zip(rows.ids, rows.contents, rows.embeddings, strict=True)
        store.add([TextNode(id_=i, text=text, embedding=embedding) for i, text, embedding in columns])
        found: dict[str, list[list[str]]] = {}
        for name, each in (("union", k), ("union of halves", k // 2)):
            found[name] = [
                store.query(
                    VectorStoreQuery(
                        query_embedding=embedding,
                        query_str=question,
                        similarity_top_k=each,
                        sparse_top_k=each,
                        mode=VectorStoreQueryMode.HYBRID,
                    )
                ).ids
                for question, embedding in asked
            ]
        return found

    def node_tables(self) -> dict[str, tuple[str, Callable[[Rows], Callable[[], None]]]]:
        """Return two tables, one as it is made and one with its HNSW index, and what adds rows to it as chunks."""
        found: dict[str, tuple[str, Callable[[Rows], Callable[[], None]]]] = {}
        for name, options in (("plain", None), ("indexed", dict(_HNSW))):
            store = PGVectorStore.from_params(
                connection_string=dialect(self._url, "psycopg2"),
                async_connection_string=dialect(self._url, "asyncpg"),
                table_name=f"{_NAME}_{name}",
                embed_dim=self._dimensions,
                use_jsonb=True,
                hnsw_kwargs=options,
            )
            found[name] = f"{_TABLE}_{name}", lambda rows, store=store: _adding(store, rows)
        return found

    def fill(self, source: str) -> None:
        """Replace what is there by all rows of *source*, and index them."""
        execute(
            self._url,
            f"CREATE TABLE peer_pattern AS SELECT max(id) AS last FROM {_TABLE}",
            _FILL.format(table=_TABLE, source=source),
            f"DELETE FROM {_TABLE} WHERE id <= (SELECT last FROM peer_pattern)",
            "DROP TABLE peer_pattern",
            hnsw(_TABLE, "embedding"),
            f"VACUUM ANALYZE {_TABLE}",
        )

    def searcher(
        self, k: int, ef_search: int | None, filter: Condition | None = None
    ) -> Callable[[list[list[float]]], Answers]:
        """Return what runs all queries; without options it sets no ef_search, and the server's is 40."""
        store = self._open(ef_search)
        filters = None if filter is None else _translated(filter)

        async def search(query: list[float]) -> list[str]:
            wanted = VectorStoreQuery(query_embedding=query, similarity_top_k=k, filters=filters)
            found = await store.aquery(wanted)
            return [node.node_id for node in found.nodes]

        runner = asyncio.Runner()
        return lambda queries: runner.run(time_each_async(queries, search))

    def _open(self, ef_search: int | None) -> PGVectorStore:
        return PGVectorStore.from_params(
            connection_string=dialect(self._url, "psycopg2"),
            async_connection_string=dialect(self._url, "asyncpg"),
            table_name=_NAME,
            embed_dim=self._dimensions,
            use_jsonb=True,
            indexed_metadata_keys=self._indexed,
            hnsw_kwargs=None if ef_search is None else {"hnsw_ef_search": ef_search},
            perform_setup=ef_search is None,
        )


def _adding(store: PGVectorStore, rows: Rows) -> Callable[[], None]:
    nodes = chunks(rows, rows.embeddings)
    return lambda: store.add(nodes)


def _translated(filter: Condition) -> MetadataFilters:
    """Return *filter* as LlamaIndex's own; it has no truth values, which are texts for it."""
    found: list[Any] = []
    for key, condition in filter.items():
        if key == CONTENT:
            raise Inexpressible("it matches texts in the metadata only, not the node's own text")
        if isinstance(condition, dict):
            found += [MetadataFilter(key=key, value=v, operator=_OPERATORS[name]) for name, v in condition.items()]
        else:
            value = str(condition).lower() if isinstance(condition, bool) else condition
            found.append(MetadataFilter(key=key, value=value))
    return MetadataFilters(filters=found)
