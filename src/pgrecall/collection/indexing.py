"""Building and dropping vector indexes, without blocking anyone, once however many ask."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import asyncpg

from pgrecall.config import HNSW, Index
from pgrecall.errors import CollectionNotFound, ConfigError, IndexBuildError, PermissionDenied, SchemaError
from pgrecall.postgres import catalog
from pgrecall.sql import ddl
from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pgrecall.collection.handle import Handle
    from pgrecall.config import CollectionConfig
    from pgrecall.postgres import Session
    from pgrecall.table import Table, VectorIndex

_POLL_SECONDS: Final = 0.2
_MILLION: Final = 1_000_000
_TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
_UNLOCK: Final = "SELECT pg_advisory_unlock($1)"


async def create_index(handle: Handle, index: Index, *, replace: bool) -> VectorIndex:
    """See `AsyncCollection.create_index`."""
    table = await handle.made_table(handle.config.dimensions)
    _check(table, index)

    async def work(session: Session) -> VectorIndex:
        _require_direct(session)
        async with _alone(session, table):
            return await _build(handle, session, index, replace=replace)

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


async def drop_index(handle: Handle) -> list[str]:
    """See `AsyncCollection.drop_index`."""

    async def work(session: Session) -> list[str]:
        table = await handle.table(session)
        if table is None:
            return []
        _require_direct(session)
        async with _alone(session, table):
            table = await _current(handle, session)
            return await _drop(session, table, [index for index in table.indexes if index.distance is table.distance])

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


async def _build(handle: Handle, session: Session, index: Index, *, replace: bool) -> VectorIndex:
    table = await _current(handle, session)
    # What a build that was killed has left behind slows every write and serves no query.
    await _drop(session, table, [old for old in table.indexes if not old.valid])
    present = [old for old in table.indexes if old.valid and old.distance is table.distance]
    lists = await _lists(session, handle.config, table, index)
    if not replace:
        for old in present:
            if _is(old, index, lists):
                return old
        if present:
            msg = (
                f"{table.qualified_name} has the index {present[0].name}; pass replace=True to put another in its place"
            )
            raise SchemaError(msg)
    try:
        await session.execute(ddl.create_vector_index(table, index, lists, session.dialect))
    except asyncpg.InsufficientPrivilegeError as error:
        msg = f"role {session.server.user!r} may not index {table.qualified_name}: only its owner may ({error})"
        raise PermissionDenied(msg) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        what = f"{type(index).__name__} on {table.qualified_name}"
        msg = f"{what} could not be built: {error}; what is left of it is removed by the next call"
        raise IndexBuildError(msg, index=what) from error
    await _drop(session, table, present)
    await session.execute(ddl.analyze(table))
    before = {old.name for old in table.indexes if old.valid}
    return next(built for built in (await _current(handle, session)).indexes if built.name not in before)


async def _current(handle: Handle, session: Session) -> Table:
    table = await catalog.read_table(session, handle.config)
    if table is None:
        msg = f"there is no table {handle.config.schema}.{handle.config.name}"
        raise CollectionNotFound(msg)
    return table


async def _drop(session: Session, table: Table, indexes: list[VectorIndex]) -> list[str]:
    for index in indexes:
        await session.execute(ddl.drop_index(table.schema, index.name))
    return [index.name for index in indexes]


async def _lists(session: Session, config: CollectionConfig, table: Table, index: Index) -> int:
    """Return the number of cells: pgvector's rule of thumb where none was given."""
    if isinstance(index, HNSW):
        return 0
    if index.lists is not None:
        return index.lists
    await session.execute(ddl.analyze(table))
    current = await catalog.read_table(session, config)
    rows = 0 if current is None else current.rows
    return max(1, round(rows / 1_000 if rows <= _MILLION else math.sqrt(rows)))


def _is(index: VectorIndex, wanted: Index, lists: int) -> bool:
    """Whether *index* is what would be built for *wanted*."""
    options = dict(index.options)
    if isinstance(wanted, HNSW):
        built = int(options.get("m", "16")), int(options.get("ef_construction", "64"))
        return index.method == "hnsw" and built == (wanted.m, wanted.ef_construction)
    # Without a number of its own, any IVFFlat index is what was asked for, also after the table has grown.
    return index.method == "ivfflat" and (wanted.lists is None or int(options.get("lists", "100")) == lists)


def _check(table: Table, index: Index) -> None:
    """Raise `ConfigError` for what pgvector cannot index."""
    most = table.vector_type.max_indexed_dimensions
    if table.dimensions is None:
        msg = f"{table.qualified_name} does not say how many dimensions its embeddings have, which an index needs"
        raise ConfigError(msg)
    if table.dimensions > most:
        kind = table.vector_type.value
        msg = f"pgvector indexes up to {most} dimensions of {kind}, and {table.qualified_name} has {table.dimensions}"
        if table.dimensions <= 4_000:  # noqa: PLR2004 - halfvec's limit
            msg += "; make the collection with vector_type='halfvec'"
        raise ConfigError(msg)
    if not isinstance(index, HNSW) and table.distance.operator_class(table.vector_type) not in _IVFFLAT_CLASSES:
        msg = f"IVFFlat knows no {table.distance.value} distance on {table.vector_type.value}; use HNSW"
        raise ConfigError(msg)


_IVFFLAT_CLASSES: Final = frozenset(
    f"{kind}_{distance}_ops" for kind in ("vector", "halfvec") for distance in ("cosine", "l2", "ip")
) | {"bit_hamming_ops"}


def _require_direct(session: Session) -> None:
    if not session.direct:
        msg = (
            "an index is built outside of transactions, on a session of its own, which neither a connection that was "
            "lent nor a pooler such as PgBouncer gives; use a client with the server's own address"
        )
        raise ConfigError(msg)
    if session.server.read_only:
        msg = "the server is read-only; build the index on its primary"
        raise PermissionDenied(msg)


@asynccontextmanager
async def _alone(session: Session, table: Table) -> AsyncGenerator[None]:
    """Hold the lock on the indexes of *table*.

    Waiting is polling: a session that waits inside of ``pg_advisory_lock`` holds a snapshot, for whose
    end CREATE INDEX CONCURRENTLY in the session that has the lock would wait in turn.
    """
    name = f"pgrecall index {table.schema}.{table.name}".encode()
    key = int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)
    unlocked = False
    try:
        while not await session.fetch_value(Statement(_TRY_LOCK, (key,))):  # noqa: ASYNC110 - nobody could set an event
            await asyncio.sleep(_POLL_SECONDS)
        yield
        unlocked = await session.fetch_value(Statement(_UNLOCK, (key,)))
    finally:
        if not unlocked:
            # Whatever happened, the lock ends with the session.
            with suppress(asyncpg.InterfaceError):
                session.connection.terminate()
