"""Moving a domain into a partition of its own while it is read and written.

1. A table beside gets triggers that keep it like the domain's rows (`sql.moving`): a lock on the partition of all
   other domains, for a moment.
2. The rows are copied into it, a few at a time, and the vector indexes of the whole table are built on it. Neither
   holds up anybody. Whoever is killed until here leaves the table and its triggers, and the next call goes on.
3. In one transaction the rows are deleted where they were, and the table becomes the partition. Deleting takes
   time with their number, so it comes first, while everybody reads on and others write on; then the whole table is
   locked for the milliseconds that attaching takes. Who changes rows of the domain meanwhile holds a lock on the
   table while waiting for them, so that the table cannot be had. After a few such attempts the table is locked
   before anything is deleted.

Either all of that happens or nothing: readers see each row once, before and after.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pgrecall.collection.definition import new_token
from pgrecall.collection.indexes.building import FOREVER, Builder, alone, configured, is_busy, remove_leftovers
from pgrecall.collection.indexes.deriving import change_quickly
from pgrecall.collection.indexes.indexing import current, like
from pgrecall.collection.indexes.partition_indexes import is_same, read_part
from pgrecall.collection.indexes.resources import Resources
from pgrecall.collection.tenancy.domain_partitions import attach, check_count, check_lists, find, lock, police
from pgrecall.collection.tenancy.isolation_report import IsolationReport, Teller
from pgrecall.collection.writing.upserting import check_writable
from pgrecall.config import HNSW
from pgrecall.errors import ConfigError, DatabaseError, SchemaError
from pgrecall.postgres import catalog, partitions, statistics
from pgrecall.progress import listener
from pgrecall.sql import ddl, moving, upkeep
from pgrecall.sql import partitions as sql
from pgrecall.sql.compose import Identifier

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.collection.tenancy.isolation_report import IsolationProgressLike
    from pgrecall.postgres import Session
    from pgrecall.postgres.partitions import Move, Partition
    from pgrecall.table import Table

# Rows that are copied at a time, and that nobody can delete meanwhile: some tens of milliseconds.
_BATCH: Final = 1_000
# Attempts to delete before the table is locked.
_GENTLE: Final = 4


async def isolate_domain(handle: Handle, domain: str, on_progress: IsolationProgressLike) -> IsolationReport:
    """See `Partitioning.isolate_domain`."""
    made = await handle.made_table(handle.config.dimensions)
    check_lists(handle, made, domain, "isolate_domain")

    async def work(session: Session) -> IsolationReport:
        if not session.direct:
            msg = (
                "a domain is moved on a session of its own, which a pooler such as PgBouncer does not give; use a "
                "client with the server's own address"
            )
            raise ConfigError(msg)
        check_writable(made, session.server)
        with listener(on_progress) as told:
            teller = Teller(domain=domain, told=told)
            async with alone(session, made):
                table = await current(handle, session)
                if set(table.key) != {table.columns.domain_id, table.columns.id}:
                    msg = f"rows of {table.qualified_name} are not told apart by domain and id, as moving them needs it"
                    raise SchemaError(msg)
                return await _Isolation(handle, session, table, domain, teller).run()

    try:
        # What was begun is gone on with by whoever calls again; nothing of it is undone by itself.
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


async def forget_move(handle: Handle, table: Table, domain: str) -> None:
    """Take away what an interrupted move of *domain* has left, unless somebody is moving or building."""

    async def work(session: Session) -> None:
        if not await is_busy(session, table):
            await change_quickly(session, table, lambda: _forget(session, table, domain))

    await handle.run(work)


async def _forget(session: Session, table: Table, domain: str) -> None:
    for move in await partitions.moves(session, table.schema, table.name):
        if move.domain == table.stored_domain(domain):
            _, others, _ = await find(session, table, domain)
            await _abandon(session, others, move)


async def _abandon(session: Session, others: Partition, move: Move) -> None:
    for statement in moving.stop_mirror(others.identifier, move.schema, move.function, move.triggers):
        await session.execute(statement)
    if await catalog.table_exists(session, move.schema, move.name):
        await session.execute(ddl.drop_table(move.schema, move.name))


class _Isolation:
    """One move, from its beginning or from where another one was interrupted."""

    def __init__(self, handle: Handle, session: Session, table: Table, domain: str, teller: Teller) -> None:
        self._handle = handle
        self._session = session
        self._table = table
        self._domain = domain
        self._teller = teller
        self._schema = table.schema

    async def run(self) -> IsolationReport:
        session, table, teller = self._session, self._table, self._teller
        limits = await statistics.limits(session)
        usual = Resources(memory=limits.memory, workers=limits.workers, parallel=limits.parallel)
        own, others, count = await find(session, table, self._domain)
        self._schema = others.schema
        if own is not None:
            await change_quickly(session, table, lambda: _forget(session, table, self._domain))
            teller.tell("done", 1.0)
            return IsolationReport(domain=self._domain)
        check_count(table, count)
        async with configured(session, usual):
            move = await self._prepared(others)
            await self._copy(others, move)
        await self._index(move)
        async with configured(session, usual):
            await session.execute(upkeep.vacuum(await self._part(move.name)), timeout=FOREVER)
            teller.tell("attaching", 0.0)
            rows, locked = await self._swap(others, move)
            for name in (others.name, move.name):
                await session.execute(ddl.analyze(await self._part(name)), timeout=FOREVER)
        teller.tell("done", 1.0)
        seconds = time.monotonic() - teller.began
        return IsolationReport(domain=self._domain, rows=rows, seconds=seconds, locked=locked)

    async def _prepared(self, others: Partition) -> Move:
        """Return the table beside, with its triggers: what an interrupted move has left, or a new one."""
        session, table = self._session, self._table
        wanted = {column.name for column in await catalog.columns(session, table.schema, table.name)}
        stored = table.stored_domain(self._domain)
        for move in await partitions.moves(session, others.schema, others.name):
            if move.domain != stored:
                continue
            # The table may have been given a column since.
            if {column.name for column in await catalog.columns(session, move.schema, move.name)} == wanted:
                return move
            await change_quickly(session, table, lambda move=move: _abandon(session, others, move))
        name = f"{sql.PREFIX}{new_token()}"

        async def begin() -> None:
            staging = Identifier(others.schema, name)
            await session.execute(sql.create_like(table, staging, ddl.STORAGE))
            await session.execute(moving.only(table, staging, self._domain))
            await police(session, table, staging)
            part = await self._part(name)
            # What is built over the rows takes a fraction of what it takes with them.
            for index in (*part.indexes, *part.sparse_indexes):
                await session.execute(ddl.drop_index(part.schema, index.name, concurrently=False))
            columns = await self._columns(name)
            for statement in moving.mirror(table, others.identifier, (others.schema, name), self._domain, columns):
                await session.execute(statement)

        await change_quickly(session, table, begin)
        (move,) = (
            move for move in await partitions.moves(session, others.schema, others.name) if move.domain == stored
        )
        return move

    async def _copy(self, others: Partition, move: Move) -> None:
        session, table, teller = self._session, self._table, self._teller
        columns = await self._columns(move.name)
        counting = moving.count_domain(table, others.identifier, self._domain)
        teller.total = await session.fetch_value(counting)
        teller.tell("copying", 0.0)
        after: str | None = None
        while True:
            statement = moving.copy_rows(
                table, (others.identifier, move.identifier), self._domain, columns, after, _BATCH
            )
            ((copied, after),) = await session.fetch(statement)
            if not copied:
                break
            teller.done += copied
            teller.tell("copying", min(1.0, teller.done / max(1, teller.total)))

    async def _index(self, move: Move) -> None:
        """Build the vector indexes that the whole table has."""
        session, whole = self._session, self._table
        part = await self._part(move.name)
        await remove_leftovers(session, part)
        await session.execute(ddl.analyze(part), timeout=FOREVER)
        self._teller.tell("indexing", 0.0)
        build = Builder(handle=self._handle, session=session, table=part, progress=self._teller.hear)
        for wanted in whole.indexes:
            kind = like(wanted)
            if not wanted.valid or wanted.condition is not None or wanted.distance is None:
                continue
            there = [old for old in part.indexes if old.valid and old.distance is wanted.distance]
            if not any(is_same(old, kind, 0, wanted.quantized) for old in there):
                of = replace(part, distance=wanted.distance)
                statement = ddl.create_vector_index(of, kind, session.dialect, quantized=wanted.quantized)
                what = f"{type(kind).__name__} on {part.qualified_name}"
                await replace(build, table=of)(statement, what, index=kind, vector_type=wanted.quantized)
        for wanted in whole.sparse_indexes:
            if whole.sparse is None or any(is_same(old, like(wanted), 0, None) for old in part.sparse_indexes):
                continue
            kind = like(wanted)
            size = await statistics.mean_width(session, part, whole.sparse.column)
            if isinstance(kind, HNSW):
                statement = ddl.create_sparse_index(part, whole.sparse, kind, session.dialect)
                await build(
                    statement, f"the index on sparse embeddings of {part.qualified_name}", index=kind, size=size
                )

    async def _swap(self, others: Partition, move: Move) -> tuple[int, float]:
        """Delete the rows where they were and attach the table; return how many, and for how long all was locked."""
        session, table = self._session, self._table
        deleting = moving.delete_rows(table, others.identifier, self._domain)
        attempt = 0
        torn = False

        async def swap() -> tuple[int, float]:
            nonlocal attempt, torn
            attempt += 1
            await session.execute(sql.read_committed())
            # From here on the triggers leave alone what this transaction does.
            await session.fetch(sql.set_moved(table, self._domain))
            deleted = await session.execute(deleting, timeout=FOREVER) if attempt <= _GENTLE else 0
            await session.execute(ddl.setup_lock())
            await lock(session, table, others)
            began = time.monotonic()
            deleted += await session.execute(deleting, timeout=FOREVER)
            copied = await session.fetch_value(sql.count_rows(move.identifier))
            if copied != deleted:
                torn = True
                msg = (
                    f"domain {self._domain!r} has {deleted} rows and its copy {copied}, which somebody has changed, or "
                    "who wrote without triggers; nothing was moved, and the next call begins anew"
                )
                raise DatabaseError(msg)
            for statement in moving.stop_mirror(others.identifier, move.schema, move.function, move.triggers):
                await session.execute(statement)
            await attach(session, table, move.identifier, self._domain)
            await session.execute(moving.not_only(move.identifier))
            return deleted, began

        try:
            rows, began = await change_quickly(session, table, swap)
        except DatabaseError:
            if torn:
                await change_quickly(session, table, lambda: _abandon(session, others, move))
            raise
        return rows, time.monotonic() - began

    async def _columns(self, name: str) -> list[str]:
        """Return the columns that are copied: all but those that PostgreSQL computes."""
        found = await catalog.columns(self._session, self._schema, name)
        return [column.name for column in found if not column.generated]

    async def _part(self, name: str) -> Table:
        part = await read_part(self._session, self._handle.config, self._table, self._schema, name)
        if part is None:
            msg = f"{self._schema}.{name}, into which domain {self._domain!r} was being moved, is gone"
            raise SchemaError(msg)
        return part
