"""Making lookups, by which indexes serve under row-level security too; see `pgrecall.sql.lookups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.collection.definition import new_lookups
from pgrecall.postgres import catalog
from pgrecall.sql import ddl

if TYPE_CHECKING:
    from pgrecall.config import CollectionConfig
    from pgrecall.postgres import Session
    from pgrecall.table import Table


async def look_up(session: Session, table: Table, owner: str | None = None) -> bool:
    """Make the lookups that a table under the policies lacks, where this role can; see `new_lookups`.

    Args:
        session: Runs statements, within a transaction.
        table: The table.
        owner: Who owns it; `None` where that is this role.

    Returns:
        Whether any was made.
    """
    made = new_lookups(table, owner)
    if not made or await catalog.is_bound(session):
        return False
    for statements in made.values():
        for statement in statements:
            await session.execute(statement)
    return True


async def look_up_new(session: Session, config: CollectionConfig) -> None:
    """Make the lookups for what was added to a table, where it is under the policies; see `look_up`."""
    table = await catalog.read_table(session, config)
    if table is None or not table.policed:
        return
    async with session.transaction():
        await session.execute(ddl.setup_lock())
        # Somebody else may have made them while we waited for the lock.
        table = await catalog.read_table(session, config)
        if table is not None:
            await look_up(session, table, table.owner)
