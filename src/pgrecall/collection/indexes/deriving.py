"""Adding columns that a trigger derives, beside readers and writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

from pgrecall.collection.indexes.building import FOREVER
from pgrecall.errors import PermissionDenied
from pgrecall.postgres import catalog
from pgrecall.sql import promoted
from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pgrecall.postgres import Session
    from pgrecall.promoted import PromotedField
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

T = TypeVar("T")
# Columns and triggers are added under a lock that everybody else waits behind, so it is not waited for long.
_SHORT_LOCK: Final = "SET LOCAL lock_timeout = '500ms'"
_ATTEMPTS: Final = 60
# A few megabytes: what is locked and rewritten at a time.
_BLOCKS: Final = 256


async def alter_quickly(session: Session, table: Table, statements: Sequence[Statement]) -> None:
    """Run *statements* in one transaction, whose lock on the table is given up and tried again rather than waited for.

    Raises:
        PermissionDenied: The role does not own the table.
    """

    async def change() -> None:
        for statement in statements:
            await session.execute(statement)

    await change_quickly(session, table, change)


async def change_quickly(
    session: Session, table: Table, change: Callable[[], Awaitable[T]], *, attempts: int = _ATTEMPTS
) -> T:
    """Return what *change* returns, run in a transaction that gives up its locks rather than wait for more.

    It is begun anew, *attempts* times at most, whenever a lock could not be had within half a second.

    Raises:
        LockNotAvailableError: It could never be had.
        PermissionDenied: The role does not own the table.
    """
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    async def work() -> T:
        async with session.transaction():
            await session.execute(Statement(_SHORT_LOCK))
            return await change()

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(asyncpg.LockNotAvailableError),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        reraise=True,
    )
    try:
        return await retrying(work)
    except asyncpg.InsufficientPrivilegeError as error:
        msg = f"role {session.server.user!r} may not change {table.qualified_name}: only its owner may"
        raise PermissionDenied(msg) from error


async def fill(
    session: Session,
    table: Table,
    fields: Sequence[PromotedField] = (),
    *,
    code: bool = False,
    text: TextColumn | None = None,
) -> None:
    """Have the trigger see every row that was there before it, a few at a time."""
    for first in range(0, await catalog.blocks(session, table), _BLOCKS):
        statement = promoted.fill(table, fields, first, first + _BLOCKS, code=code, text=text)
        await session.execute(statement, timeout=FOREVER)
