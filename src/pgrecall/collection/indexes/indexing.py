"""Building and dropping vector indexes, without blocking anyone, once however many ask."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from pgrecall.build import BuildOptions
from pgrecall.collection.indexes.building import FOREVER, Builder, alone, remove_leftovers, require_direct
from pgrecall.collection.indexes.deriving import alter_quickly
from pgrecall.collection.indexes.field_indexes import (
    build_covering,
    build_partial,
    index_content,
    index_is_missing,
    measure_correlation,
    wanted_values,
)
from pgrecall.collection.indexes.partition_indexes import (
    build_in_partitions,
    build_sparse_in_partitions,
    drop_loose,
    is_same,
)
from pgrecall.config import HNSW, Index, IVFFlat
from pgrecall.errors import CollectionNotFound, ConfigError, SchemaError
from pgrecall.postgres import catalog, statistics
from pgrecall.sql import ddl, upkeep
from pgrecall.sql.quantized import quantization

if TYPE_CHECKING:
    from pgrecall.build import ProgressLike
    from pgrecall.collection.handle import Handle
    from pgrecall.config import CollectionConfig
    from pgrecall.distance import VectorType
    from pgrecall.postgres import Session
    from pgrecall.table import Table, VectorIndex

_MILLION: Final = 1_000_000


async def create_index(
    handle: Handle,
    index: Index,
    *,
    replace: bool,
    wait: bool = True,
    options: BuildOptions | None = None,
    progress: ProgressLike = None,
) -> VectorIndex:
    """See `Administration.create_index`.

    Raises:
        Busy: Somebody else builds, and *wait* is false.
    """
    table = await handle.made_table(handle.config.dimensions)
    quantized = quantization(table, index)

    async def work(session: Session) -> VectorIndex:
        require_direct(session)
        if quantized is not None and not session.server.has_halfvec:
            msg = f"an index of {quantized.value} needs pgvector 0.7 or later: ALTER EXTENSION vector UPDATE"
            raise ConfigError(msg)
        async with alone(session, table, wait=wait):
            build = Builder(
                handle=handle, session=session, table=table, options=options or BuildOptions(), progress=progress
            )
            built = await _build(build, index, quantized, replace=replace)
            await _build_sparse(build, index if isinstance(index, HNSW) else HNSW(), replace=replace)
            await _build_for_filters(build, index)
            await session.execute(upkeep.vacuum(table), timeout=FOREVER)
            return built

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


async def create_beside(handle: Handle, index: Index, progress: ProgressLike) -> None:
    """Index the embeddings of one more model, as `create_index` does, and leave vacuuming to autovacuum.

    Each row was just written anew, and others write on: with vector indexes of two models, vacuuming here would
    repair both graphs, which takes longer than building them did.
    """
    table = await handle.made_table(handle.config.dimensions)
    quantized = quantization(table, index)

    async def work(session: Session) -> None:
        async with alone(session, table):
            build = Builder(handle=handle, session=session, table=table, options=BuildOptions(), progress=progress)
            await _build(build, index, quantized, replace=False)
            await _build_for_filters(build, index)

    try:
        await handle.run(work)
    finally:
        handle.knowledge.forget()


async def index_fields(build: Builder, *, content: bool = False) -> None:
    """Have every promoted field indexed, and large values too where there is a vector index.

    Args:
        build: Builds, within `alone`.
        content: Whether to index the content's trigrams too.
    """
    session = build.session
    table = await current(build.handle, session)
    if content:
        await index_content(session, table, build)
    if any(index_is_missing(table, field) for field in table.fields):
        await session.execute(ddl.analyze(table), timeout=FOREVER)
        await _build_for_filters(build, None)
        await session.execute(upkeep.vacuum(table), timeout=FOREVER)


async def indexes(handle: Handle) -> tuple[VectorIndex, ...]:
    """See `Administration.indexes`."""

    async def work(session: Session) -> tuple[VectorIndex, ...]:
        table = await catalog.read_table(session, handle.config)
        return () if table is None else table.indexes

    return await handle.run(work)


async def drop_index(handle: Handle) -> list[str]:
    """See `Administration.drop_index`."""

    async def work(session: Session) -> list[str]:
        table = await handle.table(session)
        if table is None:
            return []
        require_direct(session)
        async with alone(session, table):
            table = await current(handle, session)
            await drop_loose(session, handle.config, table)
            dropped = [index for index in table.indexes if index.distance is table.distance]
            return await _drop(session, table, [*dropped, *table.sparse_indexes])

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


async def _build(build: Builder, index: Index, quantized: VectorType | None, *, replace: bool) -> VectorIndex:
    """Return the index of all rows, built where it is not there yet."""
    handle, session = build.handle, build.session
    # What a build that was killed has left behind slows every write and serves no query.
    await remove_leftovers(session, build.table)
    table = await current(handle, session)
    present = [old for old in table.serving_indexes if old.condition is None]
    lists = await _lists(session, handle.config, table, index)
    if not replace:
        for old in present:
            if is_same(old, index, lists, quantized):
                return old
        if present:
            msg = (
                f"{table.qualified_name} has the index {present[0].name}; pass replace=True to put another in its place"
            )
            raise SchemaError(msg)
    if table.layout is not None:
        name = await build_in_partitions(build, index, quantized)
    else:
        sized = _with_lists(index, lists)
        statement = ddl.create_vector_index(table, sized, session.dialect, quantized=quantized)
        what = f"{type(index).__name__} on {table.qualified_name}"
        name = await build(statement, what, index=sized, vector_type=quantized)
    # Those of single values are built anew, with the same parameters.
    await _drop(session, table, [*present, *(table.partial_indexes() if present else ())])
    if present and table.tuned:
        await _forget_tuning(session, table)
    await session.execute(ddl.analyze(table), timeout=FOREVER)
    return next(built for built in (await current(handle, session)).indexes if built.name == name)


async def _build_sparse(build: Builder, index: HNSW, *, replace: bool) -> None:
    """Build the index on the sparse embeddings, if there are any, where there is none or a new one is wanted."""
    session = build.session
    table = await current(build.handle, session)
    if table.sparse is None or (table.sparse_indexes and not replace):
        return
    await session.execute(ddl.analyze(table), timeout=FOREVER)
    size = await statistics.mean_width(session, table, table.sparse.column)
    if table.layout is not None:
        await build_sparse_in_partitions(build, table.sparse, index, size)
    else:
        statement = ddl.create_sparse_index(table, table.sparse, index, session.dialect)
        await build(statement, f"the index on the sparse embeddings of {table.qualified_name}", index=index, size=size)
    await _drop(session, table, list(table.sparse_indexes))


async def _build_for_filters(build: Builder, index: Index | None) -> None:
    """Build what filters on promoted fields need, beside the index of all rows, and like that one."""
    session = build.session
    table = await current(build.handle, session)
    if table.content_wanted:
        await index_content(session, table, build)
    if not table.fields:
        return
    # Partitions have their indexes on fields from the start, and none of single values.
    if table.layout is None:
        await build_covering(session, table, build)
    main = table.usable_index()
    # A part of the rows is only searched by scanning on, which pgvector can do from 0.8 on.
    if main is not None and session.server.has_iterative_scan:
        fields = await measure_correlation(session, table, main)
        if table.layout is not None:
            return
        values = await wanted_values(session, table, fields)
        await build_partial(session, table, index or like(main), values, build)


async def _forget_tuning(session: Session, table: Table) -> None:
    """Take back what was found to be enough for the index that is gone."""
    async with session.transaction():
        await session.execute(ddl.lock_settings(table.schema, table.name))
        noted = await catalog.settings(session, table.schema, table.name)
        kept = {name: value for name, value in noted.items() if name not in ("version", "ef_search", "probes")}
        await session.execute(ddl.comment(table.schema, table.name, kept).compile())


async def current(handle: Handle, session: Session) -> Table:
    """Return the table as it is now."""
    table = await catalog.read_table(session, handle.config)
    if table is None:
        msg = f"there is no table {handle.config.schema}.{handle.config.name}"
        raise CollectionNotFound(msg)
    return table


async def _drop(session: Session, table: Table, indexes: list[VectorIndex]) -> list[str]:
    for index in indexes:
        if table.layout is not None:
            dropping = ddl.drop_index(table.schema, index.name, concurrently=False)
            await alter_quickly(session, table, [dropping])
        else:
            await session.execute(ddl.drop_index(table.schema, index.name), timeout=FOREVER)
    return [index.name for index in indexes]


async def _lists(session: Session, config: CollectionConfig, table: Table, index: Index) -> int:
    """Return the number of cells: pgvector's rule of thumb where none was given."""
    if isinstance(index, HNSW):
        return 0
    if index.lists is not None:
        return index.lists
    await session.execute(ddl.analyze(table), timeout=FOREVER)
    current = await catalog.read_table(session, config)
    rows = 0 if current is None else current.rows
    return max(1, round(rows / 1_000 if rows <= _MILLION else math.sqrt(rows)))


def _with_lists(index: Index, lists: int) -> Index:
    return dataclasses.replace(index, lists=lists) if isinstance(index, IVFFlat) else index


def like(index: VectorIndex) -> Index:
    """Return kind and parameters of an index that there is."""
    options = {name: int(value) for name, value in index.options}
    return IVFFlat() if index.method == "ivfflat" else HNSW(**options)  # pyright: ignore[reportArgumentType]
