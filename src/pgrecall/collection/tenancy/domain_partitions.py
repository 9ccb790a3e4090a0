"""Partitions of single domains: made ahead, emptied and dropped at once, whatever the other domains hold."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from pgrecall.collection.definition import new_token
from pgrecall.collection.indexes.building import FOREVER
from pgrecall.collection.indexes.deriving import change_quickly
from pgrecall.collection.namespaces.runs import forget_runs
from pgrecall.collection.writing.upserting import check_writable
from pgrecall.errors import ConfigError, DatabaseError, PermissionDenied, SchemaError
from pgrecall.layout import MAX_PARTITIONS, ListPartitions
from pgrecall.postgres import partitions as catalog
from pgrecall.scope import Scope
from pgrecall.sql import ddl, moving, security
from pgrecall.sql import partitions as sql
from pgrecall.sql.compose import Identifier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.postgres.partitions import Partition
    from pgrecall.table import Table

# An empty partition costs next to nothing, so that it is not insisted on.
_DROP_ATTEMPTS: Final = 10

_logger: Final = logging.getLogger("pgrecall")


def check_lists(handle: Handle, table: Table, domain: str, verb: str) -> None:
    """Raise an error where *domain* can be given no partition of its own, or not by this role and connection.

    Raises:
        ConfigError: The connection was lent, or the name is malformed.
        PermissionDenied: The role does not own the table.
        SchemaError: The table is not laid out so.
    """
    table.check_scope(Scope.of(domain))
    if not isinstance(table.layout, ListPartitions):
        msg = (
            f"{verb}() is for tables whose domains can have partitions of their own, and {table.qualified_name} has "
            f"{table.layout or 'no partitions'}; make a collection with layout=ListPartitions(), and copy_to() it"
        )
        raise SchemaError(msg)
    if handle.database.lent:
        msg = f"{verb}() locks the table for a moment, in a transaction of its own, which a lent connection has not"
        raise ConfigError(msg)
    if not table.owned:
        msg = f"only its owner {table.owner!r} may give domains of {table.qualified_name} partitions of their own"
        raise PermissionDenied(msg)


async def create_domain(handle: Handle, domain: str) -> bool:
    """Make the partition of *domain*, and return whether it was not there; see `Partitioning.create_domain`."""
    table = await handle.made_table(handle.config.dimensions)
    check_lists(handle, table, domain, "create_domain")

    async def work(session: Session) -> bool:
        check_writable(table, session.server)

        async def change() -> bool:
            async with setting_up(session, table):
                return await _create(session, table, domain)

        return await change_quickly(session, table, change)

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget_estimates()


async def _create(session: Session, table: Table, domain: str) -> bool:
    own, others, count = await find(session, table, domain)
    if own is not None:
        return False
    check_count(table, count)
    await _require_none(session, table, others, domain)
    partition = Identifier(others.schema, f"{sql.PREFIX}{new_token()}")
    await session.execute(sql.create_like(table, partition, ddl.STORAGE))
    await police(session, table, partition)
    await lock(session, table, others)
    await _require_none(session, table, others, domain)
    await attach(session, table, partition, domain)
    return True


def check_count(table: Table, count: int) -> None:
    """Raise `ConfigError` where a table with *count* partitions can be given no more."""
    if count > MAX_PARTITIONS:
        msg = (
            f"{count - 1} domains of {table.qualified_name} have partitions of their own, and with more every search "
            "over all domains would take longer to plan; leave small domains among the others"
        )
        raise ConfigError(msg)


async def _require_none(session: Session, table: Table, others: Partition, domain: str) -> None:
    if await session.fetch_value(moving.is_there(table, others.identifier, domain)):
        msg = f"domain {domain!r} has rows already: isolate_domain({domain!r}) moves them into a partition of their own"
        raise ConfigError(msg)


async def drop_domain(handle: Handle, table: Table, domain: str) -> int | None:
    """Empty the partition of *domain* and drop it; return how many rows there were, `None` where it has none.

    Counting reads an index, and nobody else's rows are locked meanwhile. Dropping it takes the whole table for a
    moment, after the rows are gone: who has written to it by then keeps it.
    """

    async def work(session: Session) -> int | None:
        check_writable(table, session.server)

        async def empty() -> int | None:
            async with setting_up(session, table):
                own, _, _ = await find(session, table, domain)
                if own is None:
                    return None
                await session.execute(sql.lock(own.identifier))
                held = await session.fetch_value(sql.count_rows(own.identifier))
                if held:
                    await session.execute(sql.truncate(own.identifier), timeout=FOREVER)
                await forget_runs(session, table.schema, table.name, Scope.of(domain))
                return held

        return await change_quickly(session, table, empty)

    # Done a second time, after a connection that was lost during the commit, it would find nothing.
    held = await handle.database.run(work, may_repeat=lambda: False)
    if held is not None:
        await drop_empty(handle, table, domain)
    handle.knowledge.forget_estimates()
    return held


async def drop_empty(handle: Handle, table: Table, domain: str) -> None:
    """Drop the partition of *domain*, if it has no rows, and if the table can be had for that."""

    async def work(session: Session) -> None:
        async def drop() -> None:
            async with setting_up(session, table):
                own, others, _ = await find(session, table, domain)
                if own is None:
                    return
                await lock(session, table, others)
                if not await session.fetch_value(sql.has_rows(own.identifier)):
                    await session.execute(ddl.drop_table(own.schema, own.name))

        await change_quickly(session, table, drop, attempts=_DROP_ATTEMPTS)

    try:
        await handle.database.run(work)
    except DatabaseError as error:
        if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            raise
        _logger.info("%s is busy, so the empty partition of domain %r stays", table.qualified_name, domain)


async def has_own(handle: Handle, table: Table, domain: str) -> bool:
    """Whether *domain* has a partition of its own."""

    async def work(session: Session) -> bool:
        return any(part.domain == table.stored_domain(domain) for part in await catalog.partitions(session, table))

    return await handle.run(work)


async def isolated(session: Session, table: Table) -> set[str]:
    """Return the domains that have partitions of their own, as the table has their names."""
    if not isinstance(table.layout, ListPartitions):
        return set()
    return {part.domain for part in await catalog.partitions(session, table) if part.domain is not None}


@asynccontextmanager
async def setting_up(session: Session, table: Table) -> AsyncGenerator[None]:
    """Be the only one who sets anything up, and see the rows of all domains; first thing in a transaction."""
    await session.execute(sql.read_committed())
    await session.execute(ddl.setup_lock())
    if table.secured:
        async with session.entered(Scope.everything()):
            yield
    else:
        yield


async def find(session: Session, table: Table, domain: str) -> tuple[Partition | None, Partition, int]:
    """Return the partition of *domain*, if it has one, that of all others, and how many there are.

    Raises:
        SchemaError: The rows of all others are not in one table.
    """
    found = await catalog.partitions(session, table)
    own = next((part for part in found if part.domain == table.stored_domain(domain)), None)
    others = next((part for part in found if part.others and part.plain), None)
    if others is None:
        msg = f"the DEFAULT partition of {table.qualified_name} is gone, or has partitions itself"
        raise SchemaError(msg)
    return own, others, len(found)


async def lock(session: Session, table: Table, others: Partition) -> None:
    """Keep everybody else from the table until the end of the transaction.

    Who had planned a statement before a partition is attached would look for its rows where they no longer are,
    so it is not enough to lock the partition of all others, as PostgreSQL itself does.
    """
    await session.execute(sql.lock(Identifier(table.schema, table.name)))
    await session.execute(sql.lock(others.identifier))


async def attach(session: Session, table: Table, partition: Identifier, domain: str) -> None:
    """Make a table the partition of a domain that has no rows elsewhere; within `lock`."""
    await session.fetch(sql.set_moved(table, domain))
    await session.execute(sql.attach(table, partition, domain), timeout=FOREVER)
    await session.fetch(sql.set_moved(table, None))


async def police(session: Session, table: Table, partition: Identifier) -> None:
    """Put a partition under the policies of its table, which bind only those who name the table."""
    if table.policed:
        domain = str(table.columns.domain_id)
        for statement in security.policies(partition, domain, domain_type=table.domain_type, owner=table.owner):
            await session.execute(statement)
