"""Putting a table that exists under row-level security, and giving a role what it needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgrecall.collection.definition import (
    SHARED_TABLES,
    SIDE_TABLES,
    Rights,
    rights,
    side_policies,
    table_policies,
)
from pgrecall.collection.indexes.looking_up import look_up
from pgrecall.errors import CollectionNotFound, PermissionDenied, SchemaError
from pgrecall.postgres import catalog, partitions
from pgrecall.sql import ddl, security, side_tables
from pgrecall.sql.compose import Identifier

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.table import Table


async def secure_side_tables(session: Session, schema: str, *, policed: bool = True) -> None:
    """Have the tables beside the collections there; within a transaction.

    Those whose rows belong to domains are put under row-level security if *policed*.

    Raises:
        InsufficientPrivilegeError: The role may not make them, or does not own them.
    """
    for side in (*SIDE_TABLES, *SHARED_TABLES):
        facts = await session.fetch(side_tables.facts(schema, side.name))
        if not facts:
            for statement in side_tables.create(side, schema):
                await session.execute(statement)
        if policed and side in SIDE_TABLES and not (facts and facts[0][3]):
            owner = facts[0][4] if facts else None
            for statement in side_policies(side, schema, owner):
                await session.execute(statement)


async def secure(handle: Handle) -> None:
    """See `Administration.secure`."""
    plain = replace(handle.config, row_level_security=False)

    async def work(session: Session) -> None:
        await session.execute(ddl.setup_lock())
        table = await existing(session)
        if table.columns.domain_id is None:
            msg = f"{table.qualified_name} has no column for domains that could be kept apart"
            raise SchemaError(msg)
        if not table.owned:
            msg = f"only its owner {table.owner!r} may put {table.qualified_name} under row-level security"
            raise PermissionDenied(msg)
        if not table.policed:
            name = Identifier(table.schema, table.name)
            for statement in [*security.drop_policies(name), *table_policies(table, table.owner)]:
                await session.execute(statement)
        await _secure_partitions(session, table)
        await look_up(session, table, table.owner)
        await secure_side_tables(session, table.schema)

    async def existing(session: Session) -> Table:
        table = await catalog.read_table(session, plain)
        if table is None:
            msg = f"there is no table {plain.schema}.{plain.name}; with row_level_security it is made so"
            raise CollectionNotFound(msg)
        return table

    await handle.database.transaction(work)
    handle.knowledge.forget()


async def _secure_partitions(session: Session, table: Table) -> None:
    """Put each partition by itself under the same policies: those of the table bind only who names the table."""
    domain, kind = str(table.columns.domain_id), table.domain_type
    for part in await partitions.partitions(session, table):
        if part.plain and not part.policed:
            made = security.policies(part.identifier, domain, domain_type=kind, owner=table.owner)
            for statement in [*security.drop_policies(part.identifier), *made]:
                await session.execute(statement)


async def grant(handle: Handle, wanted: Rights) -> None:
    """See `Administration.grant`."""
    table = await handle.made_table(handle.config.dimensions)
    if not table.owned:
        # PostgreSQL would only warn somebody who has rights of his own, and grant nothing.
        msg = f"only its owner {table.owner!r} may let others work on {table.qualified_name}"
        raise PermissionDenied(msg)

    async def work(session: Session) -> None:
        await session.execute(ddl.setup_lock())
        await secure_side_tables(session, table.schema, policed=table.policed)
        exists = await catalog.role_exists(session, wanted.role)
        new = replace(wanted, create=wanted.create and not exists)
        for statement in rights(new, handle.config, session.dialect.vector_schema, table.lookups):
            await session.execute(statement)

    await handle.database.transaction(work)
