"""What the engine is held against: asyncpg used by hand, as well as we know how.

Binary codecs, prepared statements, no reset query, the settings that searching wants, and no more.
"""

from __future__ import annotations

import struct
from typing import Any

import asyncpg
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.corpus import Corpus

COLUMNS = ("id", "content", "metadata", "embedding")
_SETTINGS = {"jit": "off", "random_page_cost": "1.1"}
_HEADER_BYTES = 4


class Connection(asyncpg.Connection):
    """A connection that goes back to its pool without a round trip."""

    def get_reset_query(self) -> str:
        """Nothing here leaves state behind."""
        return ""


async def register(connection: Any) -> None:
    """Register binary codecs: jsonb from objects, vector from an array or from what `encode` returns."""
    schema = await connection.fetchval(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        format="binary",
    )
    await connection.set_type_codec(
        "vector",
        schema=schema,
        encoder=_vector_out,
        decoder=lambda data: np.frombuffer(data, ">f4", offset=_HEADER_BYTES).astype(np.float32),
        format="binary",
    )


async def connect(url: str, ef_search: int) -> Any:
    """Return a connection with the codecs."""
    connection = await asyncpg.connect(url, connection_class=Connection, server_settings=_settings(ef_search))
    await register(connection)
    return connection


async def pool(url: str, size: int, ef_search: int) -> Any:
    """Return a pool of *size* open connections with the codecs."""
    return await asyncpg.create_pool(
        url,
        min_size=size,
        max_size=size,
        connection_class=Connection,
        server_settings=_settings(ef_search),
        init=register,
    )


def _settings(ef_search: int) -> dict[str, str]:
    return {**_SETTINGS, "hnsw.ef_search": str(ef_search)}


def _vector_out(value: Any) -> bytes | memoryview:
    if isinstance(value, memoryview):
        return value
    return struct.pack(">HH", len(value), 0) + value.astype(">f4").tobytes()


def encode(matrix: NDArray[np.float32]) -> list[memoryview]:
    """Return the rows of *matrix* in pgvector's binary format, the whole of it at one stroke."""
    count, dimensions = matrix.shape
    kind = np.dtype([("dimensions", ">u2"), ("zero", ">u2"), ("values", ">f4", (dimensions,))])
    rows = np.empty(count, kind)
    rows["dimensions"], rows["zero"], rows["values"] = dimensions, 0, matrix
    whole, size = rows.view(np.uint8).data, kind.itemsize
    return [whole[start : start + size] for start in range(0, count * size, size)]


async def make_table(connection: Any, name: str, dimensions: int, *, indexed: bool) -> None:
    """Make an empty table with a primary key.

    Args:
        connection: Where.
        name: Of the table; one that exists is dropped.
        dimensions: Length of the embeddings.
        indexed: Whether to make it as the engine makes its own: a key of domain and id, a column for the
            document, its index, a GIN index on the metadata, and the storage options.
    """
    await connection.execute(f"DROP TABLE IF EXISTS {name}")
    columns = f"content text, metadata jsonb NOT NULL, embedding vector({dimensions}) NOT NULL"
    if not indexed:
        await connection.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, {columns})")
        return
    await connection.execute(
        f"""
        CREATE TABLE {name} (
            domain_id text COLLATE "C" NOT NULL DEFAULT 'default', id text COLLATE "C" NOT NULL,
            document_id text, {columns}, PRIMARY KEY (domain_id, id)
        ) WITH (toast_tuple_target = 8160, fillfactor = 90);
        ALTER TABLE {name} ALTER COLUMN embedding SET STORAGE MAIN;
        CREATE INDEX ON {name} (domain_id, document_id);
        CREATE INDEX ON {name} USING gin (metadata jsonb_path_ops);
        """
    )


async def load(connection: Any, name: str, corpus: Corpus) -> None:
    """Write *corpus* with one binary COPY."""
    rows = zip(corpus.ids, corpus.contents, corpus.metadatas, encode(corpus.vectors), strict=True)
    await connection.copy_records_to_table(name, columns=COLUMNS, records=rows)


def search_statement(table: str, k: int) -> str:
    """Return the statement that finds the k nearest rows of a table of the engine's."""
    return (
        "SELECT id, content, metadata, document_id, chunk_index, embedding <=> $1 AS distance "
        f'FROM "{table}" ORDER BY embedding <=> $1 LIMIT {k}'
    )


async def uses_vector_index(connection: Any, statement: str, query: NDArray[np.float32]) -> bool:
    """Return whether *statement* takes its order from an index, which only a vector index can give."""
    lines = await connection.fetch(f"EXPLAIN {statement}", query)
    return any("Order By:" in line[0] for line in lines)
