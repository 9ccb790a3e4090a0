"""The vector index of a table with partitions: built in one after the other, then made one index."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgrecall.collection.indexes.building import FOREVER, remove_leftovers
from pgrecall.collection.indexes.deriving import alter_quickly
from pgrecall.config import HNSW
from pgrecall.errors import ConfigError
from pgrecall.postgres import catalog, statistics
from pgrecall.sql import ddl

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pgrecall.collection.indexes.building import Builder
    from pgrecall.config import CollectionConfig, Index
    from pgrecall.distance import VectorType
    from pgrecall.postgres import Session
    from pgrecall.table import SparseColumn, Table, VectorIndex


async def build_in_partitions(build: Builder, index: Index, quantized: VectorType | None) -> str | None:
    """Build a vector index of a table with partitions without blocking writers, and return its name.

    Every partition is indexed by itself, concurrently; then an index of the whole table takes these as its
    parts, for which nothing is built any more. Where it is interrupted, the next call keeps what is done.

    Raises:
        ConfigError: It is no HNSW index.
        IndexBuildError: PostgreSQL gave it up.
        PermissionDenied: The role does not own the table.
    """
    session, table = build.session, build.table
    if not isinstance(index, HNSW):
        msg = f"{table.qualified_name} has partitions, which are indexed by HNSW only: pass HNSW()"
        raise ConfigError(msg)
    async for part, loose in _partitions(session, build.handle.config, table):
        await remove_leftovers(session, part)
        done = [old for old in loose if is_same(old, index, 0, quantized)]
        await _drop(session, part, [old for old in loose if old not in done[:1]])
        if not done:
            statement = ddl.create_vector_index(part, index, session.dialect, quantized=quantized)
            what = f"{type(index).__name__} on {part.qualified_name}"
            await replace(build, table=part)(statement, what, index=index, vector_type=quantized)
    before = await statistics.index_names(session, table)
    whole = ddl.create_vector_index(table, index, session.dialect, quantized=quantized)
    await alter_quickly(session, table, [whole])
    made = [name for name in await statistics.index_names(session, table) if name not in before]
    return made[0] if made else None


async def build_sparse_in_partitions(build: Builder, sparse: SparseColumn, index: HNSW, size: int) -> None:
    """Build the index on the sparse embeddings of a table with partitions likewise.

    Args:
        build: Builds.
        sparse: The column.
        index: Its parameters.
        size: Bytes of a sparse embedding.
    """
    session, table = build.session, build.table
    async for part, _ in _partitions(session, build.handle.config, table):
        await remove_leftovers(session, part)
        attached = await catalog.attached_indexes(session, part)
        loose = [old for old in part.sparse_indexes if old.name not in attached]
        done = [old for old in loose if is_same(old, index, 0, None)]
        await _drop(session, part, [old for old in loose if old not in done])
        if not done:
            statement = ddl.create_sparse_index(part, sparse, index, session.dialect)
            what = f"the index on the sparse embeddings of {part.qualified_name}"
            await replace(build, table=part)(statement, what, index=index, size=size)
    await alter_quickly(session, table, [ddl.create_sparse_index(table, sparse, index, session.dialect)])


async def drop_loose(session: Session, config: CollectionConfig, table: Table) -> None:
    """Drop the vector indexes that a build which died has left in partitions."""
    if table.layout is None:
        return
    async for part, loose in _partitions(session, config, table):
        await remove_leftovers(session, part)
        await _drop(session, part, loose)


async def _partitions(
    session: Session, config: CollectionConfig, table: Table
) -> AsyncGenerator[tuple[Table, list[VectorIndex]]]:
    """Give each partition, with its vector indexes that are no part of an index of the whole table."""
    for schema, name in await catalog.partitions(session, table):
        part = await read_part(session, config, table, schema, name)
        if part is not None:
            attached = await catalog.attached_indexes(session, part)
            yield part, [old for old in part.serving_indexes if old.condition is None and old.name not in attached]


async def read_part(session: Session, config: CollectionConfig, whole: Table, schema: str, name: str) -> Table | None:
    """Return a partition of a table, or a table that is to be one, as a table by itself."""
    # Settings are noted with the whole table only.
    settings = {"layout": None, "text_search": None, "row_level_security": False}
    return await catalog.read_table(
        session, replace(config, schema=schema, name=name, distance=whole.distance, **settings)
    )


async def _drop(session: Session, part: Table, indexes: list[VectorIndex]) -> None:
    for index in indexes:
        await session.execute(ddl.drop_index(part.schema, index.name), timeout=FOREVER)


def is_same(index: VectorIndex, wanted: Index, lists: int, quantized: VectorType | None) -> bool:
    """Whether *index* is what would be built for *wanted*."""
    options = dict(index.options)
    if isinstance(wanted, HNSW):
        built = int(options.get("m", "16")), int(options.get("ef_construction", "64"))
        same = index.method == "hnsw" and built == (wanted.m, wanted.ef_construction)
        return same and index.quantized is quantized
    # Without a number of its own, any IVFFlat index is what was asked for, also after the table has grown.
    return index.method == "ivfflat" and (wanted.lists is None or index.lists == lists)
