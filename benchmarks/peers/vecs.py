"""vecs: blocking only, ids and metadata, no text of its own (it goes into the metadata)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

import vecs as library

from benchmarks.peers.rows import CONTENT, Answers, Condition, Inexpressible, Rows, dialect, execute, time_each

_NAME = "peer_vecs"


class Peer:
    """A collection of vecs."""

    version = importlib.metadata.version("vecs")
    upserts = True
    table = f'vecs."{_NAME}"'

    def __init__(self, url: str, dimensions: int, fields: Mapping[str, str]) -> None:
        del fields  # it has one index for all metadata, and no columns
        self._url = url
        self._collection = library.create_client(dialect(url, "psycopg2")).get_or_create_collection(
            name=_NAME, dimension=dimensions
        )

    def load(self, rows: Rows) -> Callable[[], None]:
        """Return what writes *rows*."""
        columns = zip(rows.ids, rows.embeddings, rows.contents, rows.metadatas, strict=True)
        records = [(id, vector, {**metadata, "content": text}) for id, vector, text, metadata in columns]
        return lambda: self._collection.upsert(records, skip_adapter=True)

    def fill(self, source: str) -> None:
        """Replace what is there by all rows of *source*, and index them."""
        execute(
            self._url,
            f'TRUNCATE vecs."{_NAME}"',
            f'INSERT INTO vecs."{_NAME}" (id, vec, metadata) '
            f"SELECT id, embedding, metadata || jsonb_build_object('content', content) FROM {source}",
        )
        self._collection.create_index(
            measure=library.IndexMeasure.cosine_distance,
            method=library.IndexMethod.hnsw,
            index_arguments=library.IndexArgsHNSW(m=16, ef_construction=64),
        )
        execute(self._url, f'VACUUM ANALYZE vecs."{_NAME}"')

    def searcher(
        self, k: int, ef_search: int | None, filter: Condition | None = None
    ) -> Callable[[list[list[float]]], Answers]:
        """Return what runs all queries; vecs' own default is 40."""
        filters = _translated(filter)

        def search(query: list[float]) -> list[str]:
            found = self._collection.query(
                query,
                limit=k,
                filters=filters,
                include_value=True,
                include_metadata=True,
                ef_search=ef_search,
                skip_adapter=True,
            )
            return [row[0] for row in found]

        return lambda queries: time_each(queries, search)


def _translated(filter: Condition | None) -> dict[str, Any] | None:
    """Return *filter* as vecs wants it: one operator in each mapping."""
    parts: list[dict[str, Any]] = []
    for key, condition in (filter or {}).items():
        if key == CONTENT:
            raise Inexpressible("it filters by metadata only, and finds no part of a text")
        operators = condition if isinstance(condition, dict) else {"$eq": condition}
        parts += [{key: {operator: value}} for operator, value in operators.items()]
    if len(parts) < 2:
        return parts[0] if parts else None
    return {"$and": parts}
