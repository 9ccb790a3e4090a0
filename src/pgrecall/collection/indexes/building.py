"""Building one index: alone, with what it needs of the server, told about, and cleaned up after."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from pgrecall.build import BuildOptions
from pgrecall.collection.indexes.progress import Reporter
from pgrecall.collection.indexes.resources import Resources, graph_memory, needed_memory, resources
from pgrecall.config import HNSW, IVFFlat
from pgrecall.errors import ConfigError, IndexBuildError, PermissionDenied
from pgrecall.postgres import statistics
from pgrecall.progress import ProgressFailed, listener
from pgrecall.sql import ddl, security, upkeep
from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from pgrecall.build import ProgressLike
    from pgrecall.collection.handle import Handle
    from pgrecall.config import Index
    from pgrecall.distance import VectorType
    from pgrecall.postgres import Session
    from pgrecall.table import Table

# A build takes as long as it takes, whatever command_timeout says; asyncpg knows no other "for ever".
FOREVER: Final = 10 * 365 * 86_400.0
_POLL_SECONDS: Final = 0.2
# Dropping what a build has left waits for everyone who reads the table; beyond this it is left to the next call.
_SWEEP_SECONDS: Final = 3.0
_TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
_UNLOCK: Final = "SELECT pg_advisory_unlock($1)"
_NO_ROOM: Final = "no longer fits"
_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
# A parallel build takes all of its memory at one stroke out of /dev/shm, of which a container has 64 MB.
_NO_MEMORY: Final = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)

_logger: Final = logging.getLogger("pgrecall")


class Busy(Exception):
    """Somebody else builds on the table, and the caller did not want to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One index to be built.

    Attributes:
        table: The table.
        statement: Builds it, CONCURRENTLY; makes one index, or makes one anew.
        what: What it is, such as ``HNSW on public.docs``, for messages.
        index: Kind and parameters of a vector index, an IVFFlat index with its number of lists; `None` for
            other indexes.
        vector_type: What a vector index holds; `None` for what the column holds.
        rows: About how many rows will be in it; `None` for all rows of the table.
        size: Bytes of an embedding in it, where it is not on the embedding's column.
        options: What it may use.
        progress: Who is told how far it has come.
    """

    table: Table
    statement: Statement
    what: str
    index: Index | None = None
    vector_type: VectorType | None = None
    rows: int | None = None
    size: int | None = None
    options: BuildOptions = field(default_factory=BuildOptions)
    progress: ProgressLike = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds indexes of one table, one after the other, all with the same options.

    Attributes:
        handle: Gives the second session, on which progress is looked at.
        session: A direct one, outside of any transaction, inside of `alone`.
        table: The table.
        options: What each build may use.
        progress: Who is told how far each has come.
    """

    handle: Handle
    session: Session
    table: Table
    options: BuildOptions = field(default_factory=BuildOptions)
    progress: ProgressLike = None

    async def __call__(
        self,
        statement: Statement,
        what: str,
        *,
        index: Index | None = None,
        vector_type: VectorType | None = None,
        rows: int | None = None,
        size: int | None = None,
    ) -> str | None:
        """Build an index, and return its name; see `Build` and `build`."""
        wanted = Build(
            table=self.table,
            statement=statement,
            what=what,
            index=index,
            vector_type=vector_type,
            rows=rows,
            size=size,
            options=self.options,
            progress=self.progress,
        )
        return await build(self.handle, self.session, wanted)


async def build(handle: Handle, session: Session, wanted: Build) -> str | None:
    """Build an index, and return its name if it is a new one.

    It is to be called within `alone`. A build that fails, or is cancelled, takes away what it has begun,
    unless somebody who uses the table is in the way for long.

    Args:
        handle: Gives the second session, on which progress is looked at.
        session: A direct one, outside of any transaction.
        wanted: What to build.

    Raises:
        ConfigError: A progress bar was asked for, and rich is not installed.
        IndexBuildError: PostgreSQL gave it up.
        PermissionDenied: The role does not own the table.
        ProgressFailed: Who was to be told raised an exception; see `progress.own_errors`.
    """
    with listener(wanted.progress) as told:
        before = set(await statistics.index_names(session, wanted.table))
        chosen = await _resources(session, wanted)
        reporter = None if told is None else Reporter(wanted.what, _method(wanted), told)
        if reporter is not None:
            reporter.tell("starting")
        try:
            async with configured(session, chosen), _notices(session, wanted):
                creating = _create(session, wanted, chosen, before)
                if reporter is None:
                    await creating
                else:
                    await _watched(creating, handle, session, reporter)
        except BaseException as error:
            # Where it is not the build that failed, it may have ended well in the meantime.
            begun = reporter.index if reporter is not None and isinstance(error, ProgressFailed) else None
            await _sweep(session, wanted.table, before, begun)
            raise
        made = [name for name in await statistics.index_names(session, wanted.table) if name not in before]
        name = made[0] if made else None
        if name is not None and isinstance(wanted.index, IVFFlat):
            await note_rows(session, wanted.table, name)
        if reporter is not None:
            reporter.tell("done", fraction=1.0)
        return name


async def note_rows(session: Session, table: Table, name: str) -> None:
    """Note on an index that was just built for how many rows it was.

    PostgreSQL knows the number only until the next ANALYZE.
    """
    rows = await statistics.index_rows(session, table.schema, name)
    await session.execute(upkeep.note_rows(table.schema, name, rows))


async def remove_leftovers(session: Session, table: Table) -> list[str]:
    """Drop what builds that died have left, and return the names; to be called within `alone`."""
    names = await statistics.broken_indexes(session, table)
    for name in names:
        await session.execute(ddl.drop_index(table.schema, name), timeout=FOREVER)
    return names


