"""Having records take sparse embeddings: the column for them, beside readers and writers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.checks import check_range
from pgrecall.collection.indexes.building import alone, require_direct
from pgrecall.collection.indexes.deriving import alter_quickly
from pgrecall.collection.indexes.indexing import current
from pgrecall.config import MAX_SPARSE_DIMENSIONS
from pgrecall.errors import ConfigError, DimensionMismatch, SchemaError
from pgrecall.sql import ddl

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.server import Server
    from pgrecall.table import SparseColumn


async def add_sparse_embeddings(handle: Handle, dimensions: int) -> SparseColumn:
    """See `Administration.add_sparse_embeddings`."""
    check_range(dimensions, "dimensions", 1, MAX_SPARSE_DIMENSIONS)
    column = handle.config.columns.sparse_embedding
    if column is None:
        msg = "columns maps no column for sparse embeddings; name it in Columns(sparse_embedding=…)"
        raise ConfigError(msg)
    made = await handle.made_table(handle.config.dimensions)

    async def work(session: Session) -> SparseColumn:
        require_direct(session)
        check_sparse(session.server)
        async with alone(session, made):
            table = await current(handle, session)
            if table.sparse is None:
                _check_wanted(handle, dimensions)
                await alter_quickly(session, table, [ddl.add_sparse_column(table, column, dimensions, session.dialect)])
                table = await current(handle, session)
            return _same(table.sparse, dimensions, table.qualified_name)

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


def _check_wanted(handle: Handle, dimensions: int) -> None:
    """Raise `DimensionMismatch` where the configuration would refuse what is about to be made."""
    wanted = handle.config.sparse_dimensions
    if wanted not in (None, dimensions):
        msg = f"the configuration says sparse_dimensions={wanted}, not {dimensions}"
        raise DimensionMismatch(msg)


def _same(found: SparseColumn | None, dimensions: int, table: str) -> SparseColumn:
    if found is None:
        msg = f"the column for sparse embeddings of {table} vanished while it was being made"
        raise SchemaError(msg)
    if found.dimensions != dimensions:
        msg = f"{table} holds sparse embeddings of {found.dimensions} dimensions, not {dimensions}"
        raise DimensionMismatch(msg)
    return found


def check_sparse(server: Server) -> None:
    """Raise `SchemaError` where pgvector knows no sparse embeddings."""
    if server.vector_version is not None and not server.has_halfvec:
        found = ".".join(map(str, server.vector_version))
        msg = f"sparse embeddings need pgvector 0.7 or later, and this is {found}: ALTER EXTENSION vector UPDATE"
        raise SchemaError(msg)
