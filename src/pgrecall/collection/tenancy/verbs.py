"""Domains as wholes: which there are, what they hold; copied, renamed, kept apart by PostgreSQL itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from pgrecall.checks import check_range
from pgrecall.collection.definition import Rights
from pgrecall.collection.handle import Bound
from pgrecall.collection.models import model_columns
from pgrecall.collection.namespaces.runs import forget_runs
from pgrecall.collection.tenancy import securing
from pgrecall.collection.tenancy.domain_partitions import create_domain, drop_domain, drop_empty, has_own, isolated
from pgrecall.collection.tenancy.isolating import forget_move
from pgrecall.collection.writing.changes import clear
from pgrecall.collection.writing.upserting import check_writable
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.layout import ListPartitions
from pgrecall.rows.values import content
from pgrecall.scope import DEFAULT_DOMAIN, Scope
from pgrecall.sql import tenancy as sql
from pgrecall.sql.dml import count_up_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.sql.compose import Statement
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

MAX_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainInfo:
    """What one domain holds.

    Attributes:
        name: Its name.
        rows: How many rows.
        bytes: About how much room they take in the table, indexes and dead rows left out.
        newest: When the newest of them was first written; `None` where the table does not say.
        isolated: Whether it has a partition of its own.
    """

    name: str
    rows: int
    bytes: int
    newest: datetime | None
    isolated: bool = False


class Tenancy(Bound):
    """What `AsyncCollection` does with domains as wholes."""

    def in_domains(self, domains: Iterable[str]) -> Self:
        """Return a handle on the same collection that is bound to several domains, which are named.

        Searches find the nearest of them all, and each match says which domain it is from. A record that is
        written says into which one it goes; what takes an id by itself (`get`, `replace`, `neighbours`) needs a
        handle of one domain.

        Args:
            domains: Their names, at least one.

        Raises:
            ConfigError: They are none, or one of them is not a non-empty string.
        """
        return type(self)(replace(self._handle, scope=Scope.of_several(domains)))

    async def list_domains(self, *, limit: int = 1_000, after: str | None = None) -> list[str]:
        """Return the names of the domains that have rows, of those in scope, sorted.

        The index is read from name to name, so that it takes time with the number of domains, not of rows.

        Args:
            limit: Most names, 1 to 10,000.
            after: The name behind which to begin: the last of the page before.
        """
        check_range(limit, "limit", 1, MAX_PAGE)
        start = None if after is None else _name(after, "after")
        return await list_domains(self._handle, limit, start)

    async def count_domains(self) -> int:
        """Return how many domains in scope have rows."""
        return await count_domains(self._handle)

    async def describe_domains(self) -> list[DomainInfo]:
        """Return what each domain in scope that has rows holds, sorted by name; all of their rows are read."""
        return await describe_domains(self._handle)

    async def copy_domain(self, to: str) -> int:
        """Copy all rows of this handle's domain into another one of the table, in one statement; return how many.

        Ids, the embeddings of all models and the time of creation stay; columns that are not mapped get their
        defaults. Ledgers and key-value storages, which are beside the collections, are not copied. The copy has a
        partition of its own where `create_domain` has made it before.

        Args:
            to: The new domain.

        Raises:
            ConfigError: It has rows already, or the handle is not one of one domain.
            SchemaError: The table has no column for domains, or its ids are unique over all of them.
        """
        return await copy_domain(self._handle, to)

    async def rename_domain(self, to: str) -> int:
        """Give the rows of this handle's domain to another one, in one statement; return how many there were.

        Handles on the old name find nothing afterwards. Ledgers and key-value storages keep the old name. A domain
        with a partition of its own gets another one, if the role owns the table, and the old one is dropped.

        Args:
            to: The new name.

        Raises:
            ConfigError: It has rows already, or the handle is not one of one domain.
            SchemaError: The table has no column for domains.
        """
        return await rename_domain(self._handle, to)

    async def delete_domain(self) -> int:
        """Delete all rows of this handle's domain, in one statement, and return how many there were.

        A partition of its own is emptied at once, however many rows it has, and dropped. Only the owner of the
        table can do that: for other roles, and on a connection that was lent, the rows are deleted one by one, and
        the partition stays.

        Raises:
            ConfigError: The handle is not one of one domain.
        """
        return await delete_domain(self._handle)

    async def secure(self) -> None:
        """Put the table under row-level security: from now on PostgreSQL itself keeps the domains apart.

        A role sees and changes only rows of the domains that its transaction has named, as all handles do by
        themselves. Other programs that use the table see nothing until they do so too. It binds the owner,
        who can still work on all domains with `AsyncCollection.all_domains`; it does not bind superusers.

        A role that it does not bind also makes the lookups that are missing, by which the indexes on metadata,
        numbers and words go on serving; the roles that work on the table are given the right to them by `grant`,
        called again.

        Raises:
            CollectionNotFound: There is no table yet; ``CollectionConfig.row_level_security`` makes it so.
            PermissionDenied: The role does not own the table, or one of those beside it.
            SchemaError: The table has no column for domains.
        """
        await securing.secure(self._handle)

    async def grant(self, role: str, *, write: bool = True, create: bool = False) -> None:
        """Let a role work on the collection, with its ledgers, key-value storages and runs, and do nothing beyond.

        It gets SELECT and, with *write*, INSERT, UPDATE and DELETE on four tables, SELECT on the aliases and on the
        lookups, if there are any, and USAGE of their schema and pgvector's: neither may it make tables, nor empty them
        with TRUNCATE, nor change policies.

        Args:
            role: The role.
            write: Whether it may change rows, and not only read them.
            create: Whether to make it if it does not exist. It is made without login: grant it to the role that
                the application logs in as, or give it login and a password.

        Raises:
            ConfigError: The name cannot be that of a role.
            PermissionDenied: This role does not own the tables, or may not make roles.
        """
        await securing.grant(self._handle, Rights(role=role, write=write, create=create))


async def list_domains(handle: Handle, limit: int, after: str | None) -> list[str]:
    """See `Tenancy.list_domains`."""

    async def work(session: Session) -> list[str]:
        table = await handle.table(session)
        if table is None:
            return []
        selection = handle.selection(session, table)
        rows = await session.fetch(sql.list_domains(selection, limit=limit, after=after))
        return [row[0] for row in rows]

    return await handle.run(work)


async def count_domains(handle: Handle) -> int:
    """See `Tenancy.count_domains`."""

    async def work(session: Session) -> int:
        table = await handle.table(session)
        return 0 if table is None else await session.fetch_value(sql.count_domains(handle.selection(session, table)))

    return await handle.run(work)


async def describe_domains(handle: Handle) -> list[DomainInfo]:
    """See `Tenancy.describe_domains`."""

    async def work(session: Session) -> list[DomainInfo]:
        table = await handle.table(session)
        if table is None:
            return []
        rows = await session.fetch(sql.describe_domains(handle.selection(session, table)))
        own = await isolated(session, table)
        return [
            DomainInfo(
                name=row[0] or DEFAULT_DOMAIN, rows=row[1], bytes=int(row[2]), newest=row[3], isolated=row[0] in own
            )
            for row in rows
        ]

    return await handle.run(work)


async def copy_domain(handle: Handle, to: str) -> int:
    """See `Tenancy.copy_domain`."""

    async def statement(session: Session, selection: Selection) -> Statement:
        table = selection.table
        if table.columns.domain_id not in table.key:
            msg = f"in {table.qualified_name} ids are unique over all domains, so no domain can have those of another"
            raise SchemaError(msg)
        if table.unfilled:
            msg = f"{table.qualified_name} has columns that are not mapped and have no default: {table.unfilled}"
            raise SchemaError(msg)
        models = [model.column for model in await model_columns.listed(handle, session)]
        return sql.copy_domain(selection, to, [column for column in models if column != table.columns.embedding])

    return await _move(handle, to, "copy_domain", statement, leaves=False)


async def rename_domain(handle: Handle, to: str) -> int:
    """See `Tenancy.rename_domain`."""

    async def statement(_: Session, selection: Selection) -> Statement:
        return sql.rename_domain(selection, to)

    own = _one(handle, "rename_domain")
    table = await _splittable(handle)
    if table is None or own == to or not await has_own(handle, table, own):
        return await _move(handle, to, "rename_domain", statement, leaves=True)
    # Where it has rows already, nothing is moved there.
    if not await _has_rows(handle, to):
        await create_domain(handle, to)
    moved = await _move(handle, to, "rename_domain", statement, leaves=True)
    await drop_empty(handle, table, own)
    return moved


async def delete_domain(handle: Handle) -> int:
    """See `Tenancy.delete_domain`."""
    own = _one(handle, "delete_domain")
    table = await _splittable(handle)
    if table is None:
        return await clear(handle)
    deleted = await drop_domain(handle, table, own)
    if deleted is None:
        deleted = await clear(handle)
        await forget_move(handle, table, own)
    return deleted


async def _has_rows(handle: Handle, domain: str) -> bool:
    target = replace(handle, scope=Scope.of(domain))

    async def work(session: Session) -> bool:
        table = await target.table(session)
        return table is not None and await session.fetch_value(count_up_to(target.selection(session, table), 1)) > 0

    return await target.run(work)


async def _splittable(handle: Handle) -> Table | None:
    """Return the table, if this handle can make and drop partitions of its domains."""
    table = await handle.run(handle.table)
    able = table is not None and isinstance(table.layout, ListPartitions) and table.owned and not handle.database.lent
    return table if able else None


async def _move(
    handle: Handle, to: str, verb: str, statement: Callable[[Session, Selection], Awaitable[Statement]], *, leaves: bool
) -> int:
    """Run *statement*, which gives rows to a domain that has none, and takes them from their own where it *leaves*."""
    own = _one(handle, verb)
    target = Scope.of(to)
    if to == own:
        msg = f"domain {to!r} is the one that the handle is bound to"
        raise ConfigError(msg)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        _check(table, target, verb)
        check_writable(table, session.server)
        selection = handle.selection(session, table)
        if table.secured:
            async with session.entered(Scope.of_several([own, to])):
                moved = await _run(session, selection)
        else:
            moved = await _run(session, selection)
        if leaves:
            await forget_runs(session, table.schema, table.name, handle.scope)
        return moved

    async def _run(session: Session, selection: Selection) -> int:
        moved = await session.execute(await statement(session, selection))
        if not moved and await session.fetch_value(sql.has_rows(selection.table, to)):
            msg = f"domain {to!r} has rows already; delete them first, or choose another name"
            raise ConfigError(msg)
        return moved

    # Done a second time, after a connection that was lost during the commit, it would find nothing or too much.
    moved = await handle.transaction(work, repeat=False)
    handle.knowledge.forget_estimates()
    return moved


def _one(handle: Handle, verb: str) -> str:
    domain = handle.scope.domain
    if domain is None:
        msg = f"{verb}() is about one domain, and this handle is of {handle.scope}: take it from domain(…)"
        raise ConfigError(msg)
    return domain


def _check(table: Table, target: Scope, verb: str) -> None:
    if table.columns.domain_id is None:
        msg = f"{table.qualified_name} has no column for domains, as {verb}() needs it"
        raise SchemaError(msg)
    table.check_scope(target)


def _name(text: object, what: str) -> str:
    try:
        return content(text)
    except ValueError as error:
        msg = f"{what} {error}"
        raise ConfigError(msg) from None
