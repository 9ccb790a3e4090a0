"""One connection, for as long as one operation needs it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from pgrecall.errors import ConfigError
from pgrecall.sql import security
from pgrecall.sql.dialect import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from asyncpg.transaction import Transaction

    from pgrecall.scope import Scope
    from pgrecall.server import Server
    from pgrecall.sql.compose import Statement
    from pgrecall.sql.dialect import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One connection, for as long as one operation needs it.

    Attributes:
        server: What it is connected to.
        dialect: How values travel on it.
        direct: Whether it is ours and no pooler stands in between, so that it can keep state.
        connection: The driver's connection.
        patience: Seconds that the server has to end a transaction that failed; then the connection is cut.
            `None` where it is not ours to cut.
    """

    server: Server
    dialect: Dialect
    direct: bool
    connection: asyncpg.Connection
    patience: float | None = None

    async def fetch(self, statement: Statement) -> list[asyncpg.Record]:
        """Run *statement* and return its rows."""
        if statement.settings:
            return await self.fetch_with_settings(statement)
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
        if not statement.settings:
            return await self.connection.fetchval(statement.text, *statement.args)
        rows = await self.fetch_with_settings(statement)
        return rows[0][0] if rows else None

    async def execute(self, statement: Statement, *, timeout: float | None = None) -> int:  # noqa: ASYNC109
        """Run *statement* and return how many rows it touched.

        Args:
            statement: What to run.
            timeout: Seconds until it is cancelled, instead of the pool's ``command_timeout``.
        """
        status = await self.connection.execute(statement.text, *statement.args, timeout=timeout)
        return int(count) if (count := status.rpartition(" ")[2]).isdecimal() else 0

    async def copy(self, schema: str, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Write *rows* with binary COPY; only where values travel in binary."""
        await self.connection.copy_records_to_table(table, schema_name=schema, columns=list(columns), records=rows)

    @asynccontextmanager
    async def entered(self, scope: Scope) -> AsyncGenerator[None]:
        """Let statements see, under row-level security, the rows of *scope*; within a transaction.

        In a transaction of ours, what was set ends with it. In one of the caller's it would outlive our part,
        so there what was set before is set again.
        """
        lent = self.dialect.wire is Wire.TEXT
        before = (await self.fetch(security.entered()))[0] if lent else None
        await self.fetch(security.enter(scope))
        yield
        if before is not None:
            await self.fetch(security.leave((before[0], before[1])))

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[None]:
        """See the database as it is now, whatever others write, until the end; nothing can be written meanwhile.

        Raises:
            ConfigError: A transaction of the caller's is open, and each of its statements sees what is new.
        """
        if self.connection.is_in_transaction():
            if await self.connection.fetchval("SHOW transaction_isolation") in ("read committed", "read uncommitted"):
                msg = (
                    "all answers must be of one moment, and the open transaction sees what others commit meanwhile: "
                    "begin it with isolation='repeatable_read', or lend a connection without one"
                )
                raise ConfigError(msg)
            yield
            return
        async with self._within(self.connection.transaction(isolation="repeatable_read", readonly=True)):
            yield

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager: a transaction, or a savepoint in the one that is open."""
        return self._within(self.connection.transaction())

    @asynccontextmanager
    async def _within(self, transaction: Transaction) -> AsyncGenerator[None]:
        # Entered, and not started by hand, so that asyncpg does not complain to the loop where a cancellation comes
        # between it and the server: the pool then mends the connection.
        await transaction.__aenter__()
        try:
            yield
        except BaseException as error:
            await self._roll_back(transaction, error)
            raise
        else:
            await transaction.__aexit__(None, None, None)

    async def _roll_back(self, transaction: Transaction, error: BaseException) -> None:
        """Roll back, so that what led to it is raised and not what comes of it.

        On a network that has gone silent a rollback has no end, and a caller who gave up would wait on.
        """
        try:
            async with asyncio.timeout(self.patience):
                await transaction.__aexit__(type(error), error, None)
        except TimeoutError:
            with suppress(asyncpg.InterfaceError):
                self.connection.terminate()
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError, OSError):
            # The connection is gone, and the transaction with it.
            pass
