"""Statements to rows: sessions on our own pools or on a connection that the caller lends."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

import asyncpg

from pgrecall.errors import ConfigError, ConnectionFailed, PGRecallError
from pgrecall.pooling import RetryConfig
from pgrecall.postgres.address import OfThisProcess
from pgrecall.postgres.failures import is_conflict, is_lost, is_unready, translate
from pgrecall.postgres.probe import probe
from pgrecall.postgres.session import Session
from pgrecall.sql.dialect import Dialect, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from pgrecall.postgres.address import Address
    from pgrecall.server import Server

T = TypeVar("T")
_DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Source(Protocol):
    """Where sessions come from."""

    repeatable: bool
    """Whether an operation that failed may be run again on another connection."""

    @property
    def address(self) -> Address | None:
        """Where the sessions lead, as far as that is known."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Return a context manager that gives a `Session`."""
        ...

    async def refresh(self) -> None:
        """Forget what is known about the server, which has changed."""
        ...


def _always() -> bool:
    return True


class Database(OfThisProcess):
    """Runs operations, translates their errors, and repeats them where that is safe."""

    def __init__(self, source: Source, retry: RetryConfig | None = None) -> None:
        self._source = source
        self._retry = RetryConfig() if retry is None else retry

    @property
    def lent(self) -> bool:
        """Whether it works on connections of the caller's, whose transactions are the caller's too."""
        return not self._source.repeatable

    def leads_where(self, other: Database) -> bool:
        """Whether *other* is known to be the same database, if through connections of its own."""
        address = self._source.address
        return self is other or (address is not None and address == other._source.address)

    async def run(self, work: Callable[[Session], Awaitable[T]], *, may_repeat: Callable[[], bool] = _always) -> T:
        """Return what *work* returns, given a session.

        Nearly all work here may be repeated: reads change nothing, and writes are whole transactions that
        end in the same rows however often they run. *may_repeat* is asked where that is not so.
        So what failed only because of the moment is tried again, as `RetryConfig` says, with exponential
        backoff and jitter. On a connection that was lent it is not: its transaction is the caller's.

        Raises:
            PGRecallError: The driver's error, translated.
        """
        try:
            async with self._source.session() as session:
                return await work(session)
        except (PGRecallError, *_DRIVER_ERRORS) as error:
            again = self._source.repeatable and self._retry.attempts > 1
            if not (again and _is_transient(error) and may_repeat()):
                if isinstance(error, PGRecallError):
                    raise  # said already
                raise translate(error) from error
        return await self._again(work, may_repeat)

    async def _again(self, work: Callable[[Session], Awaitable[T]], may_repeat: Callable[[], bool]) -> T:
        # Not needed until something has gone wrong.
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        async def attempt() -> T:
            async with self._source.session() as session:
                return await work(session)

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: _is_transient(error) and may_repeat()),
            stop=stop_after_attempt(self._retry.attempts - 1),
            wait=wait_random_exponential(multiplier=self._retry.first_delay, max=self._retry.max_delay),
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except PGRecallError:
            raise
        except _DRIVER_ERRORS as error:
            tries = 1 + retrying.statistics["attempt_number"]
            raise translate(error, tries=tries) from error

    async def server(self) -> Server:
        """Return what the connections are connected to."""

        async def known(session: Session) -> Server:
            return session.server

        return await self.run(known)

    async def refresh(self) -> None:
        """Look at the server again: it has changed. Not to be called within `run`."""
        await self._source.refresh()

    async def transaction(self, work: Callable[[Session], Awaitable[T]], *, repeat: bool = True) -> T:
        """Return what *work* returns, run in a transaction; see `run`.

        Args:
            work: What to do.
            repeat: Whether it may be done again although it may be done already: where the connection was
                lost during the commit, nobody knows. Lost before that, nothing was done.
        """
        committing = False

        async def whole(session: Session) -> T:
            nonlocal committing
            committing = False
            async with session.transaction():
                result = await work(session)
                committing = True
            return result

        return await self.run(whole, may_repeat=lambda: repeat or not committing)


class LentSource:
    """Sessions on a connection, or a pool, of the caller's."""

    repeatable = False
    address = None

    def __init__(self, lent: asyncpg.Connection | asyncpg.Pool) -> None:
        _check_lent(lent)
        self._lent = lent
        self._server: Server | None = None

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """Lend the caller's connection on, or one of the caller's pool."""
        if isinstance(self._lent, asyncpg.Pool):
            async with self._lent.acquire() as connection:
                yield await self._on(connection)
        else:
            async with _turn_of(self._lent):
                yield await self._on(self._lent)

    async def _on(self, connection: Any) -> Session:
        if self._server is None:
            self._server = await probe(connection)
        dialect = Dialect(self._server.vector_schema, Wire.TEXT)
        return Session(server=self._server, dialect=dialect, direct=False, connection=connection)

    async def refresh(self) -> None:
        """Have the next session look at the server."""
        self._server = None


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, PGRecallError):
        # What opening a pool says: nothing has been sent yet.
        return isinstance(error, ConnectionFailed) and is_unready(error.__cause__)
    return is_lost(error) or is_conflict(error) or is_unready(error)


def _check_lent(lent: object) -> None:
    if not isinstance(lent, asyncpg.Connection | asyncpg.Pool | asyncpg.pool.PoolConnectionProxy):
        msg = f"connection must be an asyncpg Connection or Pool, not {type(lent).__name__}"
        raise ConfigError(msg)


def _turn_of(connection: asyncpg.Connection) -> asyncio.Lock:
    """Return the lock of *connection*, which does one thing at a time, whoever lent it to us."""
    real = getattr(connection, "_con", connection)  # a pool's proxy is made anew at each acquisition
    if real is None:
        msg = "the connection has been given back to its pool; use it while you hold it"
        raise ConfigError(msg)
    return _turns.setdefault(real, asyncio.Lock())


_turns: WeakKeyDictionary[asyncpg.Connection, asyncio.Lock] = WeakKeyDictionary()
