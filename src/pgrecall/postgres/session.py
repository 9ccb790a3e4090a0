"""One connection, for as long as one operation needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    import asyncpg

    from pgrecall.sql.compose import Statement
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One connection, for as long as one operation needs it.

    Attributes:
        server: What it is connected to.
        dialect: How values travel on it.
        direct: Whether it is ours and no pooler stands in between, so that it can keep state.
        connection: The driver's connection.
    """

    server: Server
    dialect: Dialect
    direct: bool
    connection: asyncpg.Connection

    async def fetch(self, statement: Statement) -> list[asyncpg.Record]:
        """Run *statement* and return its rows."""
        return await self.connection.fetch(statement.text, *statement.args)

    async def fetch_with_settings(self, statement: Statement) -> list[asyncpg.Record]:
        """Run *statement*, which sets parameters of the session, so that nothing of them is left.

        By itself a statement is a transaction, with which its settings end. Within a transaction of the
        caller's they would stay until that ends, so there it is wrapped in a savepoint and rolled back.
        """
        if not self.connection.is_in_transaction():
            return await self.connection.fetch(statement.text, *statement.args)
        savepoint = self.connection.transaction()
        await savepoint.start()
        try:
            return await self.connection.fetch(statement.text, *statement.args)
        finally:
            await savepoint.rollback()

    async def fetch_value(self, statement: Statement) -> Any:
        """Run *statement* and return the first column of its first row."""
        return await self.connection.fetchval(statement.text, *statement.args)

    async def execute(self, statement: Statement) -> int:
        """Run *statement* and return how many rows it touched."""
        status = await self.connection.execute(statement.text, *statement.args)
        return int(count) if (count := status.rpartition(" ")[2]).isdecimal() else 0

    async def copy(self, schema: str, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Write *rows* with binary COPY; only where values travel in binary."""
        await self.connection.copy_records_to_table(table, schema_name=schema, columns=list(columns), records=rows)

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager: a transaction, or a savepoint in the one that is open."""
        return self.connection.transaction()