def require_direct(session: Session) -> None:
    """Raise an error where no index can be built on *session*."""
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
async def alone(session: Session, table: Table, *, wait: bool = True) -> AsyncGenerator[None]:
    """Hold the lock on the indexes of *table*.

    Waiting is polling: a session that waits inside of ``pg_advisory_lock`` holds a snapshot, for whose
    end CREATE INDEX CONCURRENTLY in the session that has the lock would wait in turn.

    Args:
        session: The session that holds it.
        table: The table.
        wait: Whether to wait for whoever has it.

    Raises:
        Busy: Somebody has it, and *wait* was not asked for.
    """
    key = _key(table)
    unlocked = False
    try:
        while not await session.fetch_value(Statement(_TRY_LOCK, (key,))):
            if not wait:
                unlocked = True
                raise Busy
            await asyncio.sleep(_POLL_SECONDS)
        # Where this does not bind: only the owner gets here, and its work is about all rows. An error ends the
        # session, and this with it.
        if table.secured:
            await session.fetch(security.administer(on=True))
        yield
        if table.secured:
            await session.fetch(security.administer(on=False))
        unlocked = await session.fetch_value(Statement(_UNLOCK, (key,)))
    finally:
        if not unlocked:
            # Whatever happened, the lock ends with the session.
            with suppress(asyncpg.InterfaceError):
                session.connection.terminate()


async def is_busy(session: Session, table: Table) -> bool:
    """Whether somebody is inside of `alone` on *table*, in whatever process."""
    return await statistics.is_locked(session, _key(table))


@asynccontextmanager
async def configured(session: Session, chosen: Resources) -> AsyncGenerator[None]:
    """Give the session what a build needs, and take it back."""
    settings = chosen.settings()
    await statistics.configure(session, settings)
    try:
        yield
    finally:
        # After a cancellation this waits until the server has stopped.
        with suppress(*_ERRORS):
            async with asyncio.timeout(_SWEEP_SECONDS):
                await statistics.reset(session, list(settings))


async def _resources(session: Session, wanted: Build) -> Resources:
    table, index = wanted.table, wanted.index
    rows = wanted.rows
    if rows is None:
        rows = await statistics.estimated_rows(session, table)
    if rows is None:
        await session.execute(ddl.analyze(table), timeout=FOREVER)
        rows = await statistics.estimated_rows(session, table) or 0
    need = 0
    if isinstance(index, HNSW) and wanted.size is not None:
        need = graph_memory(index, rows, wanted.size)
    elif index is not None and table.dimensions is not None:
        need = needed_memory(index, rows, wanted.vector_type or table.vector_type, table.dimensions)
    return resources(wanted.options, await statistics.limits(session), session.server, index, rows, need)


async def _watched(creating: Coroutine[Any, Any, None], handle: Handle, session: Session, reporter: Reporter) -> None:
    """Run *creating*, and tell how far it has come until it ends."""
    building = asyncio.create_task(creating, name="pgrecall builds an index")
    watching = asyncio.create_task(
        reporter.watch(handle, session.connection.get_server_pid()), name="pgrecall watches a build"
    )
    try:
        await asyncio.wait((building, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            await watching
        await building
    finally:
        for task in (building, watching):
            task.cancel()
        await asyncio.gather(building, watching, return_exceptions=True)


async def _create(session: Session, wanted: Build, chosen: Resources, before: set[str]) -> None:
    """Run the statement; once more, without workers, where these got no memory."""
    try:
        try:
            await session.execute(wanted.statement, timeout=FOREVER)
        except _NO_MEMORY as error:
            if not chosen.workers:
                raise
            _logger.info("%s is built without workers, who got no memory: %s", wanted.what, error)
            await _sweep(session, wanted.table, before)
            await statistics.configure(session, replace(chosen, workers=0).settings())
            await session.execute(wanted.statement, timeout=FOREVER)
    except asyncpg.InsufficientPrivilegeError as error:
        table = wanted.table.qualified_name
        msg = f"role {session.server.user!r} may not index {table}: only its owner may ({error})"
        raise PermissionDenied(msg) from error
    except _ERRORS as error:
        msg = f"{wanted.what} could not be built: {error}"
        if isinstance(error, asyncpg.ProgramLimitExceededError) and "memory" in str(error):
            msg += "; BuildOptions(memory=...) gives it more"
        raise IndexBuildError(f"{msg}; what is left of it is removed by the next call", index=wanted.what) from error


async def _sweep(session: Session, table: Table, before: set[str], begun: str | None = None) -> None:
    """Drop what a build has left that was not there before, and *begun*, if that is quickly done."""
    with suppress(*_ERRORS):
        async with asyncio.timeout(_SWEEP_SECONDS):
            left = set(await statistics.broken_indexes(session, table))
            for name in (left if begun is None else left | {begun}) - before:
                await session.execute(ddl.drop_index(table.schema, name))


@asynccontextmanager
async def _notices(session: Session, wanted: Build) -> AsyncGenerator[None]:
    """Log it where PostgreSQL says that the memory did not suffice."""

    def hear(_: object, message: Any) -> None:
        if _NO_ROOM in message.message:
            _logger.warning(
                "%s: %s, which makes the build slow; BuildOptions(memory=...) gives it more",
                wanted.what,
                message.message,
            )

    connection = session.connection
    connection.add_log_listener(hear)
    try:
        yield
    finally:
        with suppress(asyncpg.InterfaceError):
            connection.remove_log_listener(hear)


def _method(wanted: Build) -> str:
    if wanted.index is None:
        return ""
    return "hnsw" if isinstance(wanted.index, HNSW) else "ivfflat"


def _key(table: Table) -> int:
    name = f"pgrecall index {table.schema}.{table.name}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)
